"""`LLMAgent` and the library that it speaks through."""
