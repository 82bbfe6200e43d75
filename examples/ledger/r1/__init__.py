"""Release 1 of the ledger."""
