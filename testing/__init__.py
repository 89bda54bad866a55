"""The actor test harness and pytest plugin that we ship."""
