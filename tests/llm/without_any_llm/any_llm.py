"""Found before the library, as if that were not installed."""

raise ModuleNotFoundError("No module named 'any_llm'", name="any_llm")
