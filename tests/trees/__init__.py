"""Which tree a command means, whether that tree runs, and whether the command may touch it."""
