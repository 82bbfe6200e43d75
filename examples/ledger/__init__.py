"""A ledger of accounts and postings, in four releases, to try online schema changes on."""
