"""The fleet registry, the live pin, and processes that start ready and stop without loss."""
