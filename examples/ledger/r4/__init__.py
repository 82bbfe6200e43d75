"""Release 4 of the ledger."""
