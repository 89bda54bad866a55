"""The tree of a program that embeds one: its launcher, its mirror, its children, and who receives its events."""
