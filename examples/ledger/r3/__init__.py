"""Release 3 of the ledger."""
