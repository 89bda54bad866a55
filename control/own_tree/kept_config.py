"""The configuration of an agent as a program gave it, kept for a restart."""

import copy
from collections.abc import Mapping
from typing import Any

from suptree.actors.errors import ConfigError


def copied(agent_id: str, config: Any) -> Any:
    """A configuration as it is now; one that is no mapping is for others to refuse. Raises ConfigError."""
    if not isinstance(config, Mapping):
        return config
    kept, problems = {}, []
    for key, value in config.items():
        try:
            kept[key] = copy.deepcopy(value)
        except Exception as error:  # noqa: BLE001  (it runs the code of whatever it copies)
            problems.append((str(key), f"cannot be copied: {error}"))
    if problems:
        raise ConfigError(f"agent {agent_id}", problems)
    return kept
