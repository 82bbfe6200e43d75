"""Scenarios of Barbican's own clients, each run unchanged in an environment that holds nothing of ours."""
