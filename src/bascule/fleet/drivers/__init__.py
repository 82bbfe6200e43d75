"""One file per driver, behind small protocols written beside the code that calls them."""
