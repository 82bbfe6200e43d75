"""Proof: load, history, checker, verdict and report."""
