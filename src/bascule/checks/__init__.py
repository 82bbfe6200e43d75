"""Upgrade checks as small functions, with the exit codes of oslo.upgradecheck."""
