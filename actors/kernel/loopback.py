"""Whether processes of this machine can talk to each other over an address of it."""

import contextlib
import socket

_WITHIN = 2.0


def fault_of_loopback(address: str = "127.0.0.1") -> str | None:
    """Why nothing that is sent there arrives, in words; None where it does. In a new network namespace `lo` is down."""
    with contextlib.ExitStack() as sockets:
        try:
            listener = sockets.enter_context(socket.create_server((address, 0)))
            connected = sockets.enter_context(socket.create_connection(listener.getsockname(), timeout=_WITHIN))
            listener.settimeout(_WITHIN)
            accepted, _ = listener.accept()
            sockets.enter_context(accepted).sendall(b"x")
            connected.recv(1)
        except OSError as error:
            why = error.strerror or str(error)
            return f"nothing can be sent to {address} ({why}), over which the processes of a tree talk: is `lo` down (ip link set lo up)?"
    return None
