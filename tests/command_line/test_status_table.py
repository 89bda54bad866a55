"""The status table in a narrow terminal."""

from typing import Any

import pytest
from rich.console import Console

from suptree.scripts.commands.status_table import status_table

ROW: dict[str, Any] = {
    "id": "researcher", "type": "process_wrapper", "supervisor": "writers", "status": "running", "pid": 12345, "actor_pid": 1,
    "restarts": 3, "uptime": 12.5, "last_ping_age": 0.4, "rss": 5 * 2**20, "detail": "held: command not found", "last_exit": None,
}  # fmt: skip


def drawn(width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(status_table({"agents": [ROW]}, width))
    return captured.get()


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
def test_whatever_the_width_an_agent_and_its_status_can_be_read(width: int) -> None:
    assert {"researcher", "running"} <= set(drawn(width).split())


def test_a_pid_is_shown_whole_or_not_at_all() -> None:
    assert ["12345" in drawn(width) for width in (20, 40, 200)] == ["PID" in drawn(width) for width in (20, 40, 200)]


def test_where_there_is_room_everything_is_reported() -> None:
    assert {"3", "12.5s", "0.4s", "5M", "held:"} <= set(drawn(200).split())


def test_a_long_id_takes_no_more_than_its_part_and_is_whole() -> None:
    agent_id = "".join(chr(ord("a") + number % 26) for number in range(64))
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(status_table({"agents": [ROW | {"id": agent_id}, ROW]}, 80))
    heading, *lines = captured.get().splitlines()
    place = heading.index("STATUS")
    assert {"AGENT", "STATUS", "PID", "DETAIL"} <= set(heading.split())
    assert agent_id in "".join(line[:place].strip() for line in lines)
    assert max(map(len, lines)) <= 80
