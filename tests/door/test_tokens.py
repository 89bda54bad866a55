"""The token of the TCP door: where it is kept, and what makes it unusable."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suptree.actors.errors import SuptreeError
from suptree.control.door.tokens import TokenFile, same


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token"


def test_a_token_is_made_at_first_use_and_stays(path: Path) -> None:
    first = TokenFile(path).ensure()
    assert (43, first, first.encode(), 0o600) == (
        len(first),
        TokenFile(path).ensure(),
        TokenFile(path).current(),
        stat.S_IMODE(path.stat().st_mode),
    )


def test_a_token_that_many_ask_for_at_the_same_time_is_one(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: TokenFile(path).ensure(), range(50)))
    assert 1 == len(found)
    assert [path] == list(path.parent.iterdir())


def test_a_rotated_token_is_another_immediately(path: Path) -> None:
    file = TokenFile(path)
    old = file.ensure()
    new = file.rotate()
    assert (True, new.encode(), 0o600) == (old != new, file.current(), stat.S_IMODE(path.stat().st_mode))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_token_that_others_can_read_or_write_opens_nothing(path: Path, mode: int) -> None:
    file = TokenFile(path)
    file.ensure()
    path.chmod(mode)
    with pytest.raises(SuptreeError, match="can be read by others: make a new token"):
        file.ensure()
    assert None is file.current()
    assert file.rotate() == file.ensure()


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\xff" * 43, b" " * 100])
def test_a_file_that_holds_no_token_opens_nothing(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SuptreeError, match="--rotate"):
        TokenFile(path).ensure()
    assert None is TokenFile(path).current()


def test_a_token_is_not_read_through_a_link(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    TokenFile(elsewhere).ensure()
    path.symlink_to(elsewhere)
    assert None is TokenFile(path).current()
    with pytest.raises(SuptreeError, match="cannot be read"):
        TokenFile(path).ensure()


def test_without_a_token_nothing_is_the_token(path: Path) -> None:
    assert [False, False] == [same(given, TokenFile(path).current()) for given in (b"", b"x")]


def test_only_the_same_token_is_the_same(path: Path) -> None:
    token = TokenFile(path).ensure().encode()
    assert [True, False, False, False, False] == [
        same(given, token) for given in (token, token[:-1], token + b"x", b"", token[:-1] + bytes([token[-1] ^ 1]))
    ]
