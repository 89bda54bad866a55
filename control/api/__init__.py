"""The control API: HTTP and JSON, live events as server-sent events."""
