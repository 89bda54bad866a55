"""How long an agent has for a `tell`, for an `ask`, and to run, and what a client hears when a time is over; all in seconds."""

from suptree.actors.errors import RequestTimeout

TELL_LIMIT = 120.0
"""To take a text, where the client says nothing else."""
ASK_LIMIT = 60.0
"""To answer, where nothing else is said."""
ATTACH_LIMIT = 10.0
"""To run, for a client that wants to be attached."""
LONGEST = 24 * 3600.0
"""The longest of such times that can be said."""


def no_answer(operation: str, target: str, limit: float) -> RequestTimeout:
    """The error for a request that was not answered within `limit` seconds."""
    return RequestTimeout(f"{operation} {target}: no answer within {limit:g} s; whether it was carried out is not known")
