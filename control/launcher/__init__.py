"""The process that starts a tree and outlives none of it."""
