"""Release 2 of the ledger."""
