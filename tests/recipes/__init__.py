"""The recipes of `docs/embedding.md`, each run as a user would run it."""
