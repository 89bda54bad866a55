"""The client of a tree, and who is at its other end."""
