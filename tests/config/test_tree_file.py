from pathlib import Path

import pytest

from suptree.actors import AgentType
from suptree.actors.errors import ConfigError
from suptree.actors.spec.agent_spec import AgentSpec, HeartbeatSpec, LimitSpec, ProbeSpec, ProgressSpec, Ready, StopSpec
from suptree.supervisors.config.tree_file import MAX_DEPTH, load_tree
from suptree.supervisors.spec.child_spec import (
    INFINITY,
    AutoShutdown,
    Backoff,
    ChildSpec,
    OnLimit,
    RestartType,
    Strategy,
    SupervisorFlags,
)
from suptree.supervisors.spec.tree_spec import SupervisorSpec, TreeSpec

from .parsing import Parse, Refuse


def children(tree: TreeSpec) -> dict[str, ChildSpec]:
    return {child.id: child for _, child in tree.root.walk()}


def agent(tree: TreeSpec, agent_id: str) -> AgentSpec:
    spec = children(tree)[agent_id].start
    assert isinstance(spec, AgentSpec)
    return spec


def supervisor(tree: TreeSpec, supervisor_id: str) -> SupervisorSpec:
    spec = children(tree)[supervisor_id].start
    assert isinstance(spec, SupervisorSpec)
    return spec


class TestGoodFiles:
    def test_every_key_of_an_agent_arrives_in_its_specs(self, parse: Parse, tmp_path: Path) -> None:
        (tmp_path / "work").mkdir()

        tree = parse("""
            [agents.coder]
            type = "process_wrapper"
            name = "Coder"
            role = "writes code"
            model = "m1"
            command = "claude"
            args = ["--print"]
            cwd = "work"
            env = { LANG = "C.UTF-8" }
            restart = "transient"
            max_restarts = 5
            backoff = { base = 2, cap = 30.0 }
            hold = true
            park = true
            quota_group = "anthropic"
            ready = "notify"
            watchdog = true
            heartbeat = { interval = 2, suspect_after = 6, dead_after = 12, startup_timeout = 40 }
            stop = { cancel = 0, sigint = 5, sigterm = 10 }
            limits = { memory_max = "2G", max_runtime = 3600, max_output = 1000 }
            liveness_probe = { exec = ["./well", "--now"], period = 5, timeout = 2, failure_threshold = 4, initial_delay = 3 }
            progress = { warn_after = 60, restart_after = 300 }
        """)

        expected = ChildSpec(
            id="coder",
            restart=RestartType.TRANSIENT,
            shutdown=17.0,
            max_restarts=5,
            backoff=Backoff(base=2.0, cap=30.0),
            hold=True,
            park=True,
            quota_group="anthropic",
            start=AgentSpec(
                agent_id="coder",
                agent_type=AgentType.PROCESS_WRAPPER,
                name="Coder",
                role="writes code",
                model="m1",
                command="claude",
                args=("--print",),
                cwd=str(tmp_path / "work"),
                env={"LANG": "C.UTF-8"},
                ready=Ready.NOTIFY,
                watchdog=True,
                heartbeat=HeartbeatSpec(interval=2, suspect_after=6, dead_after=12, startup_timeout=40),
                stop=StopSpec(cancel=0, sigint=5, sigterm=10),
                limits=LimitSpec(memory_max=2 * 1024**3, max_runtime=3600, max_output=1000),
                liveness_probe=ProbeSpec(exec=("./well", "--now"), period=5, timeout=2, failure_threshold=4, initial_delay=3),
                progress=ProgressSpec(warn_after=60, restart_after=300),
            ),
        )
        assert expected == children(tree)["coder"]

    def test_a_native_agent_gets_its_factory_and_its_config_unread(self, parse: Parse) -> None:
        tree = parse("""
            [agents.planner]
            type = "native_llm"
            factory = "newsroom.agents:Planner"
            [agents.planner.config]
            temperature = 0.2
            deep = { er = [1, 2] }
        """)

        planner = agent(tree, "planner")
        assert ("newsroom.agents:Planner", {"temperature": 0.2, "deep": {"er": [1, 2]}}) == (planner.factory, planner.config)

    def test_every_key_of_a_supervisor_arrives_in_its_specs(self, parse: Parse) -> None:
        tree = parse("""
            [supervisors.outer]
            auto_shutdown = "any_significant"
            [supervisors.inner]
            supervisor = "outer"
            strategy = "rest_for_one"
            max_restarts = 3
            within = 60
            auto_shutdown = "all_significant"
            on_limit = "quarantine"
            restart = "transient"
            significant = true
            shutdown = 9
        """)

        flags = SupervisorFlags(
            strategy=Strategy.REST_FOR_ONE,
            max_restarts=3,
            within=60.0,
            auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
            on_limit=OnLimit.QUARANTINE,
        )
        expected = ChildSpec(
            id="inner",
            restart=RestartType.TRANSIENT,
            significant=True,
            shutdown=9.0,
            start=SupervisorSpec(id="inner", flags=flags),
        )
        assert expected == children(tree)["inner"]

    def test_the_defaults_of_a_supervisor_are_those_of_otp(self, parse: Parse) -> None:
        tree = parse("[supervisors.writers]")

        expected = ChildSpec(
            id="writers",
            restart=RestartType.PERMANENT,
            shutdown=INFINITY,
            start=SupervisorSpec(id="writers", flags=SupervisorFlags(strategy=Strategy.ONE_FOR_ONE, max_restarts=1, within=5.0)),
        )
        assert expected == children(tree)["writers"]

    def test_an_infinite_shutdown_may_be_written_out(self, parse: Parse) -> None:
        assert children(parse("[supervisors.writers]\nshutdown = 'infinity'"))["writers"].shutdown == INFINITY

    def test_the_root_has_flags_of_its_own(self, parse: Parse) -> None:
        tree = parse("""
            [supervisors.root]
            strategy = "one_for_all"
            max_restarts = 7
        """)

        assert SupervisorSpec(id="root", flags=SupervisorFlags(strategy=Strategy.ONE_FOR_ALL, max_restarts=7)) == tree.root

    def test_children_stand_in_the_order_of_the_file_whatever_their_kind(self, parse: Parse) -> None:
        tree = parse("""
            [agents]
            first = { type = "process_wrapper", command = "sh" }
            [supervisors.second]
            [agents.inside_b]
            type = "process_wrapper"
            supervisor = "second"
            command = "sh"
            [agents.third.heartbeat]
            dead_after = 3
            [agents.inside_a]
            type = "process_wrapper"
            supervisor = "second"
            command = "sh"
            [supervisors.fourth]
            [agents.third]
            type = "process_wrapper"
            command = "sh"
        """)

        expected = ["first", "second", "third", "fourth"], ["inside_b", "inside_a"]
        assert expected == ([child.id for child in tree.root.children], [child.id for child in supervisor(tree, "second").children])

    def test_supervisors_may_be_named_before_they_appear(self, parse: Parse) -> None:
        tree = parse("""
            [supervisors.inner]
            supervisor = "outer"
            [supervisors.outer]
        """)

        assert ["outer", "inner"] == [child.id for _, child in tree.root.walk()]

    def test_a_tree_without_a_name_is_named_after_its_file(self, parse: Parse) -> None:
        assert ("fleet", "newsroom") == (parse("").name, parse('[tree]\nname = "newsroom"').name)

    def test_relative_paths_start_from_the_folder_of_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "work").mkdir()
        file = tmp_path / "fleet.toml"
        file.write_text('[agents.a]\ntype = "process_wrapper"\ncommand = "bin/run"\ncwd = "work"\n')

        spec = agent(load_tree(file), "a")

        assert (f"{tmp_path}/bin/run", f"{tmp_path}/work") == (spec.command, spec.cwd)

    def test_a_command_without_a_slash_is_left_for_the_search_path(self, parse: Parse) -> None:
        assert "claude" == agent(parse('[agents.a]\ntype = "process_wrapper"\ncommand = "claude"'), "a").command

    def test_an_agent_without_a_folder_runs_where_the_file_stands(self, parse: Parse, tmp_path: Path) -> None:
        assert str(tmp_path) == agent(parse('[agents.a]\ntype = "process_wrapper"\ncommand = "sh"'), "a").cwd

    def test_a_command_with_a_space_is_good_when_there_is_such_a_file(self, parse: Parse, tmp_path: Path) -> None:
        (tmp_path / "my program").touch()

        tree = parse('[agents.a]\ntype = "process_wrapper"\ncommand = "./my program"')

        assert f"{tmp_path}/my program" == agent(tree, "a").command

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("", RestartType.PERMANENT),
            ('restart = "temporary"', RestartType.TEMPORARY),
            ("auto_restart = true", RestartType.PERMANENT),
            ("auto_restart = false", RestartType.TEMPORARY),
        ],
    )
    def test_an_agent_is_permanent_unless_it_says_otherwise(self, parse: Parse, line: str, expected: RestartType) -> None:
        tree = parse(f'[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\n{line}')

        assert expected is children(tree)["a"].restart

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("", HeartbeatSpec()),
            ("heartbeat = { dead_after = 30 }", HeartbeatSpec(interval=1, suspect_after=15, dead_after=30)),
            ("heartbeat = { dead_after = 2 }", HeartbeatSpec(interval=0.2, suspect_after=1, dead_after=2)),
            ("heartbeat = { dead_after = 5, interval = 4 }", HeartbeatSpec(interval=4, suspect_after=4, dead_after=5)),
            ("heartbeat = { suspect_after = 20 }", HeartbeatSpec(interval=1, suspect_after=20, dead_after=40)),
            ("heartbeat = { interval = 10 }", HeartbeatSpec(interval=10, suspect_after=20, dead_after=40)),
            ("heartbeat = { startup_timeout = 3 }", HeartbeatSpec(startup_timeout=3)),
        ],
    )
    def test_what_a_heartbeat_does_not_say_follows_from_what_it_says(self, parse: Parse, line: str, expected: HeartbeatSpec) -> None:
        tree = parse(f'[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\n{line}')

        assert expected == agent(tree, "a").heartbeat

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            ('ready = "notify"', False),
            ("heartbeat = { dead_after = 3 }", False),
            ('ready = "notify"\nheartbeat = { dead_after = 3 }', True),
            ('ready = "notify"\nheartbeat = { startup_timeout = 3 }', False),
            ('ready = "notify"\nheartbeat = { dead_after = 3 }\nwatchdog = false', False),
            ("watchdog = true", True),
        ],
    )
    def test_a_program_that_notifies_and_has_a_heartbeat_pings_itself(self, parse: Parse, lines: str, expected: bool) -> None:
        tree = parse(f'[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\n{lines}')

        assert expected is agent(tree, "a").watchdog

    @pytest.mark.parametrize(
        ("value", "expected"), [("true", Backoff()), ("false", None), ("{ cap = 5 }", Backoff(cap=5.0)), ("{}", Backoff())]
    )
    def test_backoff_is_a_table_or_a_switch(self, parse: Parse, value: str, expected: Backoff | None) -> None:
        tree = parse(f'[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\nbackoff = {value}')

        assert expected == children(tree)["a"].backoff

    @pytest.mark.parametrize(("size", "expected"), [("7", 7), ("'512M'", 512 * 2**20), ("'2g'", 2 * 2**30), ("'3K'", 3072), ("'9'", 9)])
    def test_sizes_are_bytes_or_have_a_unit(self, parse: Parse, size: str, expected: int) -> None:
        tree = parse(f'[agents.a]\ntype = "process_wrapper"\ncommand = "sh"\nlimits = {{ memory_max = {size} }}')

        assert expected == agent(tree, "a").limits.memory_max

    def test_supervisors_nest_as_deep_as_a_tree_can_start(self, parse: Parse) -> None:
        text = "\n".join(f'[supervisors.s{n}]\nsupervisor = "{f"s{n - 1}" if n else "root"}"' for n in range(MAX_DEPTH))

        assert MAX_DEPTH == len(list(parse(text).root.walk()))


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

    def test_a_table_that_stands_twice_is_bad_toml(self, refuse: Refuse) -> None:
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
            ("env = { 'A=' = 'b' }", ('env."A="', "the name of an environment variable is not empty and has no = in it")),
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
                    "0 < interval <= suspect_after <= dead_after must hold, not interval=0.8, suspect_after=4.0, dead_after=3.0",
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
