"""The proof, at every start, that the seal holds: what is not sealed is sent, and must be refused."""

import os
import pickle
import select
import socket
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thespian.system.transport.streamBuffer import toSendBuffer

from suptree.actors.errors import SuptreeError
from suptree.actors.kernel.private_files import remove_if_empty

from .refused_frame_counter import reports

_LIMIT = 5.0


class _Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, nest: Path) -> None:
        self._nest = nest

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self._nest),))


def prove_that_the_unsealed_is_refused(address: tuple[str, int], state_dir: Path, refused_frames: socket.socket) -> None:
    """Send the admin what Thespian would send, without the seal; raise SuptreeError unless it is refused, counted, and not unpickled."""
    nest = state_dir / "unsealed"
    remove_if_empty(nest)
    said, closed = _answer(address, toSendBuffer((None, _Canary(nest)), pickle.dumps))
    counted = Counter[str]()
    while not nest.exists() and not counted and select.select([refused_frames], [], [], _LIMIT)[0]:
        counted.update(*(counts for _pid, counts in reports(refused_frames)))
    if nest.exists():
        remove_if_empty(nest)
        fault = "unpickled it"
    elif said:
        fault = "answered it"
    elif not closed:
        fault = f"kept its connection open for {_LIMIT:g} s"
    elif counted != Counter(unsealed=1):
        fault = f"did not say within {_LIMIT:g} s that it refused it"
    else:
        return
    raise SuptreeError(
        f"a message without the tree's seal was sent to Thespian {version('thespian')}, which {fault}: so nothing was started; "
        "install the Thespian that suptree asks for"
    )


def _answer(address: tuple[str, int], frame: bytes) -> tuple[bytes, bool]:
    """What comes back for a frame, and whether the connection was closed."""
    answer = b""
    with socket.create_connection(address, _LIMIT) as connection:
        try:
            connection.sendall(frame)
            while got := connection.recv(4096):
                answer += got
        except ConnectionError:
            return answer, True
        except TimeoutError:
            return answer, False
    return answer, True
