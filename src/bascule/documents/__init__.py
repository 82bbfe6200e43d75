"""Versioned JSON documents that processes and releases exchange; standard library only."""
