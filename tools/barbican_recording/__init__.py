"""Real Barbican behind real Keystone, asked everything that our key manager must answer alike."""
