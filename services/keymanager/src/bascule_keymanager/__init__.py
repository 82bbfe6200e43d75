"""A Barbican-compatible key manager that is upgraded while it serves."""

__version__ = "2028.2"
