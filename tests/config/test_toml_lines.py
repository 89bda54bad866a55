from textwrap import dedent

from suptree.supervisors.config.toml_lines import lines_of_keys


def lines(text: str) -> dict[str, int]:
    return {".".join(path): line for path, line in lines_of_keys(dedent(text)).items()}


def test_tables_and_keys_are_found_where_they_first_appear() -> None:
    text = """\
        # a comment
        [tree]
        name = "x"

        [agents.a.heartbeat] # implies agents.a
        interval = 1
        [agents.a]
        type = "x"
    """

    expected = {
        "tree": 2,
        "tree.name": 3,
        "agents": 5,
        "agents.a": 5,
        "agents.a.heartbeat": 5,
        "agents.a.heartbeat.interval": 6,
        "agents.a.type": 8,
    }
    assert expected == lines(text)


def test_dotted_quoted_and_inline_keys_are_the_same_keys() -> None:
    text = """\
        a.b = 1
        c = { d = { e = 1 } }
        "f g".'h' = 1
    """

    assert {"a": 1, "a.b": 1, "c": 2, "c.d": 2, "c.d.e": 2, "f g": 3, "f g.h": 3} == lines(text)


def test_what_stands_in_strings_and_comments_is_no_key() -> None:
    text = '''\
        a = """
        [table]
        b = 1
        """
        c = [ # ]
          "]",
          "d = 1",
        ]
        e = \'\'\'x\'\'\'
    '''

    assert {"a": 1, "c": 5, "e": 9} == lines(text)


def test_windows_line_ends_count_as_one() -> None:
    assert {"a": 2, "a.b": 3} == lines("\r\n[a]\r\nb = '''\r\n'''\r\n")


def test_an_array_of_tables_is_found_at_its_first() -> None:
    assert {"a": 1, "a.b": 2} == lines("[[a]]\nb = 1\n[[a]]\nb = 2\n")
