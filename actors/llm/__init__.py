"""`LLMAgent`: the native agent that talks to a language model."""
