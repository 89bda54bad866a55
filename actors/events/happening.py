"""One event as it is journalled and told: a plain mapping."""

import time
from datetime import UTC, datetime
from typing import Any


def happening(event: str, child: str | None, supervisor: str | None, *, source: str, serial: int, **fields: Any) -> dict[str, Any]:
    """What happened just now; `source` and `serial` say which event it is, whoever tells it how often."""
    return {
        "event": event,
        "id": child,
        "supervisor": supervisor,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "monotonic": time.monotonic(),
        "source": source,
        "serial": serial,
        **fields,
    }
