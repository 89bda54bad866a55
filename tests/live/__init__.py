"""Whole trees of real processes, through every room."""
