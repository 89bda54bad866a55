"""Web applications with agents: real servers, real requests, an agent that is killed, and nothing left at the end."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.polling import poll_until

from .page import write
from .running import BIN, first_answer, get, killed_and_restarted, program


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGKILL, False)])
def test_starlette_under_uvicorn_ends_its_tree_however_it_ends(tmp_path: Path, port: int, number: int, group: bool) -> None:
    write(tmp_path, "starlette_app.py")
    with program(tmp_path, "uvicorn", "starlette_app:app", "--port", str(port)) as server:
        first_answer(port, "/agents")
        killed_and_restarted(lambda: get(port, "/agents")["clock"])
        server.end(number, group=group)
        assert [] == server.ended()[1]
        assert (number != signal.SIGKILL) == ("Application shutdown complete" in server.output)
        assert "Traceback" not in server.output


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_fastapi_under_uvicorn_on_both_event_loops(tmp_path: Path, port: int, loop: str) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip(loop)
    write(tmp_path, "fastapi_app.py")
    with program(tmp_path, "uvicorn", "fastapi_app:app", "--port", str(port), "--loop", loop) as server:
        first_answer(port, "/agents")
        killed_and_restarted(lambda: get(port, "/agents")["clock"])
        server.end()
        assert [] == server.ended()[1]
        assert "Traceback" not in server.output


def test_django_under_uvicorn_from_views_of_both_kinds(tmp_path: Path, port: int) -> None:
    pytest.importorskip("django")
    subprocess.run([BIN / "django-admin", "startproject", "mysite", "."], cwd=tmp_path, check=True, timeout=60)
    write(tmp_path, "mysite/asgi.py", "mysite/agents.py", "mysite/urls.py")
    with program(tmp_path, "uvicorn", "mysite.asgi:application", "--port", str(port)) as server:
        first_answer(port, "/agents")
        killed_and_restarted(lambda: get(port, "/agents")["clock"])
        assert {"restarted": True} == get(port, "/agents/clock/restart")
        assert {"restarted": False} == get(port, "/agents/nobody/restart")
        status, _, incarnation, healthy = get(port, "/agents")["clock"]
        assert ("running", 3, True) == (status, incarnation, healthy)
        server.end()
        assert [] == server.ended()[1]
        assert "Traceback" not in server.output


def seen_by_three_workers(port: int, *others: int) -> dict[int, list[object]]:
    """What each of the three workers says of the agent, by the pid of the worker; none of them is one of `others`."""
    seen: dict[int, list[object]] = {}

    def look() -> bool:
        with ThreadPoolExecutor(6) as threads:
            for answer in threads.map(lambda _: get(port, "/"), range(6)):
                seen[answer["worker"]] = answer["clock"]
        for worker in seen.keys() & set(others):
            del seen[worker]
        return len(seen) == 3

    poll_until(look, within=40, what=lambda: seen)
    return seen


def gunicorn(folder: Path, port: int, *more: str) -> list[str]:
    pytest.importorskip("gunicorn")
    write(folder, "shop.toml", "shop.py", *more)
    return ["gunicorn", "shop:app", "--bind", f"127.0.0.1:{port}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_three_workers_of_gunicorn_share_the_tree_of_the_master(tmp_path: Path, port: int, number: int) -> None:
    # A worker whose master was killed notices it after half of its timeout, which is 30 s where it is not given.
    timeout = ["--timeout", "10"] if number == signal.SIGKILL else []
    with program(tmp_path, *gunicorn(tmp_path, port, "gunicorn.conf.py", "shop_tree.py"), *timeout) as server:
        first_answer(port, "/")
        killed_and_restarted(lambda: get(port, "/")["clock"])
        before = get(port, "/")["clock"]
        killed = get(port, "/")["worker"]
        os.kill(killed, signal.SIGKILL)
        workers = seen_by_three_workers(port, killed)
        server.end(signal.SIGHUP)
        assert [before] * 6 == [*workers.values(), *seen_by_three_workers(port, *workers).values()]
        server.end(number)
        assert (-signal.SIGKILL if number == signal.SIGKILL else 0, []) == server.ended()
        assert "Traceback" not in server.output


def test_three_workers_of_gunicorn_reach_a_tree_that_is_a_service_of_its_own(tmp_path: Path, port: int) -> None:
    options = ["--workers", "3", "--env", "SUPTREE_TREE=shop"]
    command = [*gunicorn(tmp_path, port), *options]
    with program(tmp_path, "suptree", "up", "shop.toml") as tree:
        poll_until(lambda: "shop is up" in tree.output)
        with program(tmp_path, *command) as server:
            first_answer(port, "/")
            killed_and_restarted(lambda: get(port, "/")["clock"])
            assert [get(port, "/")["clock"]] * 3 == [*seen_by_three_workers(port).values()]
            server.end()
            assert (0, []) == server.ended()
            assert "Traceback" not in server.output
        tree.end()
        assert (0, []) == tree.ended()
