"""Who may do what: Barbican's policies by their names, read with oslo.policy, compiled for speed."""
