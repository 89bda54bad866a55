"""Faults of tree files: each is reported, with its place and without secrets."""

from pathlib import Path

import pytest

from suptree.actors.errors import ConfigError
from suptree.supervisors.config.tree_file import MAX_DEPTH, load_tree

from .parsing import Parse, Refuse


class TestBadFiles:
    def test_ten_mistakes_get_ten_answers_in_one_run_each_with_its_place(self, refuse: Refuse, tmp_path: Path) -> None:
        problems = refuse("""\
            [tree]
            name = "newsroom"

            [supervisors.writers]
            strategy = "one_for_won"
            max_restarts = -1

            [agents.coder]
            type = "process_wrapper"
            supervisor = "writer"
            command = "claude --print"
            restart = "permament"
            env = { PORT = 8000 }
            heartbeat = { dead_afer = 30 }

            [agents.planner]
            type = "native_llm"
            cwd = "nowhere"

            [agent.reader]
            type = "native_llm"
        """)

        expected = [
            (
                "supervisors.writers.strategy (line 5)",
                'must be one of "one_for_one", "one_for_all", "rest_for_one", not "one_for_won"; did you mean "one_for_one"?',
            ),
            ("supervisors.writers.max_restarts (line 6)", "must be 0 or more, not -1"),
            ("agents.coder.supervisor (line 10)", 'there is no supervisor "writer"; did you mean "writers"?'),
            (
                "agents.coder.command (line 11)",
                'is one program, not a shell line, and no file "claude --print" exists: put the arguments into args',
            ),
            (
                "agents.coder.restart (line 12)",
                'must be one of "permanent", "transient", "temporary", not "permament"; did you mean "permanent"?',
            ),
            ("agents.coder.env.PORT (line 13)", "must be a string, not a whole number"),
            ("agents.coder.heartbeat.dead_afer (line 14)", 'unknown key; did you mean "dead_after"?'),
            ("agents.planner.factory (line 16)", 'is missing: a native_llm needs one ("package.module:attribute")'),
            ("agents.planner.cwd (line 18)", f"no such folder: {tmp_path}/nowhere"),
            ("agent (line 20)", 'unknown table; did you mean "agents"?'),
        ]
        assert expected == problems

    def test_the_error_is_one_line_a_fault_that_names_the_file(self, parse: Parse) -> None:
        with pytest.raises(ConfigError) as refused:
            parse("[supervisors.a]\nwithin = 0\nmax_restarts = true")

        assert [
            "fleet.toml: supervisors.a.within (line 2): must be above 0, not 0",
            "fleet.toml: supervisors.a.max_restarts (line 3): must be a whole number, not a boolean",
        ] == str(refused.value).splitlines()

    def test_bad_toml_is_one_fault_with_line_and_column(self, refuse: Refuse) -> None:
        assert [("line 2, column 8", "is not TOML: Invalid value")] == refuse("[tree]\nname = \n")

    def test_toml_that_ends_too_soon_is_a_fault_of_its_last_line(self, refuse: Refuse) -> None:
        [(place, what)] = refuse("[tree]\nname = 'x")

        assert ("line 2", True) == (place.partition(",")[0], what.startswith("is not TOML: "))

    def test_a_duplicate_table_is_bad_toml(self, refuse: Refuse) -> None:
        [(place, what)] = refuse("[agents.a]\n[agents.a]\n")

        assert ("line 2, column 10", True) == (place, what.startswith("is not TOML: Cannot declare"))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            # ids
            (
                '[agents."a b"]\ntype = "process_wrapper"\ncommand = "sh"',
                (
                    'agents."a b" (line 1)',
                    "an id is 1 to 64 letters (a-z, A-Z), digits, or any of - _ . and starts with a letter or a digit",
                ),
            ),
            (
                f"[supervisors.{'x' * 65}]",
                (
                    f"supervisors.{'x' * 65} (line 1)",
                    "an id is 1 to 64 letters (a-z, A-Z), digits, or any of - _ . and starts with a letter or a digit",
                ),
            ),
            ("[supervisors.top]", ("supervisors.top (line 1)", 'the id "top" is reserved; choose another')),
            (
                '[agents.root]\ntype = "process_wrapper"\ncommand = "sh"',
                ("agents.root (line 1)", 'the id "root" is reserved; choose another'),
            ),
            (
                '[supervisors.a]\n[agents.a]\ntype = "process_wrapper"\ncommand = "sh"',
                ("agents.a (line 2)", 'the id "a" names a supervisor too; ids are unique in the whole tree'),
            ),
            # supervisors
            ("[supervisors.a]\nsupervisor = 'a'", ("supervisors.a.supervisor (line 2)", "goes round in a circle: a -> a")),
            (
                '[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\n[supervisors.b]\nsupervisor = "a"',
                ("supervisors.b.supervisor (line 5)", 'there is no supervisor "a"; "a" is an agent'),
            ),
            (
                "[supervisors.root]\nshutdown = 3",
                ("supervisors.root.shutdown (line 2)", "the root stands under no supervisor, so this cannot be set"),
            ),
            (
                "[supervisors.a]\nshutdown = 'never'",
                ("supervisors.a.shutdown (line 2)", 'must be a number of seconds or "infinity", not a string'),
            ),
            ("[supervisors.a]\nwithin = nan", ("supervisors.a.within (line 2)", "must be a finite number, not nan")),
            ("[supervisors.a]\nwithin = 1e12", ("supervisors.a.within (line 2)", "must be 8.64e+08 or less, not 1000000000000.0")),
            (f"[supervisors.a]\nwithin = {10**400}", ("supervisors.a.within (line 2)", "is too large")),
            (
                "[supervisors.a]\nsignificant = true\nrestart = 'transient'\nsupervisor = 5",
                ("supervisors.a.supervisor (line 4)", "must be a string, not a whole number"),
            ),
            ("[supervisors.a]\nintensity = 3", ("supervisors.a.intensity (line 2)", 'unknown key; did you mean "max_restarts"?')),
            (
                "[supervisors.root]\nauto_shutdown = 'any_significant'\n[supervisors.a]\nsignificant = true",
                (
                    "supervisors.a.significant (line 4)",
                    'a permanent supervisor cannot be significant: set restart = "transient" or "temporary"',
                ),
            ),
            (
                "[supervisors.a]\nsignificant = true\nrestart = 'transient'",
                (
                    "supervisors.a.significant (line 2)",
                    'means nothing unless [supervisors.root] sets auto_shutdown to "any_significant" or "all_significant"',
                ),
            ),
            # shapes
            ("agents = 5", ("agents (line 1)", "must be a table, not a whole number")),
            ("[[agents]]\nid = 'a'", ("agents (line 1)", "must be a table, not a list")),
            ("[agents]\na = 'sh'", ("agents.a (line 2)", "must be a table, not a string")),
            ("tree = 'newsroom'", ("tree (line 1)", "must be a table, not a string")),
            (
                "[tree]\nname = 'news room'",
                ("tree.name (line 2)", "an id is 1 to 64 letters (a-z, A-Z), digits, or any of - _ . and starts with a letter or a digit"),
            ),
            ("x = 1", ("x (line 1)", "unknown table: known are tree, supervisors, agents")),
        ],
    )
    def test_a_fault_says_where_it_stands_and_what_would_be_right(self, refuse: Refuse, text: str, expected: tuple[str, str]) -> None:
        assert [expected] == refuse(text)

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("command = ''", ("command", "must not be empty")),
            ("command = 5", ("command", "must be a string, not a whole number")),
            ('command = "a\\u0000b"', ("command", "must not contain a NUL character")),
            ("args = '--print'", ("args", "must be a list, not a string")),
            ("args = ['a',\n\n 2]", ("args[1]", "must be a string, not a whole number")),
            ("env = ['A=b']", ("env", "must be a table, not a list")),
            (
                "env = { 'A=' = 'b' }",
                (
                    'env."A="',
                    "the name of an environment variable is not empty, and has no =, no line break and no other control character in it",
                ),
            ),
            ("cwd = '/dev/null'", ("cwd", "is not a folder: /dev/null")),
            (f"cwd = '/{'x' * 5000}'", ("cwd", f"no such folder: /{'x' * 5000}")),
            ("factory = 'a:b'", ("factory", "a process_wrapper has no factory")),
            ("config = { a = 1 }", ("config", "a process_wrapper takes args, no config")),
            ("hold = 1", ("hold", "must be true or false, not a whole number")),
            ("max_restarts = -1", ("max_restarts", "must be 0 or more, not -1")),
            ("max_restarts = 1.5", ("max_restarts", "must be a whole number, not a number")),
            ("backoff = 5", ("backoff", "must be true, false or a table of base, cap and healthy_after, not a whole number")),
            ("backoff = { base = 100 }", ("backoff", "base must be above 0 and at most cap, not base=100.0 and cap=60.0")),
            ("backoff = { base = 0 }", ("backoff.base", "must be above 0, not 0")),
            ("quota_group = 'a'", ("quota_group", "needs park = true")),
            ("ready = 'notfy'", ("ready", 'must be one of "started", "notify", not "notfy"; did you mean "notify"?')),
            ("stop = { sigterm = -1 }", ("stop.sigterm", "must be 0 or more, not -1")),
            ("stop = { sigkill = 1 }", ("stop.sigkill", "SIGKILL is the last rung and needs no time")),
            (
                "heartbeat = { dead_after = 3, suspect_after = 4 }",
                (
                    "heartbeat",
                    "0 < interval < suspect_after <= dead_after must hold (a ping that is due is no silence),"
                    " not interval=0.8, suspect_after=4.0, dead_after=3.0",
                ),
            ),
            (
                "limits = { memory_max = '2Gigs' }",
                ("limits.memory_max", 'must be a number of bytes or a size such as "512M" or "2G" (K, M, G, T), not "2Gigs"'),
            ),
            ("limits = { memory_max = 0 }", ("limits.memory_max", "must be above 0 bytes and below 2**63, not 0")),
            (
                "limits = { max_output = true }",
                ("limits.max_output", 'must be a number of bytes or a size such as "512M" or "2G", not a boolean'),
            ),
            ("liveness_probe = {}", ("liveness_probe", "needs one of exec, http_get and tcp_socket")),
            (
                "liveness_probe = { exec = ['a'], tcp_socket = 'localhost:1' }",
                ("liveness_probe", "exec, http_get and tcp_socket exclude each other: give one"),
            ),
            (
                "liveness_probe = { exec = ['a'], success_threshold = 2 }",
                ("liveness_probe", "success_threshold must be 1, as in Kubernetes: one success makes a program healthy"),
            ),
            ("liveness_probe = { exec = ['a'], periodSeconds = 2 }", ("liveness_probe.periodSeconds", "here it is period")),
            *(
                (
                    f"liveness_probe = {{ http_get = '{url}' }}",
                    (
                        "liveness_probe",
                        'http_get: must begin with http://, its host "localhost" or an IP address; for anything else use exec',
                    ),
                )
                for url in (
                    "https://127.0.0.1/",
                    "127.0.0.1:80",
                    "http://example.org/",
                    "http://[::1",
                    "http://127.0.0.1:99999/",
                    "http://::1/a b",
                )
            ),
            *(
                (
                    f"liveness_probe = {{ tcp_socket = '{address}' }}",
                    (
                        "liveness_probe",
                        'tcp_socket: must be host:port, its host "localhost" or an IP address; for anything else use exec',
                    ),
                )
                for address in ("127.0.0.1", "8000", ":8000", "localhost:http")
            ),
            (
                "progress = { warn_after = 9, restart_after = 3 }",
                ("progress", "warn_after=9.0 must not be above restart_after=3.0"),
            ),
            ("progress = { warn_after = 0 }", ("progress.warn_after", "must be above 0, not 0")),
            (
                "auto_restart = true\nrestart = 'permanent'",
                ("auto_restart", "stands for restart (true: permanent, false: temporary): give one of the two"),
            ),
            (
                "restart = 'temporary'\nbackoff = true",
                ("backoff", "a temporary agent is never restarted, so there is nothing to delay"),
            ),
            (
                "restart = 'temporary'\nmax_restarts = 3",
                ("max_restarts", "a temporary agent is never restarted, so this limit could never fire"),
            ),
            ("within = 5", ("within", "belongs to a supervisor: put it into [supervisors.ID]")),
            ("shutdown = 5", ("shutdown", "an agent may take as long to stop as its stop ladder: set stop = { sigterm = 10 }")),
            ("cmd = 'sh'", ("cmd", 'unknown key; did you mean "command"?')),
        ],
    )
    def test_a_fault_of_an_agent_is_the_only_one_reported(self, refuse: Refuse, line: str, expected: tuple[str, str]) -> None:
        command = "" if line.startswith("command") else 'command = "sh"\n'

        [(place, what)] = refuse(f'[agents.a]\ntype = "process_wrapper"\n{command}{line}\n')

        assert (f"agents.a.{expected[0]}", expected[1]) == (place.partition(" (line")[0], what)

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("command = 'sh'", ("command", "a native_llm has no command")),
            ("args = []", ("args", "a native_llm takes config, no args")),
            ("watchdog = true", ("watchdog", "a native_llm is always watched; there is no program that could ping")),
            ("factory = 'newsroom.Planner'", ("factory", 'must be "package.module:attribute", not "newsroom.Planner"')),
        ],
    )
    def test_a_native_agent_takes_no_keys_of_a_program(self, refuse: Refuse, line: str, expected: tuple[str, str]) -> None:
        factory = "" if line.startswith("factory") else 'factory = "a:b"\n'

        [(place, what)] = refuse(f'[agents.a]\ntype = "native_llm"\n{factory}{line}\n')

        assert (f"agents.a.{expected[0]}", expected[1]) == (place.partition(" (line")[0], what)

    def test_a_circle_of_supervisors_is_reported_once(self, refuse: Refuse) -> None:
        text = "\n".join(f"[supervisors.{own}]\nsupervisor = '{above}'" for own, above in [("a", "c"), ("b", "a"), ("c", "b"), ("d", "a")])

        assert [("supervisors.a.supervisor (line 2)", "goes round in a circle: a -> c -> b -> a")] == refuse(text)

    def test_a_tree_too_deep_to_start_is_refused_where_it_becomes_so(self, refuse: Refuse) -> None:
        text = "\n".join(f'[supervisors.s{n}]\nsupervisor = "{f"s{n - 1}" if n else "root"}"' for n in range(2000))

        expected = [
            (
                f"supervisors.s{MAX_DEPTH}.supervisor (line {2 * MAX_DEPTH + 2})",
                "stands more than 50 supervisors deep, which cannot be started",
            )
        ]
        assert expected == refuse(text)

    def test_secrets_in_the_environment_are_not_repeated(self, parse: Parse) -> None:
        with pytest.raises(ConfigError) as refused:
            parse('[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\nenv = { KEY = 4711, TOKEN = ["hush"], NUL = "hush\\u0000" }')

        assert (3, False, False) == (len(refused.value.problems), "4711" in str(refused.value), "hush" in str(refused.value))


class TestLoading:
    def test_a_file_that_is_not_there_is_a_fault_like_others(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as refused:
            load_tree(tmp_path / "none.toml")

        assert [("file", "cannot be read: No such file or directory")] == refused.value.problems

    def test_a_folder_is_not_a_tree_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as refused:
            load_tree(tmp_path)

        assert [("file", "cannot be read: Is a directory")] == refused.value.problems

    def test_bytes_that_are_not_utf8_are_a_fault_with_a_line(self, tmp_path: Path) -> None:
        (tmp_path / "fleet.toml").write_bytes(b"[tree]\nname = '\xff'\n")

        with pytest.raises(ConfigError) as refused:
            load_tree(tmp_path / "fleet.toml")

        assert [("line 2", "is not UTF-8, as TOML must be")] == refused.value.problems
