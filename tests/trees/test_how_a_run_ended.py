"""Of a run that was not stopped in order the commands say so."""

import json
from collections.abc import Iterator

import pytest

from suptree.control.trees.last_run import how_it_ended
from suptree.control.trees.paths import TreePaths
from tests.polling import poll_until

from .commands import LIMIT, SLEEPER, Place, send

HELD = SLEEPER.replace('"sleep"', '"sh"').replace('["1000"]', '["-c", "exit 3"]\nhold = true\nmax_restarts = 9')


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory) as place:
        yield place


def up_and_killed(place: Place) -> int:
    """The pid that a launcher had which was killed."""
    pid: int = place.up()["pid"]
    send(pid)
    poll_until(lambda: not place.processes(), LIMIT)
    return pid


def ending(place: Place) -> str | None:
    return how_it_ended(TreePaths.of("t", place.home))


def test_each_command_says_that_the_launcher_was_killed_until_the_tree_was_stopped_in_order(place: Place) -> None:
    pid = up_and_killed(place)
    killed = (
        f"tree 't' was not stopped in order: its launcher (pid {pid}) ended without noting that, as one does that is killed"
        " (SIGKILL, or no memory: see `dmesg`)"
    )
    for command in ("status", "status -t t", "explain a", "events", "tree", "stop a"):
        done = place.suptree(*command.split())
        assert (3, [killed]) == (done.returncode, done.stdout.splitlines()[1:]), command
    place.up()
    assert None is ending(place)
    place.expect_down()
    assert "suptree: no tree runs: start one with `suptree up FILE`\n" == place.suptree("status").stdout


def test_a_death_of_a_run_whose_launcher_was_killed_is_explained_and_so_is_that(place: Place) -> None:
    place.file.write_text(HELD, encoding="utf-8")
    run = place.up()
    poll_until(lambda: "now        held" in place.suptree("explain", "a").stdout, LIMIT)
    send(run["pid"])
    poll_until(lambda: "tree t does not run" in place.suptree("explain", "a").stdout, LIMIT)
    assert place.suptree("explain", "a").stdout.splitlines()[-1].startswith("tree 't' was not stopped in order: its launcher (pid ")


def test_a_run_that_ended_with_the_machine_is_reported_as_that_and_one_of_an_earlier_version_is_not_judged(place: Place) -> None:
    up_and_killed(place)
    path, found = place.state / "run.json", place.run
    # The runs of other machines are none of ours.
    expected = "tree 't' was not stopped in order: it ended with the machine, which was started again since"
    for other, said in (({"boot": "another"}, expected), ({"boot": "another", "host": "elsewhere"}, None)):
        path.write_text(json.dumps({**found, "place": {**found["place"], **other}}))
        assert said == ending(place)
    del found["ended"]
    path.write_text(json.dumps(found))
    assert None is ending(place)
