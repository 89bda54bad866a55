"""The tree file and the tables in it, right and wrong."""
