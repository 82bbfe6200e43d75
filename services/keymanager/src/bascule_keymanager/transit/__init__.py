"""Keys that are used here for whoever may use them, and that nobody is given: encryption, key wrapping, data keys."""
