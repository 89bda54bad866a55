"""What holds for every test."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C, which some of them are about.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket, which `tmp_path` is not; it is removed however the test ends."""
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder:
        yield Path(folder)
