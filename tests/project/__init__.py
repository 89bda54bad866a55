"""The project itself: its wheel, its scripts, and the rules that its files keep."""
