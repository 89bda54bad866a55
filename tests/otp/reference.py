"""Erlang's own supervisor, asked about batches of scenarios; needs `erl` and `erlc` (Debian: erlang-base)."""

import hashlib
import pathlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

from suptree.scripts.otp_simulation import Simulation

HERE = pathlib.Path(__file__).resolve().parent
HAS_ERLANG = shutil.which("erl") is not None and shutil.which("erlc") is not None

Scenario = dict[str, Any]


def ask_erlang(batches: list[str], tmp: pathlib.Path) -> list[str]:
    """The lines that reference.erl prints for the batches."""
    subprocess.run(["erlc", "-o", str(tmp), str(HERE / "reference.erl")], check=True)
    asked = tmp / "batches"
    asked.write_text("".join(f"{batch}.\n" for batch in batches))
    command = ["erl", "-noshell", "+S", "1:1", "-pa", str(tmp), "-s", "reference", "main", str(asked)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp).stdout.splitlines()


def trace(scenario: Scenario) -> str:
    """What the core does, as reference.erl writes it."""
    return ";".join(" ".join(words(step)) for step in Simulation(scenario).run())


def words(step: list[Any]) -> Iterator[str]:
    """The words of one step of a trace."""
    for word in step:
        if isinstance(word, list):
            yield from ("=".join(pair) for pair in word)
        else:
            yield str(word)


def digest(scenarios: Iterable[Scenario]) -> str:
    """The MD5 of the traces of many scenarios."""
    md5 = hashlib.md5(usedforsecurity=False)
    for scenario in scenarios:
        md5.update(trace(scenario).encode() + b"\n")
    return md5.hexdigest().upper()


# ---- Erlang terms ----------------------------------------------------------------------------------


def tree_term(scenario: Scenario) -> str:
    """A scenario without its events."""
    flags = f"{{{scenario['strategy']},{scenario['intensity']},{scenario['auto_shutdown']}}}"
    return f"{{{flags},[{','.join(child_term(child) for child in scenario['children'])}]}}"


def child_term(child: dict[str, Any]) -> str:
    """One child."""
    significant = str(child["significant"]).lower()
    return f"{{{child['id']},{child['restart']},{significant},{child['shutdown']},[{','.join(child['start'])}]}}"


def event_term(event: list[Any]) -> str:
    """One event."""
    if len(event) == 1:
        return str(event[0])
    return "{" + ",".join(child_term(part) if isinstance(part, dict) else str(part) for part in event) + "}"


def events_term(events: list[list[Any]]) -> str:
    """A list of events."""
    return f"[{','.join(map(event_term, events))}]"
