"""Files of secrets: what is read from them, and which are refused."""

import os
from pathlib import Path

import pytest

from suptree.actors.spec.env_file import EnvFileRefused, read_env_file


def written(folder: Path, text: str | bytes, mode: int = 0o600) -> str:
    path = folder / "keys.env"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return str(path)


def refusal(path: str) -> str:
    with pytest.raises(EnvFileRefused) as refused:
        read_env_file(path)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n \t\n# A=1\n  ; B=2\n", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=\nA=2\n", {"A": "2", "B": ""}),
        ("  export A=1  \n\tB = two words  \n", {"A": "1", "B": "two words"}),
        ("A=a#b # c\nB=x=y=\n", {"A": "a#b # c", "B": "x=y="}),
        ('A=\'$HOME \\n "x"\'\nB="say \\"hi\\" \\$x \\\\ \\n"', {"A": '$HOME \\n "x"', "B": 'say "hi" $x \\ \\n'}),
        ('KEY="-----BEGIN-----\nMIIE\n-----END-----"\nB=1', {"KEY": "-----BEGIN-----\nMIIE\n-----END-----", "B": "1"}),
        ('A="one \\\ntwo"\r\nB=1\r\n', {"A": "one two", "B": "1"}),
        ("A= \r\nB=1 \r\n", {"A": "", "B": "1"}),
        ("A=x" + " " * 200_000 + "y", {"A": "x" + " " * 200_000 + "y"}),
        ("A=p\"q'r\nB=ä€", {"A": "p\"q'r", "B": "ä€"}),
    ],
)
def test_what_a_file_says(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    assert expected == read_env_file(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nmy secret word\n", "line 2 is not NAME=value"),
        ("1A=hidden", "line 1 is not NAME=value"),
        ("A=1\n\nA-B=hidden", "line 3 is not NAME=value"),
        ("A='hidden", "line 1 is not NAME=value"),
        ('B=1\nA="hidden" more', "line 2 is not NAME=value"),
        ('A= "hidden" more', "line 1 is not NAME=value"),
        ("A=hidden\\\nB=1", "line 1 ends with a backslash, which means nothing here: put the value into quotes"),
        ("B=1\nA=hid\0den", "line 2 has a NUL character"),
        (b"B=1\nA=\xff\xfe", "line 2 is not UTF-8"),
        ("A=" + "x" * 300_000, "is larger than 256 KiB"),
    ],
)
def test_a_file_that_says_something_else_is_refused_and_not_repeated(tmp_path: Path, text: str | bytes, expected: str) -> None:
    path = written(tmp_path, text)
    assert f"{expected}: {path}" == refusal(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601])
def test_a_file_that_others_may_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, "A=1", mode)
    assert f"may be read by others (mode {mode:04o}): chmod 600 {path}" == refusal(path)


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    expected = [
        f"cannot be read: No such file or directory: {tmp_path}/none",
        f"is not a regular file: {tmp_path}",
        f"is not a regular file: {tmp_path}/pipe",
    ]
    assert "cannot be read: Input/output error: /proc/self/mem" == refusal("/proc/self/mem")
    assert expected == [refusal(str(path)) for path in (tmp_path / "none", tmp_path, tmp_path / "pipe")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "A=1")
    os.chown(path, 65534, -1)
    assert f"belongs to another user: {path}" == refusal(path)
