"""The actor around a core: it turns messages into events, and performs the commands."""
