"""What the listener does with notifications of the identity service."""
