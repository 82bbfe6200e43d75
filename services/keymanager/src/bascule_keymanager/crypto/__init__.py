"""How payloads are sealed: in Barbican's own stored formats, and in one of ours."""
