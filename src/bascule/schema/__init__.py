"""Online schema changes in three phases: expand, migrate, contract."""
