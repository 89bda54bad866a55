"""How long an agent has for a `tell`, for an `ask`, and to run; all in seconds."""

TELL_LIMIT = 120.0
"""To take a text, where the client says nothing else."""
ASK_LIMIT = 60.0
"""To answer, where nothing else is said."""
ATTACH_LIMIT = 10.0
"""To run, for a client that wants to be attached."""
LONGEST = 24 * 3600.0
"""The longest of such times that can be said."""
