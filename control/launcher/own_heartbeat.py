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
        seconds = float(said)
        factor = seconds / OWN_HEARTBEAT.dead_after
        spec = HeartbeatSpec(
            interval=OWN_HEARTBEAT.interval * factor, suspect_after=OWN_HEARTBEAT.suspect_after * factor, dead_after=seconds
        )
    except (ValueError, SpecError):
        spec = None
    if spec is None or spec.dead_after > MOST_SECONDS:
        rule = f"must be a number of seconds above 0, at most {MOST_SECONDS}, not {said!r}"
        raise ConfigError("environment", [(VARIABLE, rule)])
    return spec
