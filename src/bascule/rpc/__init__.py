"""Interfaces whose methods carry the release they exist since, and transports for their messages."""
