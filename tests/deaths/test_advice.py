"""What a person is advised to do about a death, and of which run it is."""

import signal
import unicodedata

import pytest

from suptree.actors.deaths.exit_classes import classify
from suptree.actors.deaths.post_mortem import ONE_SCREEN, WHOLE, Death, story, summary
from suptree.actors.events.entry import exit_as_json
from suptree.actors.exits import CauseId, Exit, ExitClass

from .test_post_mortem import DEATH


def ended(code: int, lifetime: float, said: str = "", **config: str) -> Death:
    evidence = {**DEATH["evidence"], "err": [], "out": [said]}
    config = {"command": "cat", "stdin": "null", **config}
    return {**DEATH, "exit": exit_as_json(classify(code)), "lifetime": lifetime, "config": config, "evidence": evidence}


def advised(death: Death) -> str:
    return "\n".join(story(death, WHOLE))


@pytest.mark.parametrize(
    ("death", "expected"),
    [
        (ended(0, 0.1), True),
        (ended(1, 0.9), True),
        (ended(0, 1.5), False),
        (ended(0, 0.1, stdin="pipe"), False),
        (ended(127, 0.1), False),
        (ended(-signal.SIGSEGV, 0.1), False),
    ],
)
def test_a_program_without_stdin_that_ends_within_a_second_may_want_one(death: Death, expected: bool) -> None:
    assert expected == ('stdin = "pipe"' in advised(death))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Claude AI usage limit reached|1750000000", True),
        ("Error: Rate limit exceeded", True),
        ("HTTP 429 Too Many Requests", True),
        ("listening on 0.0.0.0:4290", False),
        ("no such file", False),
    ],
)
def test_a_limit_in_clear_text_brings_the_hint_of_quota_and_park(line: str, expected: bool) -> None:
    text = advised(ended(7, 30.0, line))
    assert expected == ('exit_codes = { 7 = "quota" } and park = true' in text)


def test_no_ready_in_time_brings_the_hint_that_the_program_may_not_speak_sd_notify() -> None:
    how = Exit(ExitClass.STARTUP_TIMEOUT, "not ready within 3 s", cause=CauseId.NOT_READY)
    assert "does not speak sd_notify" in advised({**DEATH, "exit": exit_as_json(how)})


def test_deaths_of_several_runs_say_of_which_they_are() -> None:
    first, second = ({**DEATH, "run_began": f"2026-01-0{day}T03:00:00.000Z"} for day in (1, 2))
    line = "#3  2026-01-02 03:04:05  crash, SIGSEGV → restart after 2.0 s"
    assert line == summary(second, second)
    assert f"{line}  (the run of 2026-01-01 03:00:00 UTC)" == summary(first, second)
    assert f"{line}  (an earlier run)" == summary(DEATH, second)
    assert story(second, WHOLE)[0].endswith(", in the run of 2026-01-02 03:00:00 UTC")


def test_a_story_in_wide_characters_is_no_wider_than_the_screen() -> None:
    line = "モデルがありません" * 20
    said = [{"at": DEATH["at"], "source": "err", "text": line}, {"at": DEATH["at"], "source": "err", "text": "  "}]
    death = {**DEATH, "exit": {**DEATH["exit"], "reason": line}, "evidence": {**DEATH["evidence"], "said": said}}
    shown = story(death, ONE_SCREEN)
    assert [] == [line for line in shown if len(line) + sum(unicodedata.east_asian_width(each) in "WF" for each in line) > 100]
    assert line in "".join(part[11:] for part in shown[1:8])
    assert "last words 03:04:05.678  err  モデル" == shown[-1][:33]
