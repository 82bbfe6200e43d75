"""Versioned objects that old and new releases exchange."""
