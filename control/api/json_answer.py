"""How the control API answers."""

import json
from typing import Any

from starlette.responses import JSONResponse


class JsonAnswer(JSONResponse):
    """JSON in ASCII: a name of a file that is no UTF-8 has half surrogate pairs, which UTF-8 cannot encode and JSON's escapes can."""

    def render(self, content: Any) -> bytes:
        """The body of the response."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def server_sent(content: Any) -> bytes:
    """One server-sent event with JSON in it, as bytes: a line of a log may have 16 MiB, and as a text would be looked through for lines."""
    return b"".join((b"data: ", json.dumps(content).encode("ascii"), b"\r\n\r\n"))
