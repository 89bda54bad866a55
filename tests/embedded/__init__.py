"""`ProcessManager`, as a program that embeds a tree uses it."""
