from pathlib import Path

import pytest

from suptree.actors import AgentType
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

from .parsing import Parse


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
        assert INFINITY == children(parse("[supervisors.writers]\nshutdown = 'infinity'"))["writers"].shutdown

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
            ("heartbeat = { dead_after = 5, interval = 4 }", HeartbeatSpec(interval=4, suspect_after=5, dead_after=5)),
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
