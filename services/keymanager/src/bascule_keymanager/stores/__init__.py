"""Where payloads are kept: in our own database, sealed by a crypto plugin, or in a store elsewhere."""
