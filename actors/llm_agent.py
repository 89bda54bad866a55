"""`LLMAgent`, under the name by which tree files know its module."""

from .llm.llm_agent import LLMAgent

__all__ = ["LLMAgent"]
