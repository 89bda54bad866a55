"""A reader at three in the morning, in a second language, understands each sentence: some words do not help with that."""

import re
from pathlib import Path

import pytest

from tests.project.repository import CODE, ROOT, files, name

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
    r"(?:comes?|came|becomes?|became) of": "outcome, result, answer",
    r"whatever becomes": "the outcome",
    r"foretold|foretells?": "forecast",
    r"to be had": "available",
    r"all the same": "even so, still",
    r"tells? of|hears? of": "reports, gets a report of",
    r"another's hand": "from outside, by a person",
    r"in vain": "without success",
}
PATTERN = re.compile("|".join(rf"(?<![a-z])(?:{words.replace(' ', '[ _]')})(?![a-z])" for words in BANNED), re.IGNORECASE)

# It says what each version changed, in the words of its time.
HISTORY = "CHANGELOG.md"


def banned(text: str) -> list[str]:
    return [found.group().lower() for found in PATTERN.finditer(text)]


def pages() -> list[Path]:
    return [path for path in (*files(".md"), *files(".md", "docs")) if path.name != HISTORY]


def test_the_pages_say_it_in_plain_words() -> None:
    assert {} == {name(path): found for path in pages() if (found := banned(path.read_text(encoding="utf-8")))}


def test_the_code_says_it_in_plain_words() -> None:
    code = (*files(".py", *CODE), *files(".toml", *CODE), *files(".sh", "scripts"), ROOT / "scripts" / "test")
    texts = {name(path): path.read_text(encoding="utf-8") for path in code if path != Path(__file__)}

    assert {} == {path: found for path, text in texts.items() if (found := banned(text))}


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
