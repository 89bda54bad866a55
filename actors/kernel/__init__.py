"""What the kernel does for us: processes, control groups, private files, and the end of what a dead process left behind."""
