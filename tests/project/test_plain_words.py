"""A reader at three in the morning, in a second language, understands each sentence: some words do not help with that."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.project.repository import CODE, files, name

# Each with what to say instead. They are found in names too, where `_` stands for a space.
BANNED = {
    r"whoever|whomever": "the actor of the sentence: the client, the supervisor, the agent",
    r"at once": "immediately, all together, at the same time",
    r"now and then": "every interval",
    r"mend|mends|mended|mending": "fix, restart",
    r"told": "describe, summary, report, answer",
    r"stands? twice": "duplicate",
    r"no ping of": "no ping from",
    r"want of": "without, lack of",
    r"whatever becomes": "the outcome",
}
PATTERN = re.compile("|".join(rf"(?<![a-z])(?:{words.replace(' ', '[ _]')})(?![a-z])" for words in BANNED), re.IGNORECASE)

# How often one of them may still be said in a folder. A number may only fall; a folder that is not named has come to 0.
BUDGET = {"actors": 46, "supervisors": 1, "control": 32, "scripts": 7, "tests": 16}

# It says what each version changed, in the words of its time.
HISTORY = "CHANGELOG.md"


def banned(text: str) -> list[str]:
    return [found.group().lower() for found in PATTERN.finditer(text)]


def pages() -> list[Path]:
    return [path for path in (*files(".md"), *files(".md", "docs")) if path.name != HISTORY]


def test_the_pages_say_it_in_plain_words() -> None:
    assert {} == {name(path): found for path in pages() if (found := banned(path.read_text(encoding="utf-8")))}


def test_the_code_says_it_in_plain_words_more_and_more() -> None:
    said: Counter[str] = Counter()
    for path in (*files(".py", *CODE), *files(".toml", *CODE), *files(".sh", "scripts"), Path(__file__).parents[2] / "scripts" / "test"):
        if path != Path(__file__):
            said[name(path).partition("/")[0]] += len(banned(path.read_text(encoding="utf-8")))

    assert {} == {folder: number for folder, number in said.items() if number > BUDGET.get(folder, 0)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Whoever asks is told.", ["whoever", "told"]),
        ("def test_all_is_told_at_once()", ["told", "at_once"]),
        ("amend the tolds, recommend it once", []),
        ("the client gets every fault in one answer", []),
    ],
)
def test_a_banned_word_is_found_in_sentences_and_in_names(text: str, expected: list[str]) -> None:
    assert expected == banned(text)
