"""The trees of this machine: where each keeps its files, which run, and what one has left behind."""
