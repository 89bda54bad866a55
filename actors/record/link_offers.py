"""How a new registry reaches the launcher: through sockets without a name, which no stranger can connect to and nobody can remove."""

import socket


class LinkOffers:
    """The launcher makes this before it forks, and the actors inherit it; each registry passes one end of a new connection through it."""

    def __init__(self) -> None:
        self._offered, self._offers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._offered.setblocking(False)

    @property
    def registry_end(self) -> int:
        """The descriptor that a registry needs, and every process that forks one."""
        return self._offers.fileno()

    def fileno(self) -> int:
        """For the launcher: readable when a registry has connected."""
        return self._offered.fileno()

    def connect(self) -> socket.socket:
        """For the registry: a connection to the launcher. Raises OSError when the launcher is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._offers, [b"registry"], [theirs.fileno()])
        return ours

    def take(self) -> socket.socket | None:
        """For the launcher: the next connection, None when there is none."""
        try:
            _, descriptors, _, _ = socket.recv_fds(self._offered, 16, 1)
        except BlockingIOError:
            return None
        return socket.socket(fileno=descriptors[0]) if descriptors else None
