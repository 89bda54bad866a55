"""Which variables hold secrets, and that nothing of their values is left in text."""

import json
import urllib.parse

import pytest

from suptree.actors.output.redaction import Redactor, is_secret


@pytest.mark.parametrize(
    "name",
    [
        "API_KEY", "OPENAI_API_KEY", "APIKEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "HF_TOKENS", "PGPASSWORD", "MYSQL_PWD", "DB_PASS",
        "PASSPHRASE", "SENTRY_DSN", "GOOGLE_CREDENTIALS", "BASIC_AUTH", "AUTHORIZATION", "SESSION_ID", "COOKIE", "PRIVATE_KEY_1",
        "my_token", "SLACK_WEBHOOK_URL", "api-key", "SSH_PRIVATE",
    ],
)  # fmt: skip
def test_a_name_that_says_so_holds_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "HOME", "LANG", "LC_ALL", "PWD", "SUPTREE_RUN_ID", "GIT_AUTHOR_NAME", "KEYBOARD", "TOKENIZERS_PARALLELISM", "MAX_TOKENS",
        "SSH_AUTH_SOCK", "XDG_SESSION_ID", "DESKTOP_SESSION", "SSL_KEY_FILE", "COMPASS", "SPIN", "MODEL", "PATTERN",
    ],
)  # fmt: skip
def test_another_name_does_not(name: str) -> None:
    assert not is_secret(name)


def test_a_secret_in_a_line_is_replaced_by_its_name() -> None:
    redactor = Redactor({"MY_TOKEN": "tok-abc-123"}, {"HOME": "/home/me", "DB_PASSWORD": "hunter22"})
    assert b"a [redacted MY_TOKEN]b [redacted DB_PASSWORD] /home/me \xff" == redactor.line(b"a tok-abc-123b hunter22 /home/me \xff")


def test_of_two_secrets_that_begin_alike_nothing_is_left() -> None:
    redactor = Redactor({"A_KEY": "secret", "B_KEY": "secret-and-more"}, {})
    assert "[redacted B_KEY] [redacted A_KEY]!" == redactor.text("secret-and-more secret!")


def test_a_short_value_is_left_and_an_empty_one_too() -> None:
    redactor = Redactor({"A_KEY": "12345", "B_KEY": "", "C_KEY": "      "}, {})
    assert (b"a 12345       b", 0) == (redactor.line(b"a 12345       b"), redactor.longest)


def test_both_the_value_of_the_spec_and_the_one_that_it_replaces_are_secrets() -> None:
    redactor = Redactor({"A_KEY": "new-value"}, {"A_KEY": "old-value"})
    assert "[redacted A_KEY] [redacted A_KEY]" == redactor.text("new-value old-value")


@pytest.mark.parametrize("disguise", [str, repr, json.dumps, urllib.parse.quote, urllib.parse.quote_plus])
def test_a_secret_is_found_in_its_usual_disguises(disguise: "type[str]") -> None:
    value = 'pä"ss \\wörd/€&'
    assert "redacted" in (text := Redactor({"A_KEY": value}, {}).text(disguise(value)))
    assert "w" not in text


def test_each_line_of_a_secret_with_several_is_one() -> None:
    redactor = Redactor({"PRIVATE_KEY": "-----BEGIN-----\nMIIEpAIBAAKCAQEA\n"}, {})
    hidden = "[redacted PRIVATE_KEY]"
    assert f"{hidden}\n{hidden}\n" == redactor.text("-----BEGIN-----\nMIIEpAIBAAKCAQEA\n")
    assert f"'{hidden}'" == redactor.text(repr("-----BEGIN-----\nMIIEpAIBAAKCAQEA\n"))


def test_the_password_in_an_address_is_a_secret() -> None:
    redactor = Redactor({}, {"DATABASE_URL": "postgres://me:open-sesame@db/x"})
    assert "password [redacted DATABASE_URL] for me" == redactor.text("password open-sesame for me")
    assert {"DATABASE_URL": "postgres://me:[redacted DATABASE_URL]@db/x"} == redactor.environment()


@pytest.mark.parametrize("odd", ["\udcff\udcfe\udcfd-key", "\ud800-lone-one"])
def test_no_text_is_too_odd(odd: str) -> None:
    redactor = Redactor({}, {"A_KEY": odd})
    assert ("[redacted A_KEY]", r"\xed\xa0\x80 x") == (redactor.text(odd), redactor.text("\ud800 x"))


def test_an_environment_shows_no_secret_and_of_what_the_spec_gives_only_what_is_plain() -> None:
    redactor = Redactor({"LANG": "C", "MODEL": "gpt", "A_KEY": "abcdefgh"}, {"PATH": "/bin", "X": "abcdefgh!", "B_KEY": "1", "C_KEY": ""})
    expected = {"A_KEY": "[redacted]", "B_KEY": "[redacted]", "C_KEY": "", "LANG": "C", "MODEL": "[redacted]", "PATH": "/bin"}
    assert {**expected, "X": "[redacted A_KEY]!"} == redactor.environment()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["x", "--api-key", "abc", "-v"], ["x", "--api-key", "[redacted]", "-v"]),
        (["x", "--api-key=abc", "TOKEN=abc", "token", "abc"], ["x", "--api-key=[redacted]", "TOKEN=[redacted]", "token", "abc"]),
        (["x", "--password", "--verbose", "abc"], ["x", "--password", "--verbose", "abc"]),
        (["x", "--max-tokens", "4096", "--author=me"], ["x", "--max-tokens", "4096", "--author=me"]),
        (["sh", "-c", "echo open-sesame"], ["sh", "-c", "echo [redacted MY_TOKEN]"]),
    ],
)
def test_a_command_line_shows_no_secret(given: list[str], shown: list[str]) -> None:
    assert shown == Redactor({"MY_TOKEN": "open-sesame"}, {}).command(given)
