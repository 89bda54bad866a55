"""What an exit means, in words for a person: what happened, why we think so, and what can be done."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..exits import ExitClass


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
        "no ping from it came within dead_after",
        "See what it did last in its output; if it may be silent for so long, give it a longer heartbeat dead_after.",
    ),
    ExitClass.UNHEALTHY: Cause(
        "It was alive, but its health check failed, and it was killed for that.",
        "its health_check() said so",
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
        "Mend the command, its arguments or its settings.",
    ),
    ExitClass.QUOTA: Cause(
        "It ran into a quota or a rate limit, and asks to be tried again later.",
        "its exit status means so (75, or what its spec says), or it said so itself",
        "Wait for the quota, or raise it; with park = true such an exit waits and costs no restart.",
    ),
    ExitClass.EXTERNAL: Cause(
        "Somebody outside the tree told it to end.",
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

_FAULT = "the kernel ended it with that signal"

# The first whose pattern is found in the reason, among those of the class (or of any), says more than the class does.
BY_REASON: tuple[tuple[ExitClass | None, re.Pattern[str], Cause], ...] = tuple(
    (exit_class, re.compile(pattern), cause)
    for exit_class, pattern, cause in (
        (
            None,
            "^supervisor .* ended: ",
            Cause(
                "The supervisor above it ended, and everything below that with it.",
                "nothing outlives its supervisor",
                "Ask for the death of that supervisor: `suptree explain` and its id.",
            ),
        ),
        (
            ExitClass.HUNG,
            "WATCHDOG=trigger",
            Cause(
                "It reported itself as hung, and was stopped for that.",
                "it said WATCHDOG=trigger (sd_notify)",
                "See what it did last in its output: the program itself found that it does not get on.",
            ),
        ),
        (
            ExitClass.HUNG,
            "^no answer of the model",
            Cause(
                "The model that it asked kept silent for too long.",
                "no answer came within the timeout of its config",
                "See whether the provider has trouble; if its answers may take so long, give it a longer config.timeout.",
            ),
        ),
        (
            ExitClass.BUDGET,
            "max_tokens",
            Cause(
                "It has used up its tokens.",
                "those that its provider counted were compared with max_tokens of its config",
                "See what it used them for, or raise config.max_tokens; each incarnation has so many.",
            ),
        ),
        (
            ExitClass.PERMANENT,
            "API key",
            Cause(
                "It has no API key, or one that its provider refuses.",
                "the environment does not hold one, or the provider answered so (401, 403)",
                "Set the variable that the reason names in env, or in the environment of suptree; config.api_key_env can name another.",
            ),
        ),
        (
            ExitClass.PERMANENT,
            r"^(config\.|model |provider |LLMAgent )",
            Cause(
                "Its model cannot be reached as it is configured.",
                "it said so itself, before it asked or when it was told by the provider",
                "Correct what the reason names: model, config, or the installation.",
            ),
        ),
        (
            ExitClass.CRASH,
            "^its actor (died|ended)",
            Cause(
                "The actor that ran it died, and took it along.",
                "the actor ended without a last word: its supervisor saw that through a pidfd",
                "A native agent lives in its actor, so look for native code, exit calls and memory; else for who killed the actor.",
            ),
        ),
        (
            ExitClass.CRASH,
            "SIGSEGV",
            Cause(
                "Segmentation fault: it used memory that was not its own.",
                _FAULT,
                "That is a bug in the program or in a native library of it: look for a core dump (coredumpctl), or update it.",
            ),
        ),
        (
            ExitClass.CRASH,
            "SIGABRT",
            Cause(
                "It aborted: a check inside the program failed.",
                _FAULT,
                "The end of its error output mostly names the check; else look for a core dump (coredumpctl).",
            ),
        ),
        (
            ExitClass.CRASH,
            "SIGKILL",
            Cause(
                "It was killed with SIGKILL, and not by its supervisor.",
                "the kernel gave that signal as its exit status, and the tree had not sent it",
                "If nobody did that, the machine was short of memory: `journalctl -k` or `dmesg` then says so (Out of memory).",
            ),
        ),
        (
            ExitClass.CRASH,
            "SIGPIPE",
            Cause(
                "It wrote to a pipe or socket that nobody read any more (SIGPIPE).",
                _FAULT,
                "See what it talks to: that has ended before it.",
            ),
        ),
        (
            ExitClass.CRASH,
            "SIG(BUS|FPE|ILL|SYS|TRAP)",
            Cause(
                "The program did what the processor or the kernel does not allow.",
                _FAULT,
                "That is a bug in the program, or it is built for another machine: look for a core dump (coredumpctl).",
            ),
        ),
        (
            ExitClass.PERMANENT,
            "exit 127|command not found",
            Cause(
                "A command was not found.",
                "there is no such file, or a shell said so with exit status 127",
                "Install it, or correct command, cwd or PATH; the last error line mostly names what is missing.",
            ),
        ),
        (
            ExitClass.PERMANENT,
            "is a folder",
            Cause("Its command is a folder.", "the kernel executes files only", "Name the program itself, with its folder."),
        ),
        (
            ExitClass.PERMANENT,
            "exit 126|not executable|is not a program",
            Cause(
                "A command was found, but cannot be executed.",
                "the kernel refused it, or a shell said so with exit status 126",
                "Make it executable (chmod +x), or name the program itself.",
            ),
        ),
        (
            ExitClass.PERMANENT,
            "exit 77",
            Cause(
                "It was not allowed to do its work.",
                "its exit status was 77 (EX_NOPERM)",
                "Give it the permission or the login it asks for.",
            ),
        ),
        (
            ExitClass.PERMANENT,
            "exit (64|78)",
            Cause(
                "It refused its arguments or its configuration.",
                "its exit status was 64 (EX_USAGE) or 78 (EX_CONFIG)",
                "Correct its args or its configuration; the last error line mostly names the fault.",
            ),
        ),
        (
            ExitClass.PERMANENT,
            "^factory ",
            Cause(
                "Its factory was not found.",
                "importing what the spec names failed",
                'Correct factory ("package.module:attribute"), or put the module on the path (PYTHONPATH, the folder of the tree file).',
            ),
        ),
    )
)


def cause_of(how: Mapping[str, Any]) -> Cause:
    """What an exit (`class`, `reason`) means."""
    exit_class = ExitClass(how["class"])
    for of_class, pattern, cause in BY_REASON:
        if of_class in (None, exit_class) and pattern.search(how["reason"]):
            return cause
    return BY_CLASS[exit_class]


NEXT: dict[str | None, str] = {
    "restart": "It is started again{after}{along}.",
    "leave": "It stays down, as its restart type says.",
    "hold": "It is held: it stays down until a person starts it.",
    "park": "It is parked: it is started again{after}{along}, and that costs no restart.",
    "quarantine": "It is quarantined: it stays down until a person starts it; its siblings run on.",
    "escalate": "Its supervisor gives up: it stops its other children and ends.",
    "auto_shutdown": "It was significant: its supervisor stops its other children and ends.",
    "wait": "Its supervisor waits for the start of a sibling, and decides after that.",
    None: "Nothing was decided about it: what it belonged to was ending, or was being stopped or restarted as a whole.",
}
"""What follows from each decision."""

TO_DO: dict[str | None, str] = {
    "leave": "suptree start {id}",
    "hold": "mend the cause, then: suptree start {id}",
    "park": "nothing; or, to start it before its time: suptree start {id}",
    "quarantine": "mend the cause, then: suptree start {id}",
    "escalate": "suptree explain {supervisor}",
    "auto_shutdown": "suptree start {supervisor}",
}
"""What a person can do while a child is down for that decision."""


def next_after(decision: Mapping[str, Any] | None, child: str) -> str:
    """What follows from a decision (a `…_decided` event, or None), as a sentence."""
    if decision is None:
        return NEXT[None]
    others = [other for other in decision["affected"] if other != child]
    after = f" after {decision['delay']:.1f} s" if decision["delay"] else " at once"
    return NEXT[decision["decision"]].format(after=after, along=f", along with {', '.join(others)}" if others else "")
