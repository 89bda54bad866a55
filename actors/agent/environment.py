"""The environment of an agent. It is built, not inherited: from a list of what every program needs, and from what its table names."""

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from ..base.messages import Begin
from ..notify.notification import NOTIFY_SOCKET, shared_socket
from ..spec.agent_spec import AgentSpec
from .confinement import Account

PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR",
    "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_CACHE_HOME", "XDG_STATE_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "TRACEPARENT", "TRACESTATE", "SUPTREE_HOME", "SUPTREE_TREE", "SUPTREE_CGROUPS",
)  # fmt: skip
"""What every agent gets of the environment that suptree was started with: who and where it is, its language, whom it may trust."""

_OF_THE_USER = ("HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_*", "SUPTREE_*")
"""What of that an agent that runs as another user does not get."""

_FOR_THE_LAUNCHER = (*PASSED_ON, "PYTHON*", "LD_LIBRARY_PATH", "LD_PRELOAD", "SUPTREE_*")
"""What the launcher needs: the same Python must start, and find suptree."""

_NEVER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_*", "SUPTREE_AGENT_ID", "SUPTREE_RUN_ID", "SUPTREE_RESTART_COUNT")
"""What was said to the process that has it, and is wrong for any other."""


def chosen(environment: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """The variables whose names match one of the patterns: a name, or one with `*` for any characters."""
    patterns = tuple(patterns)
    return {name: value for name, value in environment.items() if _matches(name, patterns) and not _matches(name, _NEVER)}


def launcher_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the environment of a person or program its launcher is started with; it holds no secret that nobody named."""
    found = chosen(environment, _FOR_THE_LAUNCHER)
    if "PYTHONPATH" in found:
        # An empty entry would be the folder that it is started in.
        found["PYTHONPATH"] = os.pathsep.join(filter(None, found["PYTHONPATH"].split(os.pathsep)))
    return found


def base_environment(account: Account | None) -> dict[str, str]:
    """What an agent gets whatever its table says; `account` is the user that it runs as, if it is another than ours."""
    found = chosen(os.environ, PASSED_ON)
    if account is None:
        return found
    others = {name: value for name, value in found.items() if not _matches(name, _OF_THE_USER)}
    return {**others, "HOME": account.home, "USER": account.name, "LOGNAME": account.name, "SHELL": account.shell}


def agent_environment(begin: Begin, from_file: Mapping[str, str], account: Account | None) -> dict[str, str]:
    """What an agent finds in its environment; `from_file` is what its `env_from` holds now."""
    spec: AgentSpec = begin.spec
    context = begin.context
    socket = Path(context.runtime_dir) / NOTIFY_SOCKET if account is None else shared_socket(context.shared_dir, account.uid)
    found = {
        **base_environment(account),
        **spec.inherited,
        **from_file,
        **spec.env,
        "SUPTREE_AGENT_ID": begin.id,
        "SUPTREE_RUN_ID": context.run_id,
        "SUPTREE_RESTART_COUNT": str(begin.restarts),
        "NOTIFY_SOCKET": str(socket),
    }
    if spec.watchdog:
        found["WATCHDOG_USEC"] = str(int(spec.heartbeat.dead_after * 1_000_000))
    return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
