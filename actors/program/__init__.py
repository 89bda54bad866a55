"""Agents that are external programs (`process_wrapper`)."""
