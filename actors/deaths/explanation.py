"""Why something died, and how it stands now: as a structure for programs, and as one screen for people."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..events.picture import Row, is_alive
from ..events.row_detail import described, remaining
from ..events.row_detail import detail as describe_row
from ..exits import ExitClass
from .causes import cause_of
from .post_mortem import ONE_SCREEN, Death, cut, exit_lines, labelled, life, prose, runs, story, summary
from .post_mortem_files import places
from .what_follows import NOT_WANTED, TO_DO

_EARLIER_SHOWN = 4
_MISSING = (
    "Its post-mortem is not there, or cannot be read: the disk was full, it was removed, or newer ones took its place;"
    " launcher.log says what could not be written."
)

Explanation = dict[str, Any]

_NOW: dict[str, str] = {
    "restart": "being started again",
    "leave": "left down, as its restart type says",
    "hold": "held for a person",
    "park": "parked",
    "quarantine": "quarantined: down until a person starts it",
    "escalate": "down: its supervisor gave up",
    "auto_shutdown": "down: its supervisor shut down with it",
    "wait": "down, until its supervisor has decided: that waits for the start of a sibling",
}
"""How a child stands after each decision, until something else happens to it."""

_WAITING: dict[str, str] = {"restart": "backing off", "park": "parked until its quota is back"}
"""The same while it waits for a time."""


def deaths_of(state: Path, child: str) -> list[Death]:
    """The deaths of a child that are kept, newest first, each with its `file`; reads files.

    Within a run they are in the order of their incarnations: the clock may have been set back meanwhile.
    """
    found = [(place, death) for place in places(state, child) if (death := place.read()) is not None]
    found.sort(key=lambda each: (str(each[1].get("run_began") or ""), each[0].incarnation, each[0].at), reverse=True)
    return [{**death, "file": str(place.path)} for place, death in found]


def explanation(tree: str, row: Row, supervisor: Row | None, deaths: list[Death], now: datetime) -> Explanation:
    """How a child of a tree that runs stands, `now` (`status`, `text`, `do`: a command or None), and its `deaths`, newest first.

    `missing` is its last death where that is not among them (`incarnation`, None where it is not known; `runs`, `at`, `exit`), else None.
    """
    newest = deaths[0] if deaths and row["last_exit"] and deaths[0]["at"] == row["last_exit"]["at"] else None
    text, todo = _now(row, newest, remaining(row), now)
    if todo is not None and supervisor is not None and supervisor["status"] in ("stopped", "crashed"):
        todo = f"suptree start {supervisor['id']}"
    return {
        "id": row["id"],
        "tree": tree,
        "now": {"status": row["status"], "text": text, "do": todo},
        "deaths": deaths,
        "missing": _missing(row, deaths),
    }


def _missing(row: Row, deaths: list[Death]) -> dict[str, Any] | None:
    """The last death of a child, as its row has it, where no post-mortem is of that death."""
    how = row["last_exit"]
    if how is None or how["class"] == ExitClass.SHUTDOWN or any(death["at"] == how["at"] for death in deaths):
        return None
    if how["class"] == ExitClass.NORMAL and row["decision"] not in NOT_WANTED:
        return None
    # A living child has been started again; its number is 1 where its supervisor did not know how many lives it has had.
    incarnation = row["incarnation"] - is_alive(row)
    return {"incarnation": incarnation or None, "runs": runs(row), "at": how["at"], "exit": how}


def explanation_after_the_run(tree: str, child: str, deaths: list[Death]) -> Explanation:
    """The same of a tree that does not run."""
    return {
        "id": child,
        "tree": tree,
        "now": {"status": "stopped", "text": f"tree {tree} does not run", "do": "suptree up FILE"},
        "deaths": deaths,
        "missing": None,
    }


def screen(explained: Explanation) -> list[str]:
    """The explanation for people: the last death in full, earlier ones in a line each, and how it stands now."""
    deaths, missing = explained["deaths"], explained.get("missing")
    now = explained["now"]
    if missing is not None:
        lines = _without_post_mortem(explained["id"], missing)
        # Each with its run, for that of the last death is not known.
        earlier = [summary(death, {}) for death in deaths]
    else:
        lines = [f"{life(deaths[0])} died; {_count(deaths)}" if deaths else f"{explained['id']} has not died."]
        for death in deaths[:1]:
            lines += story(death, ONE_SCREEN)
            lines += labelled("more in", [death["file"]])
        earlier = [summary(death, deaths[0]) for death in deaths[1:]]
    more = [f"… and {len(earlier) - _EARLIER_SHOWN} before"] if len(earlier) > _EARLIER_SHOWN else []
    lines += labelled("earlier", [*earlier[:_EARLIER_SHOWN], *more])
    lines += labelled("now", [now["text"]])
    lines += labelled("to do", [now["do"]] if now["do"] else [])
    return [line if line.startswith("more in") else cut(line, ONE_SCREEN.width) for line in lines]


def _without_post_mortem(child: str, missing: Mapping[str, Any]) -> list[str]:
    """The story of a death of which only the exit is known."""
    how, number = missing["exit"], missing["incarnation"]
    cause = cause_of(how, missing["runs"])
    return [
        f"{child if number is None else life({'id': child, 'incarnation': number})} died; its post-mortem is missing",
        *labelled("died", [_clock(missing["at"])]),
        *exit_lines(how, cause, ONE_SCREEN.width),
        *prose("advice", cause.advice, width=ONE_SCREEN.width),
        *prose("note", _MISSING, width=ONE_SCREEN.width),
    ]


def _count(deaths: list[Death]) -> str:
    return "the only death that is known" if len(deaths) == 1 else f"the last of {len(deaths)} deaths that are known"


def _now(row: Row, death: Death | None, left: float | None, now: datetime) -> tuple[str, str | None]:
    """How it stands, and what a person can do about it; `left` are the seconds of its backoff or park: the clock may have been set."""
    status = row["status"]
    if status in ("starting", "running", "stopping", "unknown"):
        since = f" since {_clock(row['started_at'])}" if status == "running" and row["started_at"] else ""
        pid = f", pid {row['pid']}" if row["pid"] else ""
        words = described(row)
        detail = f": {words}" if words else ""
        return f"{status}{since} (#{row['incarnation']}{pid}){detail}", None
    names = {"id": row["id"], "supervisor": row["supervisor"]}
    decision: Mapping[str, Any] | None = death["decision"] if death is not None else None
    if decision is None or (decision["delay"] and left is None):
        # Nothing was decided, or the wait that was decided has been ended.
        how = row["last_exit"]
        why = describe_row(row) or (f"{how['class']}, {how['reason']}" if how else "never started")
        since = f" since {_clock(row['stopped_at'])}" if row["stopped_at"] else ""
        return f"{status}{since}: {why}", TO_DO.get(row["decision"], "suptree start {id}").format(**names)
    todo = TO_DO.get(decision["decision"])
    text = _NOW[decision["decision"]]
    if left is not None:
        until = now + timedelta(seconds=left)
        text = f"{_WAITING.get(row['decision'], 'waiting')}: started again at {until:%Y-%m-%d %H:%M:%S} UTC ({left:.0f} s from now)"
    else:
        text += f" (since {_clock(decision['at'])})"
    return text, None if todo is None else todo.format(**names)


def _clock(at: str) -> str:
    moment = datetime.fromisoformat(at).astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
