"""Where the processes of a running tree listen, by the kernel's own tables."""

import os
import socket

import pytest

from suptree.testing import LiveTree

from .kernel_sockets import KernelSocket, sockets_of
from .sealed_tree import fleet


def sockets(running: LiveTree) -> list[KernelSocket]:
    return sockets_of(process.pid for process in running.processes())


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("door", ["Unix alone", "TCP too"])
def test_no_process_of_a_tree_has_a_socket_that_is_not_on_loopback(free_port: int, door: str) -> None:
    with fleet(listen=f"127.0.0.1:{free_port}" if door == "TCP too" else None) as running:
        status = running.wait_until_all_run()
        found = sockets(running)
        listening = [one for one in found if one.listens and one.family == "tcp"]

        assert {("unix", ""), ("tcp", "127.0.0.1")} == {(one.family, one.address if one.family != "unix" else "") for one in found}
        # One for each actor, none that is shared, and of the launcher's only the one that was asked for.
        actors = {row["actor_pid"] for row in (*status["agents"], *status["supervisors"])}
        services = {pid for name, pid in status["pids"].items() if name != "launcher"}
        launcher = {status["pids"]["launcher"]: [free_port]} if door == "TCP too" else {}
        assert sorted([*actors, *services, *launcher]) == sorted(one.pid for one in listening)
        assert launcher.get(status["pids"]["launcher"], []) == [one.port for one in listening if one.pid == status["pids"]["launcher"]]
        assert len(listening) == len({one.port for one in listening})

        folder = str(running.launcher.paths.runtime)
        assert {f"{folder}/{name}.sock" for name in ("control", "notify")} == {one.address for one in found if one.address[:1] == "/"}


def test_the_tables_show_who_listens_anywhere_else() -> None:
    """The test above could not fail if they did not."""
    with (
        socket.socket() as everywhere,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        everywhere.bind(("0.0.0.0", 0))  # noqa: S104
        everywhere.listen()
        datagrams.bind(("::1", 0))
        expected = {
            KernelSocket(os.getpid(), "tcp", "0.0.0.0", everywhere.getsockname()[1], listens=True),  # noqa: S104
            KernelSocket(os.getpid(), "udp6", "::1", datagrams.getsockname()[1]),
            KernelSocket(os.getpid(), "unix", ""),
        }
        assert unix.fileno() > 0
        assert expected <= set(sockets_of([os.getpid()]))
