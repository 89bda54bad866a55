"""JSON that is read strictly."""

import pytest
from starlette.exceptions import HTTPException

from suptree.control.door.request_input import MOST_DEPTH, expect, parse_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1, -2.5, true, null, "\\u00e9\xc3\xa9"]}', {"a": [1, -2.5, True, None, "éé"]}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"999999999999999999", 999999999999999999),
        (b"[" * MOST_DEPTH + b"]" * MOST_DEPTH, None),
        (b"[]", []),
    ],
)
def test_json_is_read(text: bytes, value: object) -> None:
    assert value in (None, parse_json(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        (b"{} {}", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b'\xff\xfe{\x00}\x00', "is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b"NaN", "NaN is no number"),
        (b"[Infinity]", "Infinity is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b"1e999", "too large"),
        (b"-1e999", "too large"),
        (b"1" * 19, "more than 18 digits"),
        (b"1" * 100_000, "more than 18 digits"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b'[{"\\u0061": 1, "a": 2}]', "duplicate key"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'["\\ude00\\ud83d"]', "surrogate"),
        (b"[" * (MOST_DEPTH + 2) + b"]" * (MOST_DEPTH + 2), "nested more than"),
        (b"[" * 500_000, "nested more than"),
        (b'{"a":' * 500_000, "nested more than"),
    ],
)  # fmt: skip
def test_odd_json_is_refused_in_words(text: bytes, why: str) -> None:
    with pytest.raises(HTTPException, match=why) as refused:
        parse_json(text)
    assert (400, True) == (refused.value.status_code, len(refused.value.detail) < 200)


@pytest.mark.parametrize("text", [b'{"key": "hunter2"', b'{"a": hunter2}', b'"hunter2\x00"', b'{"hunter2": 1, "hunter2": 2}'])
def test_what_is_refused_is_not_repeated(text: bytes) -> None:
    with pytest.raises(HTTPException) as refused:
        parse_json(text)
    assert "hunter2" not in refused.value.detail


def test_every_fault_of_an_object_is_reported_in_one_answer() -> None:
    with pytest.raises(HTTPException) as refused:
        expect({"a": 1, "b": "x", "c": None}, "the arguments", a=str, b=bool)
    assert "the arguments: unknown key 'c'; a must be a text; b must be true or false" == refused.value.detail


@pytest.mark.parametrize("body", [None, [], "x", 1, True])
def test_what_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(HTTPException, match=r"^400: it: it must be an object$"):
        expect(body, "it")
