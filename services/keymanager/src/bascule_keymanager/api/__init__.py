"""The v1 API, as Barbican answers it."""
