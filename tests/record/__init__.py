"""The journal of the registry."""
