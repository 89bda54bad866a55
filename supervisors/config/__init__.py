"""Configuration from outside: the tree file, the tables in it, and child specs as JSON."""
