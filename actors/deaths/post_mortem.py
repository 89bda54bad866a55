"""A post-mortem: all that is known of one death, as text that a person can read, and can attach to a bug report."""

import itertools
import json
import shlex
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..events.json_values import read_json
from ..output.printable import printable
from .advice import advice
from .causes import Cause, cause_of
from .death_shape import DEATH
from .what_follows import next_after

Death = Mapping[str, Any]
"""`id`, `kind`, `type`, `incarnation`, `restarts`, `tree`, `run_began`, `supervisor`, `at`, `lifetime` (seconds), `config`, `made_by`;
`log`; `exit` (`class`, `reason`, `last_error`); `timeline` (each `at`, `text`); `evidence` (the fields of Evidence);
`decision` (`decision`, `why`, `delay`, `affected`, `restarts_left`, `at`) or None."""

NO_LAST_WORD = "Its actor died without a last word: the output is what its log had of it, and what it used is not known."

_LABEL_WIDTH = 11
_FOR_PROGRAMS = "The same for programs (JSON):"


@dataclass(frozen=True, slots=True)
class Amount:
    """How many lines of each part are shown, and how wide."""

    timeline: int
    err: int
    out: int
    swept: int
    width: int


WHOLE = Amount(timeline=1000, err=1000, out=1000, swept=1000, width=1000)
ONE_SCREEN = Amount(timeline=7, err=5, out=3, swept=2, width=100)


def compose(death: Death) -> str:
    """The whole post-mortem; its last line is the death as JSON, which `parse` reads."""
    evidence = death["evidence"]
    environment = [f"{name}={value}" for name, value in evidence["environment"].items()] or ["(not known)"]
    return "\n".join(
        [
            f"Post-mortem of {death['kind']} {life(death)} in tree {death['tree']}, by {death['made_by']}",
            "",
            *story(death, WHOLE),
            *labelled("log", [death["log"]] if death["log"] else []),
            *labelled("variables", environment),
            "",
            _FOR_PROGRAMS,
            json.dumps(death),
            "",
        ]
    )


def parse(text: str) -> Death | None:
    """The death behind a post-mortem; None when the text is none, or a person has edited it so that it cannot be shown."""
    before, marker, after = text.rpartition(_FOR_PROGRAMS + "\n")
    try:
        found: Death | None = DEATH(read_json(after)) if marker and before else None
    except (ValueError, KeyError, TypeError):
        return None
    return found


def life(death: Death) -> str:
    """The incarnation that ended, as events name it."""
    return f"{death['id']} #{death['incarnation']}"


def story(death: Death, amount: Amount) -> list[str]:
    """The story of a death, a line each: what happened and why we think so, what was decided, and the evidence."""
    decision, evidence = death["decision"], death["evidence"]
    cause = cause_of(death["exit"], runs(death))
    decided = next_after(decision, death["id"])
    why = f" ({decision['why']})" if decision else ""
    left = f" Restarts left: {decision['restarts_left']}." if decision and decision["decision"] == "restart" else ""

    in_width = partial(prose, width=amount.width)
    run = f", in {run_of(death)}" if death.get("run_began") else ""
    lines = [
        *labelled("died", [f"{death['at'][:19].replace('T', ' ')} UTC{_after(death['lifetime'])}{run}"]),
        *exit_lines(death["exit"], cause, amount.width),
        *in_width("decided", f"{decision['decision'] if decision else 'nothing'}{why}", f"{decided}{left}"),
        *in_width("advice", *advice(death, cause)),
        *labelled("command", _command(death)),
        *labelled("used", _used(evidence)),
        *in_width("note", *evidence.get("notes", ()), *([NO_LAST_WORD] if evidence["from_log"] else [])),
        *labelled("left over", _swept(evidence, amount.swept)),
        *labelled("timeline", last((f"{moment['at'][11:23]}  {moment['text']}" for moment in death["timeline"]), amount.timeline)),
        *(_last_words(evidence, amount) if death["kind"] == "agent" else []),
    ]
    return [cut(line, amount.width) for line in lines]


def exit_lines(how: Mapping[str, Any], cause: Cause, width: int) -> list[str]:
    """An exit, what it means, and why we think so."""
    error = f"; {how['last_error']}" if how.get("last_error") and how["last_error"] not in how["reason"] else ""
    return [
        *prose("exit", f"{how['class']}: {how['reason']}{error}", width=width),
        *prose("what", cause.what, width=width),
        *prose("because", cause.because, width=width),
    ]


def runs(of: Mapping[str, Any]) -> str | None:
    """What the actor of a death or of a row ran: the type of an agent, or the kind of anything else."""
    return of.get("type") if of["kind"] == "agent" else of["kind"]


def prose(label: str, *sentences: str, width: int) -> list[str]:
    """Sentences under a label, wrapped."""
    return labelled(label, [line for sentence in sentences for line in wrap(sentence, width - _LABEL_WIDTH)])


def run_of(death: Death) -> str:
    """The run of the tree that it belongs to, by the time of its start; the numbers of incarnations begin anew in each."""
    began = death.get("run_began")
    return f"the run of {began[:19].replace('T', ' ')} UTC" if began else "an earlier run"


def summary(death: Death, newest: Death) -> str:
    """One death in one line, with its run where that is not the run of the newest death."""
    how, decision = death["exit"], death["decision"]
    run = "" if death.get("run_began") == newest.get("run_began") else f"  ({run_of(death)})"
    return f"#{death['incarnation']}  {death['at'][:19].replace('T', ' ')}  {how['class']}, {how['reason']} → {_short(decision)}{run}"


def labelled(label: str, lines: Iterable[str]) -> list[str]:
    """Lines under a label, which stands beside the first; nothing when there are none."""
    return [f"{label if number == 0 else '':{_LABEL_WIDTH}}{printable(line)}".rstrip() for number, line in enumerate(lines)]


def last(lines: Iterable[str], count: int) -> list[str]:
    """The last so many lines; when there are more, the first line says so."""
    found = list(lines)
    left_out = len(found) - count
    return [f"… {left_out + 1} more before", *found[left_out + 1 :]] if left_out > 0 else found


def cut(line: str, width: int) -> str:
    """A line no wider than that on a terminal."""
    return line if _columns(line) <= width else f"{_fitting(line, width - 1)}…"


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: the characters of East Asia take two."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fitting(text: str, width: int) -> str:
    """As much of the beginning of a text as fits."""
    if text.isascii():
        return text[:width]
    ends = itertools.accumulate(map(_columns_of, text))
    return text[: sum(1 for end in ends if end <= width)]


def wrap(text: str, width: int) -> list[str]:
    """A sentence in lines that are no wider than that on a terminal; text without spaces is broken anywhere."""
    lines: list[str] = []
    for line in textwrap.wrap(text, width):
        rest = line
        while _columns(rest) > width:
            lines.append(_fitting(rest, width))
            rest = rest[len(lines[-1]) :]
        lines.append(rest)
    return lines


def size(count: float) -> str:
    """A number of bytes for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _last_words(evidence: Mapping[str, Any], amount: Amount) -> list[str]:
    said = evidence.get("said")
    if said is None:  # An earlier version kept each stream by itself.
        streams = (("stderr", last(evidence["err"], amount.err)), ("stdout", last(evidence["out"], amount.out)))
        return [line for label, lines in streams for line in labelled(label, lines or ["(nothing)"])]
    said = [each for each in said if each["text"].strip()]
    out = [each for each in said if each["source"] == "out"]
    other = [each for each in said if each["source"] != "out"]
    shown = sorted([*out[-amount.out :], *other[-amount.err :]], key=lambda each: each["at"])
    left_out = len(said) - len(shown)
    lines = [f"{each['at'][11:23]:12}  {each['source']:3}  {each['text']}" for each in shown]
    more = [f"… {left_out} more before or between"] if left_out else []
    return labelled("last words", [*more, *lines] or ["(nothing was said on stdout or stderr)"])


def _short(decision: Mapping[str, Any] | None) -> str:
    if decision is None:
        return "nothing was decided"
    after = f" after {decision['delay']:.1f} s" if decision["delay"] else ""
    return f"{decision['decision']}{after}"


def _after(lifetime: float | None) -> str:
    return "" if lifetime is None else f", {lifetime:.1f} s after its start"


def _command(death: Death) -> list[str]:
    config = death["config"]
    if config.get("command"):
        return [shlex.join([config["command"], *config.get("args", [])]) + (f"   in {config['cwd']}" if config.get("cwd") else "")]
    return [f"factory {config['factory']}"] if config.get("factory") else []


def _used(evidence: Mapping[str, Any]) -> list[str]:
    used = evidence["usage"]
    if used is None:
        return []
    # Up to 0.1.0 a post-mortem kept, beside a peak that may have been that of the actor's copy, how large that was.
    peak = used["peak_memory"] if (used["peak_memory"] or 0) > used.get("memory_floor", 0) else None
    return [f"{'' if peak is None else f'{size(peak)} of memory at its peak, '}{used['cpu_time']:.2f} s of CPU time"]


def _swept(evidence: Mapping[str, Any], count: int) -> list[str]:
    swept = evidence["swept"]
    lines = [f"{process['pid']}  {process['command']}" for process in swept[:count]]
    more = [f"… and {len(swept) - count} more"] if len(swept) > count else []
    return [f"{len(swept)} {'processes' if len(swept) > 1 else 'process'}, ended with it:", *lines, *more] if swept else []
