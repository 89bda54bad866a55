"""How the control API answers."""

import json
from typing import Any

from starlette.responses import JSONResponse


class JsonAnswer(JSONResponse):
    """JSON in ASCII: a name of a file that is no UTF-8 has half surrogate pairs, which UTF-8 cannot encode and JSON's escapes can."""

    def render(self, content: Any) -> bytes:
        """The body of the response."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
