"""What an exit means, in words for a person: what happened, why we think so, and what can be done."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..exits import CAUSE_IDS, CauseId, ExitClass


@dataclass(frozen=True, slots=True)
class Cause:
    """`what` happened, `because` of which sign we say so, and one sentence of `advice`."""

    what: str
    because: str
    advice: str


BY_CLASS: dict[ExitClass, Cause] = {
    ExitClass.SHUTDOWN: Cause(
        "It was stopped on request.",
        "the stop was requested before it ended",
        "Nothing needs to be done.",
    ),
    ExitClass.NORMAL: Cause(
        "It finished its work.",
        "its exit status was 0, or its run() returned",
        "Nothing needs to be done.",
    ),
    ExitClass.HUNG: Cause(
        "It hung: it was alive, but silent for too long, and was killed for that.",
        "no sign of life came from it in time",
        "See what it did last in its output; if it may be silent for so long, give it a longer heartbeat dead_after.",
    ),
    ExitClass.UNHEALTHY: Cause(
        "It was alive, but its health check failed, and it was killed for that.",
        "its health_check() or its liveness probe failed",
        "See what it did last in its output, and what its health check asks for.",
    ),
    ExitClass.STARTUP_TIMEOUT: Cause(
        "It did not become ready in time, and was killed for that.",
        "it had not started, or had not said READY=1, within startup_timeout",
        "See how far it came in its output; if it needs longer to start, give it a longer heartbeat startup_timeout.",
    ),
    ExitClass.BUDGET: Cause(
        "It exceeded one of its limits, and was stopped for that.",
        "what it used was compared with the limits of its spec",
        "See what it used it for, or raise that limit in its limits.",
    ),
    ExitClass.OOM: Cause(
        "It ran out of memory: the kernel killed it (OOM kill).",
        "its control group counted an OOM kill",
        "Compare its peak memory with limits.memory_max and with what the machine has; raise the limit, or make it use less.",
    ),
    ExitClass.PERMANENT: Cause(
        "It cannot run as it is configured; another start would fail in the same way.",
        "its command cannot be executed, its exit status means so (64, 77, 78, 126, 127, or what its spec says), or it said so itself",
        "Correct the command, its arguments or its settings.",
    ),
    ExitClass.QUOTA: Cause(
        "It ran into a quota or a rate limit, and asks to be tried again later.",
        "its exit status means so (75, or what its spec says), or it said so itself",
        "Wait for the quota, or raise it; with park = true such an exit waits and costs no restart.",
    ),
    ExitClass.EXTERNAL: Cause(
        "Somebody outside the tree ended it.",
        "it ended by HUP, INT or TERM, which nobody in the tree had sent",
        "Find out who sent the signal: a person, a script, or the end of a session.",
    ),
    ExitClass.CRASH: Cause(
        "It crashed: it died by a signal, or its actor vanished.",
        "the kernel gave the signal as its exit status",
        "See the end of its error output, and whether it left a core dump.",
    ),
    ExitClass.FAILED: Cause(
        "It failed: it ended by itself, and not with success.",
        "its exit status was not 0, or its run() raised an exception",
        "See the end of its error output: the last lines mostly say why.",
    ),
}

_NOT_FOUND = Cause(
    "A command was not found.",
    "there is no such file, or a shell said so with exit status 127",
    "Install it, or correct command, cwd or PATH; the last error line mostly names what is missing.",
)
_NOT_EXECUTABLE = Cause(
    "A command was found, but cannot be executed.",
    "the kernel refused it, or a shell said so with exit status 126",
    "Make it executable (chmod +x), or name the program itself.",
)

BY_CAUSE: dict[CauseId, Cause] = {
    CauseId.TREE_TERMINATED: Cause(
        "SIGTERM was sent to every process of the tree, which stops it.",
        "the launcher heard SIGTERM when this agent ended",
        "Nothing is to be done; systemd's KillMode=mixed leaves the order of the stops to the tree.",
    ),
    CauseId.SUPERVISOR_ENDED: Cause(
        "The supervisor above it ended, and everything below that with it.",
        "nothing outlives its supervisor",
        "Ask for the death of that supervisor: `suptree explain` and its id.",
    ),
    CauseId.ACTOR_DIED: Cause(
        "The actor that ran it died, and took it along.",
        "the actor ended without a last word: its supervisor saw that through a pidfd",
        "The program was ended with its actor: find out who killed the actor, and whether the machine was short of memory.",
    ),
    CauseId.NO_PING_FROM_ACTOR: Cause(
        "It hung: its actor was alive, but silent for too long, and was killed for that.",
        "no ping from its actor came within dead_after",
        "See what it did last in its output; code that blocks the event loop keeps a native agent from answering.",
    ),
    CauseId.NO_PING_FROM_PROGRAM: Cause(
        "It hung: it was alive, but silent for too long, and was killed for that.",
        "no ping from it came within dead_after, or within the watchdog time that it asked for",
        "See what it did last in its output; if it may be silent for so long, give it a longer heartbeat dead_after.",
    ),
    CauseId.NO_PROGRESS: Cause(
        "It was stuck: it did nothing for too long, and was stopped for that.",
        "it wrote nothing, said no STATUS= and used no CPU time within progress.restart_after",
        "See what it did last in its output; if it may wait for so long, let it say so (STATUS=), or raise progress.restart_after.",
    ),
    CauseId.WATCHDOG_TRIGGER: Cause(
        "It reported itself as hung, and was stopped for that.",
        "it said WATCHDOG=trigger (sd_notify)",
        "See what it did last in its output: the program itself found that it does not get on.",
    ),
    CauseId.STOP_NOT_FINISHED: Cause(
        "It said that it was stopping, did not end in time, and was killed for that.",
        "it said STOPPING=1 (sd_notify), and still ran when the time of a stop was over",
        "See what it waits for in its output; if it needs longer to end, give its stop more time.",
    ),
    CauseId.MODEL_SILENT: Cause(
        "The model that it asked kept silent for too long.",
        "no answer came within the timeout of its config",
        "See whether the provider has trouble; if its answers may take so long, give it a longer config.timeout.",
    ),
    CauseId.PROBE_FAILED: Cause(
        "It was alive, but its liveness probe failed, and it was stopped for that.",
        "the probe failed failure_threshold times in a row",
        "See what the probe asks for, and what the program did last in its output.",
    ),
    CauseId.HEALTH_CHECK_FAILED: Cause(
        "It was alive, but its health check failed, and it was stopped for that.",
        "its health_check() said so, raised an error, or took too long",
        "See what it did last in its output, and what its health check asks for.",
    ),
    CauseId.NOT_STARTED: Cause(
        "It did not start in time, and was killed for that.",
        "its program or its object was not there within startup_timeout",
        "See how far it came in its output; if it needs longer to start, give it a longer heartbeat startup_timeout.",
    ),
    CauseId.NOT_READY: Cause(
        "It did not become ready in time, and was killed for that.",
        "it ran, and had not said READY=1 within startup_timeout",
        'If the program does not speak sd_notify, it never says READY=1: remove ready = "notify". Else see how far it came in its output, '
        "or give it a longer heartbeat startup_timeout.",
    ),
    CauseId.MEMORY: Cause(
        "It used more memory than it may, and was stopped for that.",
        "what it and its descendants held was more than limits.memory_max",
        "See what it used the memory for, or raise limits.memory_max.",
    ),
    CauseId.PROCESSES: Cause(
        "It had more processes than it may, and was stopped for that.",
        "there were more of them than limits.pids_max",
        "See what it started in its output, or raise limits.pids_max.",
    ),
    CauseId.OUTPUT: Cause(
        "It wrote more than it may, and was stopped for that.",
        "its output was longer than limits.max_output",
        "See what it wrote, or raise limits.max_output.",
    ),
    CauseId.RUNTIME: Cause(
        "It ran longer than it may, and was stopped for that.",
        "its time was over: limits.max_runtime",
        "See how far it came in its output, or raise limits.max_runtime.",
    ),
    CauseId.TOKENS: Cause(
        "It has used up its tokens.",
        "those that its provider counted were compared with max_tokens of its config",
        "See what it used them for, or raise config.max_tokens; each incarnation has so many.",
    ),
    CauseId.SHORTAGE: Cause(
        "It could not start, because something was short: processes, memory, descriptors; or its program was being written.",
        "the kernel said so (EAGAIN, ENOMEM, EMFILE, ENFILE, ETXTBSY), for as long as the start was tried again",
        "See what uses it up (a limit on processes is pids.max or `ulimit -u`), and raise the limit.",
    ),
    CauseId.COMMAND_NOT_FOUND: _NOT_FOUND,
    CauseId.NOT_EXECUTABLE: _NOT_EXECUTABLE,
    CauseId.NOT_A_PROGRAM: Cause(
        "Its command is a file that is no program.",
        "the kernel found neither a binary for this machine nor a #! line in it (ENOEXEC)",
        "Begin a script with #! and its interpreter, or name the interpreter as command and the file in args; "
        "of a binary `file` says for which machine it was built, and an empty file has lost its content.",
    ),
    CauseId.NO_INTERPRETER: Cause(
        "The interpreter of its command was not found.",
        "the file is there, and what its #! line names, or the loader of a binary, is not (ENOENT)",
        "Correct its first line (#!), or install what that names; a carriage return at the end of that line belongs to the name "
        r"(`sed -i 's/\r$//'` removes it).",
    ),
    CauseId.IS_A_FOLDER: Cause("Its command is a folder.", "the kernel executes files only", "Name the program itself, with its folder."),
    CauseId.FACTORY_NOT_FOUND: Cause(
        "Its factory was not found, or cannot be called.",
        "importing or calling what the spec names failed",
        'Correct factory ("package.module:attribute"), or put the module on the path (PYTHONPATH, the folder of the tree file).',
    ),
    CauseId.NO_API_KEY: Cause(
        "It has no API key, or one that its provider refuses.",
        "the environment does not hold one, or the provider answered so (401, 403)",
        "Set the variable that the reason names in env, or in the environment of suptree; config.api_key_env can name another.",
    ),
    CauseId.MODEL_CONFIGURATION: Cause(
        "Its model cannot be reached as it is configured.",
        "it said so itself, before it asked or when its provider answered so",
        "Correct what the reason names: model, config, or the installation.",
    ),
}
"""What a cause says beyond its class."""

_FAULT = "the kernel ended it with that signal"
_NOT_ALLOWED = Cause(
    "The program did what the processor or the kernel does not allow.",
    _FAULT,
    "That is a bug in the program, or it is built for another machine: look for a core dump (coredumpctl).",
)

BY_SIGNAL: dict[int, Cause] = {
    signal.SIGSEGV: Cause(
        "Segmentation fault: it used memory that was not its own.",
        _FAULT,
        "That is a bug in the program or in a native library of it: look for a core dump (coredumpctl), or update it.",
    ),
    signal.SIGABRT: Cause(
        "It aborted: a check inside the program failed.",
        _FAULT,
        "The end of its error output mostly names the check; else look for a core dump (coredumpctl).",
    ),
    signal.SIGKILL: Cause(
        "It was killed with SIGKILL, and not by its supervisor.",
        "the kernel gave that signal as its exit status, and the tree had not sent it",
        "If nobody did that, the machine was short of memory: `journalctl -k` or `dmesg` then says so (Out of memory).",
    ),
    signal.SIGPIPE: Cause(
        "It wrote to a pipe or socket that nobody read any more (SIGPIPE).",
        _FAULT,
        "See what it talks to: that has ended before it.",
    ),
    **dict.fromkeys((signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP), _NOT_ALLOWED),
}
"""What a crash by a signal says beyond its class."""

_REFUSED_ARGUMENTS = Cause(
    "It refused its arguments or its configuration.",
    "its exit status was 64 (EX_USAGE) or 78 (EX_CONFIG)",
    "Correct its args or its configuration; the last error line mostly names the fault.",
)

BY_CODE: dict[int, Cause] = {
    64: _REFUSED_ARGUMENTS,
    77: Cause(
        "It was not allowed to do its work.",
        "its exit status was 77 (EX_NOPERM)",
        "Give it the permission or the login it asks for.",
    ),
    78: _REFUSED_ARGUMENTS,
    126: _NOT_EXECUTABLE,
    127: _NOT_FOUND,
}
"""What an exit status of class `permanent` says beyond its class."""

ACTOR_OF: dict[str, str] = {
    "native_llm": "A native agent lives in its actor: look for native code, exit calls and memory; else find out who killed the actor.",
    "supervisor": "A supervisor is a process of its own: find out who killed it, and whether the machine was short of memory.",
    "service": "A service is a process of its own: find out who killed it, and whether the machine was short of memory.",
}
"""What to do when an actor died, by what it ran; what BY_CAUSE says holds for a program."""


def cause_of(how: Mapping[str, Any], runs: str | None = None) -> Cause:
    """What an exit (`class`; `cause`, `signal`, `code`, which an old record may lack) means.

    `runs` is what the actor ran: the type of an agent, or the kind of anything else.
    """
    exit_class = ExitClass(how["class"])
    cause = how.get("cause")
    if cause in CAUSE_IDS:
        found = BY_CAUSE[CauseId(cause)]
        return replace(found, advice=ACTOR_OF.get(runs or "", found.advice)) if cause == CauseId.ACTOR_DIED else found
    by_fact = {ExitClass.CRASH: BY_SIGNAL.get(how.get("signal") or 0), ExitClass.PERMANENT: BY_CODE.get(how.get("code") or 0)}
    return by_fact.get(exit_class) or BY_CLASS[exit_class]
