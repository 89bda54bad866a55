"""A second user of the machine, as whom a test does something for real."""

import json
import os
import pwd
import shutil
from collections.abc import Callable
from typing import Any

import pytest

NOBODY = pwd.getpwnam("nobody")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as a second user")

PYTHON = next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if shutil.which(path)), "python3")
"""One that every user may execute."""


def as_nobody(act: Callable[[], Any]) -> Any:
    """What `act` returns, or the name of the OSError that it raises, when another user of this machine does it."""
    return as_user(NOBODY, act)


def as_user(user: pwd.struct_passwd, act: Callable[[], Any]) -> Any:
    """The same for any user."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            try:
                found = act()
            except OSError as error:
                found = type(error).__name__
            os.write(writer, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123  (a descriptor)
        said = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(said)
