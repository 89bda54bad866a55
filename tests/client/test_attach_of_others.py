"""The stdin and stdout of an agent, for another user of the machine: the socket that leads there lets nobody in."""

import asyncio
import os
import socket
from pathlib import Path

from suptree.actors.program.attachment_frames import LONGEST, Word, frame, receive_ends
from suptree.testing import LiveTree
from tests.access.other_user import as_nobody, needs_root

LIMIT = 30.0
TREE = """
[agents.a]
type = "process_wrapper"
command = "cat"
stdin = "pipe"
"""


def got_from(path: Path) -> str:
    """What a client gets who connects there; nothing when it is refused."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT)
        connection.connect(str(path))
        return connection.recv(100).hex()


def offered(tree: LiveTree) -> Path:
    """A socket that waits for a client."""
    path, _incarnation = tree.ask(lambda client: asyncio.wait_for(client.attach("a"), LIMIT))
    return path


@needs_root
def test_another_user_cannot_reach_the_socket_and_is_refused_where_he_can() -> None:
    with LiveTree(TREE) as tree:
        tree.wait_until_all_run()
        path = offered(tree)
        assert "PermissionError" == as_nobody(lambda: got_from(path))
        # As if somebody had opened the folders and the socket.
        path.chmod(0o666)
        for folder in path.parents[:2]:
            folder.chmod(0o711)
        try:
            assert "" == as_nobody(lambda: got_from(path))
        finally:
            for folder in path.parents[:2]:
                folder.chmod(0o700)
        assert got_from(path)


def test_a_client_that_says_what_makes_no_sense_harms_itself_alone() -> None:
    with LiveTree(TREE) as tree:
        tree.wait_until_all_run()
        for nonsense in (frame(Word.GOES_ON), b"\xff" * 1000, bytes([Word.PRINTED]) + (LONGEST + 1).to_bytes(4, "big"), b"\x01\x00"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(LIMIT)
                connection.connect(str(offered(tree)))
                stdin, stdout, *_ = receive_ends(connection)
                os.close(stdin)
                os.close(stdout)
                connection.sendall(nonsense + frame(Word.OUTPUT_ENDED))
                connection.shutdown(socket.SHUT_WR)
                # The actor has understood that there is no client any more.
                assert b"" == connection.recv(100)
        row = tree.agent("a")
        assert ("running", 1) == (row["status"], row["incarnation"])
