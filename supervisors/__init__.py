"""What decides: the specs, the tree file, the pure core and the supervisor actor around it."""
