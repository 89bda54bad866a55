"""The notify sockets are kept where programs look for them."""

import asyncio
from pathlib import Path

from suptree.actors.notify.notification import NOTIFY_SOCKET
from suptree.actors.notify.notify_socket import NotifySocket
from suptree.actors.notify.notify_sockets import NotifySockets
from suptree.actors.notify.socket_keeper import SocketKeeper


def test_a_socket_is_made_again_also_while_something_else_in_its_folder_changes_all_the_time(tmp_path: Path) -> None:
    runtime = tmp_path / "suptree" / "runtime"
    runtime.mkdir(parents=True, mode=0o700)
    runtime.parent.chmod(0o700)
    made: list[NotifySocket] = []

    async def remove_it() -> None:
        loop, is_made = asyncio.get_running_loop(), asyncio.Event()

        def listen_at(socket: NotifySocket) -> None:
            made.append(socket)
            is_made.set()

        def change() -> None:
            (runtime / "changes").write_text("again")
            loop.call_later(0.001, change)

        SocketKeeper(loop, NotifySockets(str(runtime)), str(tmp_path / "shared"), listen_at)
        (runtime / NOTIFY_SOCKET).unlink()
        change()
        async with asyncio.timeout(10):
            await is_made.wait()

    asyncio.run(remove_it())
    assert [True] == [socket.is_in_place() for socket in made]
