"""Agents that are Python objects (`native_llm`): created, asked, checkpointed."""
