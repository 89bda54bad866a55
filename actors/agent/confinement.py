"""What the processes of an agent may do: as whom they run, and within which limits; applied between fork and exec."""

import contextlib
import grp
import os
import pwd
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from ..kernel.linux import go_first_when_memory_runs_out, leave_session_keyring, no_new_privileges
from ..spec.agent_spec import RLIMITS, AgentSpec, Limit

_REPORT_LIMIT = 4096


class CannotConfine(Exception):
    """An agent cannot run as its table says; the text says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user as whom an agent runs."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


def find_account(user: str) -> Account:
    """The account behind `name` or `name:group`; numbers do as well. Raises CannotConfine."""
    name, _, group = user.partition(":")
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, ValueError, OverflowError):
        raise CannotConfine(f"there is no user {name!r} on this machine") from None
    try:
        gid = found.pw_gid if not group else int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        groups = tuple(os.getgrouplist(found.pw_name, gid))
    except (KeyError, ValueError, OverflowError):
        raise CannotConfine(f"there is no group {group!r} on this machine") from None
    return Account(found.pw_name, found.pw_uid, gid, groups, found.pw_dir, found.pw_shell or "/bin/sh")


def other_account(user: str | None) -> Account | None:
    """The account that an agent changes to; None when it runs as we do. Raises CannotConfine when it may not."""
    if user is None:
        return None
    account = find_account(user)
    if os.geteuid() == 0:
        return None if (account.uid, account.gid) == (0, os.getegid()) else account
    if account.uid != os.geteuid() or (":" in user and account.gid not in (os.getegid(), *os.getgroups())):
        raise CannotConfine(f"user {user!r} needs root: only a tree that runs as root may start agents as somebody else")
    return None


class Confinement:
    """Applies an agent's `user`, `umask`, `no_new_privs` and `rlimits` to a new process.

    Where the table says nothing, umask and the limit of open files are what they were when suptree was started: it changes both for itself.
    """

    def __init__(self, spec: AgentSpec, account: Account | None, *, umask: int, nofile: Limit | None) -> None:
        self._account = account
        self._umask = umask if spec.umask is None else spec.umask
        self._no_new_privs = spec.no_new_privs
        self._rlimits = ({} if nofile is None else {"nofile": nofile}) | dict(spec.rlimits)
        self._cwd = spec.cwd

    def enter(self) -> None:
        """Confine the process that calls this, for good. Raises CannotConfine."""
        for what, act in self._steps():
            try:
                act()
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise CannotConfine(f"{what}: {reason}") from None

    @contextlib.contextmanager
    def starting(self) -> Iterator[Callable[[], None]]:
        """What a process started in the block calls between fork and exec; when that fails, CannotConfine is raised here."""
        reader, writer = os.pipe()

        def enter() -> None:
            try:
                self.enter()
            except CannotConfine as error:
                os.write(writer, str(error).encode())
                raise

        try:
            yield enter
        except subprocess.SubprocessError as error:
            # All that subprocess says of an error in the new process is that there was one.
            os.set_blocking(reader, False)
            with contextlib.suppress(BlockingIOError):
                raise CannotConfine(os.read(reader, _REPORT_LIMIT).decode()) from None
            raise CannotConfine(str(error)) from None
        finally:
            os.close(reader)
            os.close(writer)

    def own(self, descriptors: Iterable[int]) -> None:
        """Let its user open these pipes and terminals again, by way of /dev/stdout or /dev/tty."""
        if self._account is not None:
            for descriptor in descriptors:
                os.fchown(descriptor, self._account.uid, -1)

    def _steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        # Before it changes to another user: its files in /proc then are root's.
        yield "oom_score_adj", go_first_when_memory_runs_out
        # Once the process has changed to another user it may raise no limit any more.
        for name, limit in self._rlimits.items():
            yield f"rlimits.{name}", partial(resource.setrlimit, RLIMITS[name], limit)
        yield "umask", partial(os.umask, self._umask)
        if (account := self._account) is not None:
            # As root: the new keyring counts among root's, and another user may have but a few.
            yield "keyring", leave_session_keyring
            yield f"user {account.name}", partial(os.setgroups, account.groups)
            yield f"user {account.name}", partial(os.setresgid, account.gid, account.gid, account.gid)
            yield f"user {account.name}", partial(os.setresuid, account.uid, account.uid, account.uid)
            if self._cwd is not None:
                yield f"cwd {self._cwd}, as user {account.name}", partial(os.chdir, self._cwd)
        if self._no_new_privs:
            yield "no_new_privs", no_new_privileges
