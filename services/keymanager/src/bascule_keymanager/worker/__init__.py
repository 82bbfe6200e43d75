"""What the worker does with accepted orders."""
