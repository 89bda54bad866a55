"""How an incarnation ended: the exit classes, and the record that travels with every exit."""

import math
from dataclasses import dataclass
from enum import StrEnum

LONGEST_RETRY_AFTER = 30 * 24 * 3600.0
"""Seconds; an agent that says more is taken to have said this."""


def retry_time(said: object) -> float | None:
    """Seconds that can be waited for, of what somebody said when to come back; None when that is no time."""
    return float(min(said, LONGEST_RETRY_AFTER)) if isinstance(said, int | float) and 0 <= said < math.inf else None


class ExitClass(StrEnum):
    """Why an incarnation ended, as far as a restart decision needs to know."""

    SHUTDOWN = "shutdown"
    """A stop was requested."""
    NORMAL = "normal"
    """It finished its work: exit status 0, or `run()` returned."""
    HUNG = "hung"
    """It was silent for too long and was killed for it."""
    UNHEALTHY = "unhealthy"
    """Its health check failed and it was killed for it."""
    STARTUP_TIMEOUT = "startup_timeout"
    """It did not become ready in time."""
    BUDGET = "budget"
    """It exceeded one of its limits."""
    OOM = "oom"
    """The kernel killed it because memory was short."""
    PERMANENT = "permanent"
    """A failure that a restart cannot help: 64, 77, 78, 126 or 127, or a program that cannot be executed."""
    QUOTA = "quota"
    """A rate limit or quota: exit 75, or the agent said so."""
    EXTERNAL = "external"
    """Somebody else sent HUP, INT or TERM."""
    CRASH = "crash"
    """It died by a signal, or its actor vanished."""
    FAILED = "failed"
    """Any other exit status, or `run()` raised."""


class CauseId(StrEnum):
    """What happened, more exactly than the class says it; set where the fact is known, and only there.

    A signal and an exit status are facts of their own: `Exit.signal`, `Exit.code`.
    """

    TREE_TERMINATED = "tree_terminated"
    """SIGTERM was sent to every process of the tree, which stops it; class `shutdown`."""
    SUPERVISOR_ENDED = "supervisor_ended"
    """The supervisor above it ended."""
    ACTOR_DIED = "actor_died"
    """Its actor ended without a last word."""
    NO_PING_FROM_ACTOR = "no_ping_from_actor"
    NO_PING_FROM_PROGRAM = "no_ping_from_program"
    NO_PROGRESS = "no_progress"
    WATCHDOG_TRIGGER = "watchdog_trigger"
    """It said WATCHDOG=trigger (sd_notify)."""
    STOP_NOT_FINISHED = "stop_not_finished"
    """It said STOPPING=1, and did not end in time."""
    MODEL_SILENT = "model_silent"
    PROBE_FAILED = "probe_failed"
    HEALTH_CHECK_FAILED = "health_check_failed"
    NOT_STARTED = "not_started"
    """Its program or object was not there in time."""
    NOT_READY = "not_ready"
    """It ran, and had not said READY=1 in time."""
    MEMORY = "memory"
    PROCESSES = "processes"
    OUTPUT = "output"
    RUNTIME = "runtime"
    TOKENS = "tokens"
    SHORTAGE = "shortage"
    """Something that is needed to start was short for the moment: processes, memory, descriptors; or the program is being written."""
    COMMAND_NOT_FOUND = "command_not_found"
    NOT_EXECUTABLE = "not_executable"
    NOT_A_PROGRAM = "not_a_program"
    """The file of its command may be executed, and is neither a binary for this machine nor a script that begins with #!."""
    NO_INTERPRETER = "no_interpreter"
    """The interpreter of its command does not exist: what a #! line names, or the loader of a binary."""
    IS_A_FOLDER = "is_a_folder"
    FACTORY_NOT_FOUND = "factory_not_found"
    NO_API_KEY = "no_api_key"
    MODEL_CONFIGURATION = "model_configuration"


CAUSE_IDS = frozenset(CauseId)
"""Those that this version knows."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one incarnation.

    `reason` is for people (`exit 1`, `SIGSEGV`, `ValueError: no model`), and no program reads it; `last_error` is the last line of its
    error output; `retry_after` is in seconds and is given with `quota` alone; `during_start` is set when it ended before its minimum
    uptime. `cause` says what happened, where that is known more exactly than by the class; `signal` is the number of the signal that ended
    its main process or its actor, `code` the exit status of its main process (128 + `signal` where a shell reported that).
    """

    exit_class: ExitClass
    reason: str
    last_error: str | None = None
    retry_after: float | None = None
    during_start: bool = False
    cause: CauseId | None = None
    signal: int | None = None
    code: int | None = None

    @property
    def is_normal(self) -> bool:
        """Whether OTP would call the reason normal: `normal`, `shutdown` and `{shutdown, Term}` are."""
        return self.exit_class in (ExitClass.NORMAL, ExitClass.SHUTDOWN)

    @property
    def summary(self) -> str:
        """The class and the reason, for people."""
        return f"{self.exit_class} ({self.reason})"
