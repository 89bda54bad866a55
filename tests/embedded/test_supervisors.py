"""Supervisors from a program, and whole trees at a time."""

import os
import signal
from pathlib import Path

import pytest

from suptree.actors.errors import ConfigError
from tests.polling import poll_until_async

from .managed import SLEEP, manager, run, standing

FILE = """
[tree]
name = "shop"
[supervisors.writers]
strategy = "rest_for_one"
[agents.w1]
type = "process_wrapper"
supervisor = "writers"
command = "sleep"
args = ["1000000"]
[agents.w2]
type = "process_wrapper"
supervisor = "writers"
command = "sleep"
args = ["1000000"]
"""


def test_a_supervisor_restarts_its_agents_by_its_strategy_and_is_stopped_and_forgotten() -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_supervisor("writers", strategy="rest_for_one", max_restarts=3, within=60) is True
            assert await pm.start_supervisor("writers") is False
            for agent_id in ("a", "b", "c"):
                assert await pm.start_agent(agent_id, "process_wrapper", SLEEP, supervisor="writers", auto_restart=True)
            pid = pm.processes["b"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await poll_until_async(lambda: {"a": ("running", 1), "b": ("running", 2), "c": ("running", 2)} == standing(pm))
            assert await pm.delete_supervisor("writers") is False
            assert await pm.stop_supervisor("writers") is True
            assert await pm.stop_supervisor("writers") is False
            assert [] == pm.get_running_agents()
            assert await pm.delete_supervisor("writers") is True

    run(program)


def test_an_id_that_runs_below_one_supervisor_starts_below_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async with manager() as pm:
            for supervisor in ("first", "second"):
                assert await pm.start_supervisor(supervisor)
            assert await pm.start_agent("x", "process_wrapper", SLEEP, supervisor="first")
            assert not await pm.start_agent("x", "process_wrapper", SLEEP, supervisor="second")
            assert not await pm.start_agent("x", "process_wrapper", SLEEP)
            assert not await pm.start_agent("second", "process_wrapper", SLEEP, supervisor="first")
            assert {"x": ("running", 1)} == standing(pm)
            # What has ended for good may begin elsewhere.
            assert await pm.stop_agent("x")
            assert await pm.start_agent("x", "process_wrapper", SLEEP, supervisor="second")
            # What would be restarted is deleted first, and keeps its checkpoint.
            assert await pm.start_agent("z", "process_wrapper", SLEEP, supervisor="first", auto_restart=True)
            assert await pm.stop_agent("z")
            assert await pm.start_agent("z", "process_wrapper", SLEEP, supervisor="second", auto_restart=True)
            assert ("running", 1) == standing(pm)["z"]
            backs_off = {"command": "false", "auto_restart": True, "backoff": {"base": 500, "cap": 1000}}
            await pm.start_agent("y", "process_wrapper", backs_off, supervisor="first")
            mirror = pm._tree.mirror
            assert mirror is not None
            await poll_until_async(lambda: mirror.picture.rows["y"]["until"] is not None)
            assert not await pm.start_agent("y", "process_wrapper", SLEEP, supervisor="second")

    run(program)
    assert "'x' runs already, below supervisor 'first': an id stands once in a tree" in caplog.text
    assert "'y' is about to be started again, below supervisor 'first': an id stands once in a tree" in caplog.text


def test_a_supervisor_with_a_faulty_configuration_is_refused_with_every_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def program() -> None:
        async with manager() as pm:
            assert await pm.start_supervisor("root") is False
            assert await pm.start_supervisor("s", strategy="all", max_restarts=-1) is False  # type: ignore[arg-type]
            assert await pm.start_supervisor("s", supervisor="nobody") is False

    run(program)
    for word in ("reserved", "strategy", "max_restarts", "there is no supervisor 'nobody'"):
        assert word in caplog.text


@pytest.mark.parametrize("running", [True, False])
def test_a_tree_file_or_a_mapping_is_taken_into_an_empty_and_into_a_running_tree(tmp_path: Path, *, running: bool) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(FILE, encoding="utf-8")

    async def program() -> None:
        async with manager() as pm:
            if running:
                assert await pm.start_agent("first", "process_wrapper", SLEEP)
            assert ["writers", "w1", "w2"] == await pm.apply(file)
            assert ["m"] == await pm.apply({"agents": {"m": {"type": "process_wrapper", **SLEEP}}})
            assert ["first"] * running + ["w1", "w2", "m"] == pm.get_running_agents()
            assert "writers" == (await pm.forecast("w1"))[0]["supervisor"]
            with pytest.raises(ConfigError, match="duplicate child id") as refused:
                await pm.apply(file)
            assert ["writers", "w1", "w2"] == [place for place, _ in refused.value.problems]

    run(program)


def test_a_faulty_tree_starts_nothing_and_says_every_fault() -> None:
    async def program() -> None:
        async with manager() as pm:
            with pytest.raises(ConfigError) as refused:
                await pm.apply({"agents": {"a": {"type": "process_wrapper"}, "b": {"type": "process_wrapper", **SLEEP, "wat": 1}}})
            assert ["agents.a.command", "agents.b.wat"] == [place for place, _ in refused.value.problems]
            assert {} == pm.get_all_agents()

    run(program)
