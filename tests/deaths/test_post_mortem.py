"""What a post-mortem says, and how many are kept."""

import signal
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suptree.actors.deaths import post_mortem_files as files
from suptree.actors.deaths.causes import BY_CAUSE, BY_CLASS, BY_CODE, BY_SIGNAL, cause_of
from suptree.actors.deaths.death_recorder import Deaths
from suptree.actors.deaths.evidence import evidence_in_log, shortened
from suptree.actors.deaths.exit_classes import classify
from suptree.actors.deaths.post_mortem import ONE_SCREEN, WHOLE, Death, compose, parse, story
from suptree.actors.deaths.what_follows import NEXT
from suptree.actors.events.entry import Entry, exit_as_json, exit_from_json
from suptree.actors.events.event_types import Decided, Event, Exited, Kind, Started, Starting, StatusText
from suptree.actors.exits import CauseId, Exit, ExitClass
from suptree.actors.output.newest_part import end_of
from suptree.actors.output.output_log import OutputLog, log_path
from suptree.supervisors.decisions.core_commands import Decision

DEATH: dict[str, Any] = {
    "id": "coder",
    "kind": "agent",
    "type": "process_wrapper",
    "incarnation": 3,
    "restarts": 2,
    "tree": "shop",
    "supervisor": "writers",
    "at": "2026-01-02T03:04:05.678Z",
    "lifetime": 12.34,
    "exit": {"class": "crash", "reason": "SIGSEGV", "last_error": "oh no", "signal": 11},
    "config": {"command": "sh", "args": ["-c", "kill -SEGV $$"], "cwd": "/work"},
    "timeline": [{"at": "2026-01-02T03:03:53.333Z", "text": "starting"}, {"at": "2026-01-02T03:04:05.678Z", "text": "exited: crash"}],
    "evidence": {
        "said": [
            {"at": "2026-01-02T03:04:05.100Z", "source": "out", "text": "hello"},
            {"at": "2026-01-02T03:04:05.600Z", "source": "err", "text": "oh no"},
        ],
        "out": ["hello"],
        "err": ["oh no"],
        "usage": {"peak_memory": 50 * 2**20, "cpu_time": 1.5},
        "swept": [{"pid": 11, "command": "sleep 600"}],
        "environment": {"A_KEY": "[redacted]", "LANG": "C"},
        "from_log": False,
        "notes": [],
    },
    "decision": {
        "decision": "restart",
        "why": "crash (SIGSEGV)",
        "delay": 2.0,
        "affected": ["coder", "reviewer"],
        "restarts_left": 1,
        "at": "…",
    },
    "made_by": "suptree 1",
    "log": "/state/logs/coder.log",
}

STORY = """\
died       2026-01-02 03:04:05 UTC, 12.3 s after its start
exit       crash: SIGSEGV; oh no
what       Segmentation fault: it used memory that was not its own.
because    the kernel ended it with that signal
decided    restart (crash (SIGSEGV))
           It is started again after 2.0 s, along with reviewer. Restarts left: 1.
advice     That is a bug in the program or in a native library of it: look for a core dump
           (coredumpctl), or update it.
command    sh -c 'kill -SEGV $$'   in /work
used       50.0 MiB of memory at its peak, 1.50 s of CPU time
left over  1 process, ended with it:
           11  sleep 600
timeline   03:03:53.333  starting
           03:04:05.678  exited: crash
last words 03:04:05.100  out  hello
           03:04:05.600  err  oh no"""


def with_evidence(**evidence: Any) -> dict[str, Any]:
    return {**DEATH, "evidence": {**DEATH["evidence"], **evidence}}


def test_the_story_of_a_death() -> None:
    assert STORY.splitlines() == story(DEATH, ONE_SCREEN)


def test_a_post_mortem_is_the_story_the_environment_and_itself_for_programs() -> None:
    text = compose(DEATH)
    assert "Post-mortem of agent coder #3 in tree shop, by suptree 1" == text.splitlines()[0]
    assert text.index("sleep 600") < text.index("A_KEY=[redacted]\n           LANG=C\n") < text.index("for programs")
    assert DEATH == parse(text)


@pytest.mark.parametrize("text", ["", "{}", "no post-mortem", compose(DEATH)[:-10]])
def test_what_is_no_post_mortem_is_not_read_as_one(text: str) -> None:
    assert parse(text) is None


def test_a_death_with_very_much_evidence_fits_one_screen() -> None:
    swept = [{"pid": 1000 + n, "command": "x" * 300} for n in range(40)]
    much = [{"at": DEATH["at"], "source": source, "text": "x" * 500} for source in ("out", "err") for _ in range(20)]
    death = {**with_evidence(said=much, swept=swept, from_log=True), "timeline": DEATH["timeline"] * 15}
    shown = story(death, ONE_SCREEN)
    assert len(shown) <= 34
    assert max(map(len, shown)) <= 100
    assert "last words … 32 more before or between" in shown
    assert "           … and 38 more" in shown


def test_what_an_agent_printed_does_not_move_the_cursor() -> None:
    shown = "\n".join(story(with_evidence(said=[{"at": DEATH["at"], "source": "err", "text": "\x1b[2Jgone\r\x07 ü"}]), WHOLE))
    assert r"\x1b[2Jgone\r\x07 ü" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("usage", [{"peak_memory": None}, {"peak_memory": 20 * 2**20, "memory_floor": 30 * 2**20}])
def test_a_peak_of_memory_that_is_not_known_is_left_out(usage: dict[str, Any]) -> None:
    assert "used       0.25 s of CPU time" in story(with_evidence(usage={**usage, "cpu_time": 0.25}), WHOLE)


def test_a_note_stands_in_the_story() -> None:
    assert "note       The kernel killed a helper." in story(with_evidence(notes=["The kernel killed a helper."]), WHOLE)


def test_an_actor_that_left_no_word_is_mentioned() -> None:
    shown = story(with_evidence(usage=None, from_log=True), WHOLE)
    assert ["note"] == [line.split()[0] for line in shown if "without a last word" in line]


def test_a_death_about_which_nothing_was_decided_says_so() -> None:
    assert any("Nothing was decided" in line for line in story({**DEATH, "decision": None}, WHOLE))


def test_there_are_words_for_every_class_and_every_decision() -> None:
    assert set(BY_CLASS) == set(ExitClass)
    assert set(NEXT) == {None, *(decision.value for decision in Decision)}


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (Exit(ExitClass.OOM, "…"), "ran out of memory"),
        (classify(-signal.SIGSEGV), "Segmentation fault"),
        (classify(139), "Segmentation fault"),
        (classify(-signal.SIGKILL), "killed with SIGKILL"),
        (Exit(ExitClass.CRASH, "…", cause=CauseId.ACTOR_DIED, signal=signal.SIGSEGV), "The actor that ran it died"),
        (Exit(ExitClass.CRASH, "…", cause=CauseId.SUPERVISOR_ENDED), "The supervisor above it ended"),
        (classify(127), "A command was not found"),
        (Exit(ExitClass.PERMANENT, "…", cause=CauseId.COMMAND_NOT_FOUND), "A command was not found"),
        (classify(126), "cannot be executed"),
        (classify(78), "refused its arguments"),
        (Exit(ExitClass.PERMANENT, "…", cause=CauseId.FACTORY_NOT_FOUND), "factory"),
        (Exit(ExitClass.HUNG, "…", cause=CauseId.NO_PING_FROM_PROGRAM), "silent for too long"),
        (Exit(ExitClass.HUNG, "…", cause=CauseId.WATCHDOG_TRIGGER), "reported itself"),
        (Exit(ExitClass.BUDGET, "…", cause=CauseId.TOKENS), "used up its tokens"),
        (Exit(ExitClass.PERMANENT, "…", cause=CauseId.NO_API_KEY), "no API key"),
        (classify(75), "rate limit"),
        (classify(1), "ended by itself"),
    ],
)
def test_each_cause_has_its_own_words(how: Exit, what: str) -> None:
    assert what in cause_of(exit_as_json(how)).what


def test_there_are_words_for_every_cause() -> None:
    assert set(CauseId) == set(BY_CAUSE)


def test_a_cause_travels_in_the_record_and_one_that_is_not_known_is_left_out() -> None:
    how = Exit(ExitClass.CRASH, "…", cause=CauseId.ACTOR_DIED, signal=9)
    assert how == exit_from_json(exit_as_json(how))
    assert replace(how, cause=None) == exit_from_json({**exit_as_json(how), "cause": "of a later version"})


@pytest.mark.parametrize("exit_class", ExitClass)
def test_a_record_of_an_earlier_version_explains_itself_by_its_class(exit_class: ExitClass) -> None:
    assert BY_CLASS[exit_class] == cause_of({"class": exit_class.value, "reason": "SIGSEGV, exit 127, command not found, API key"})


def test_what_a_reason_says_in_words_changes_nothing() -> None:
    assert BY_CLASS[ExitClass.FAILED] == cause_of(exit_as_json(Exit(ExitClass.FAILED, "ValueError: SIGSEGV, exit 127", code=127)))


def test_the_advice_about_a_dead_actor_is_about_what_it_ran() -> None:
    how = exit_as_json(Exit(ExitClass.CRASH, "its actor died by SIGKILL", cause=CauseId.ACTOR_DIED, signal=9))
    assert "native" in cause_of(how, "native_llm").advice
    for runs in ("supervisor", "service", "process_wrapper"):
        assert "native" not in cause_of(how, runs).advice


def test_each_advice_is_a_sentence() -> None:
    causes = [*BY_CLASS.values(), *BY_CAUSE.values(), *BY_SIGNAL.values(), *BY_CODE.values()]
    assert [] == [cause.advice for cause in causes if not cause.advice.endswith(".") or not cause.what.endswith(".")]


def test_an_endless_reason_is_cut() -> None:
    assert ("short", 1000) == (shortened("short"), len(shortened("x" * 100_000)))


def test_a_record_of_an_earlier_version_shows_each_stream() -> None:
    old = {key: value for key, value in DEATH["evidence"].items() if key != "said"}
    assert ["stderr     oh no", "stdout     hello"] == story({**DEATH, "evidence": old}, WHOLE)[-2:]


@pytest.mark.parametrize(("decision", "expected"), [("restart", True), ("escalate", True), ("leave", False), ("auto_shutdown", False)])
def test_a_normal_end_is_kept_where_it_was_not_wanted(tmp_path: Path, decision: str, expected: bool) -> None:
    deaths = Deaths("shop", str(tmp_path))
    deaths.hear(reported(starting(), 1))
    deaths.hear(reported(Exited(Kind.AGENT, "a", 1, exit=classify(0)), 2))
    assert [] == the_deaths(tmp_path)
    what = Decided(Kind.AGENT, "a", 1, decision=decision, why="…", affected=("a",), restarts_left=1)
    deaths.hear(reported(what, 3))
    assert expected == bool(the_deaths(tmp_path))


def test_the_log_of_a_normal_end_is_read_only_where_the_end_was_not_wanted(tmp_path: Path) -> None:
    deaths = Deaths("shop", str(tmp_path))
    deaths.hear(reported(starting(), 1))
    deaths.hear(reported(Exited(Kind.AGENT, "a", 1, exit=classify(0)), 2))
    log = OutputLog(log_path(str(tmp_path), "a"), 1)
    log.write("out", b"not there when the end was heard")
    log.close()
    deaths.hear(reported(decided(), 3))
    assert [["not there when the end was heard"]] == [death["evidence"]["out"] for death in the_deaths(tmp_path)]


# The files


def at(second: int, child: str = "coder", incarnation: int = 1) -> Death:
    return {**DEATH, "id": child, "incarnation": incarnation, "at": f"2026-01-02T03:{second // 60:02}:{second % 60:02}.000Z"}


def test_a_post_mortem_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = files.write(tmp_path, DEATH)
    assert "coder-3-20260102T030405678Z.txt" == path.name
    assert (0o600, 0o700) == (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))
    assert [DEATH] == [place.read() for place in files.places(tmp_path)]
    assert [path] == list(path.parent.iterdir())


def test_of_one_child_the_newest_are_kept(tmp_path: Path) -> None:
    for second in range(files.PER_CHILD + 3):
        files.write(tmp_path, at(second, incarnation=second + 1))
    files.write(tmp_path, at(0, "co-der-1"))
    assert list(range(4, files.PER_CHILD + 4)) == [place.incarnation for place in files.places(tmp_path, "coder")]
    assert ["co-der-1"] == [place.child for place in files.places(tmp_path, "co-der-1")]


def test_of_a_tree_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PER_TREE", 5)
    for second in range(8):
        files.write(tmp_path, at(second, f"a{second}"))
    assert [f"a{n}" for n in range(3, 8)] == [place.child for place in files.places(tmp_path)]


def test_what_is_no_post_mortem_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    files.folder(tmp_path).mkdir()
    other = files.folder(tmp_path) / "notes.txt"
    other.write_text("mine")
    files.write(tmp_path, DEATH)
    assert (1, True) == (len(files.places(tmp_path)), other.exists())


# From the events


def reported(event: Event, second: float, evidence: dict[str, Any] | None = None) -> Entry:
    stamp = f"2026-01-02T03:04:{second:06.3f}Z"
    return Entry(event=event, supervisor="root", at=stamp, monotonic=second, source="", serial=0, evidence=evidence)


def starting(incarnation: int = 1) -> Starting:
    config = {"command": "sh"}
    return Starting(Kind.AGENT, "a", incarnation, config=config, type="process_wrapper", restarts=0, actor_pid=6)


def exited(exit_class: ExitClass = ExitClass.FAILED) -> Exited:
    return Exited(Kind.AGENT, "a", 1, exit=Exit(exit_class, "exit 1", "no"))


def decided(incarnation: int = 1) -> Decided:
    return Decided(Kind.AGENT, "a", incarnation, decision="restart", why="failed", affected=("a",), restarts_left=2)


def the_deaths(state: Path) -> list[Death]:
    return [death for place in files.places(state) if (death := place.read()) is not None]


def test_a_death_is_written_immediately_and_completed_when_it_was_decided(tmp_path: Path) -> None:
    deaths = Deaths("shop", str(tmp_path))
    deaths.hear(reported(starting(), 1))
    deaths.hear(reported(Started(Kind.AGENT, "a", 1, pid=7), 1.5))
    deaths.hear(reported(exited(), 4, {**DEATH["evidence"], "err": ["no"]}))
    (first,) = the_deaths(tmp_path)
    deaths.hear(reported(decided(), 5))
    (second,) = the_deaths(tmp_path)
    assert (None, "restart") == (first["decision"], second["decision"]["decision"])
    assert ["starting", "started (pid 7)", "exited: failed, exit 1 (no)", "restart (failed)"] == [
        each["text"] for each in second["timeline"]
    ]
    assert (3.0, ["no"], {"command": "sh"}) == (second["lifetime"], second["evidence"]["err"], second["config"])


def test_a_wanted_end_leaves_no_post_mortem(tmp_path: Path) -> None:
    deaths = Deaths("shop", str(tmp_path))
    for exit_class in (ExitClass.NORMAL, ExitClass.SHUTDOWN):
        deaths.hear(reported(exited(exit_class), 1))
    deaths.hear(reported(decided(), 2))
    assert [] == the_deaths(tmp_path)


def test_a_decision_about_the_next_incarnation_does_not_touch_the_last_death(tmp_path: Path) -> None:
    deaths = Deaths("shop", str(tmp_path))
    deaths.hear(reported(exited(), 1))
    deaths.hear(reported(starting(2), 2))
    deaths.hear(reported(decided(2), 3))
    deaths.hear(reported(decided(), 4))
    assert [None] == [death["decision"] for death in the_deaths(tmp_path)]


def test_a_new_registry_completes_what_the_old_one_had_begun(tmp_path: Path) -> None:
    events = [reported(starting(), 1), reported(exited(), 2, {**DEATH["evidence"], "err": ["kept"]})]
    old, new = Deaths("shop", str(tmp_path)), Deaths("shop", str(tmp_path))
    for event in events:
        old.hear(event)
        new.remember(replace(event, evidence=None))
    new.hear(reported(decided(), 3))
    (death,) = the_deaths(tmp_path)
    assert (["kept"], "restart", 3) == (death["evidence"]["err"], death["decision"]["decision"], len(death["timeline"]))


def test_of_a_long_life_the_beginning_and_the_end_are_reported(tmp_path: Path) -> None:
    deaths = Deaths("shop", str(tmp_path))
    deaths.hear(reported(starting(), 1))
    for number in range(100):
        deaths.hear(reported(StatusText(Kind.AGENT, "a", 1, status=f"at {number}"), 2))
    deaths.hear(reported(exited(), 3))
    texts = [each["text"] for each in the_deaths(tmp_path)[0]["timeline"]]
    assert (30, "starting", "says: at 99") == (len(texts), texts[0], texts[-2])


def test_without_a_last_word_the_log_is_the_evidence(tmp_path: Path) -> None:
    path = log_path(str(tmp_path), "a")
    for incarnation in (1, 2):
        log = OutputLog(path, incarnation)
        for number in range(30):
            log.write("out", f"{incarnation} out {number}".encode())
        log.write("err", f"{incarnation} err".encode())
        log.close()
    with path.open("ab") as raw:
        raw.write(b"from C code\n%b\n2026-01-02T03:04:05.678Z #2 out not whole" % (odd := b"xZ #" + b"9" * 5000 + b" out odd"))
    found = evidence_in_log(path, 2)
    assert (("2 err", "from C code", end_of(odd)), tuple(f"2 out {number}" for number in range(10, 30)), True) == (
        found.err,
        found.out,
        found.from_log,
    )
    assert ((), ()) == (evidence_in_log(path, 3).out, evidence_in_log(tmp_path / "none", 1).err)


def test_a_folder_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    files.folder(tmp_path).write_text("a file is in the way")
    Deaths("shop", str(tmp_path)).hear(reported(exited(), 1))
