"""How long the stop of a tree can take."""

from .child_spec import BrutalKill
from .tree_spec import SupervisorSpec


def longest_stop(supervisor: SupervisorSpec) -> float:
    """The seconds after which everything below a supervisor has ended, or was killed: children stop one after the other (OTP).

    What a program asks for by `EXTEND_TIMEOUT_USEC=` while it stops comes on top: at most its `stop.extend_at_most`.
    """
    total = 0.0
    for child in supervisor.children:
        limit = 0.0 if isinstance(child.shutdown, BrutalKill) else child.shutdown
        total += min(limit, longest_stop(child.start)) if isinstance(child.start, SupervisorSpec) else limit
    return total
