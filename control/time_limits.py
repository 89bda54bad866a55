"""How long an agent has for what it is told and asked; all in seconds."""

TELL_LIMIT = 120.0
"""To take what it is told, where nothing else is said."""
ASK_LIMIT = 60.0
"""To answer, where nothing else is said."""
LONGEST = 24 * 3600.0
"""The longest of such times that can be said."""
