"""The registry actor and its journal."""
