"""The launcher: its actor system, its control API, and what a tree costs when nothing happens."""
