"""After how long a silence the tree's own processes count as hung: what the environment says, or thirty seconds."""

import os

from suptree.actors.base.messages import OWN_HEARTBEAT
from suptree.actors.errors import ConfigError, SpecError
from suptree.actors.spec.agent_spec import HeartbeatSpec
from suptree.supervisors.spec.child_spec import MOST_SECONDS

VARIABLE = "SUPTREE_DEAD_AFTER"


def own_heartbeat() -> HeartbeatSpec:
    """`SUPTREE_DEAD_AFTER` seconds, with signs of life in proportion. Raises ConfigError for what is no number above 0."""
    said = os.environ.get(VARIABLE)
    if said is None:
        return OWN_HEARTBEAT
    try:
        factor = min(float(said), MOST_SECONDS) / OWN_HEARTBEAT.dead_after
        return HeartbeatSpec(
            interval=OWN_HEARTBEAT.interval * factor,
            suspect_after=OWN_HEARTBEAT.suspect_after * factor,
            dead_after=OWN_HEARTBEAT.dead_after * factor,
        )
    except (ValueError, SpecError):
        raise ConfigError("environment", [(VARIABLE, f"must be a number of seconds above 0, not {said!r}")]) from None
