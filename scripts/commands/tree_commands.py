"""Commands about a whole tree: init, check, up, down."""

import asyncio
import contextlib
import errno
import math
import os
import signal
import stat
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
import psutil

from suptree.actors import AgentStatus
from suptree.actors.errors import AlreadyRunning, ConfigError, MissingOnMachine, NotRunning, SuptreeError
from suptree.actors.events.picture import is_alive
from suptree.actors.kernel.sweep import pidfd_readable
from suptree.control.client.client import Client
from suptree.control.client.reach import URL_VARIABLE, remote_url
from suptree.control.door.listeners import parse_address
from suptree.control.launcher.launch_spec import LaunchSpec
from suptree.control.launcher.spawn import LauncherProcess, begin_launcher
from suptree.control.trees import leftovers
from suptree.control.trees.find import find_tree
from suptree.control.trees.leftovers import left_of, processes_of
from suptree.control.trees.standing import Running
from suptree.supervisors.config.tree_file import load_tree
from suptree.supervisors.config.tree_findings import find_in_tree
from suptree.supervisors.config.tree_template import TREE_TEMPLATE
from suptree.supervisors.spec.longest_stop import longest_stop
from suptree.supervisors.spec.tree_spec import TreeSpec

from ..common import Seconds, json_option, tree_option, with_client, with_progress
from ..printer import Printer, say_if_read
from ..screen import print_json, say
from .foreground import run_in_foreground

_STORY_LINES = 8
_FORCE_WAIT = 15.0
_HEARD_WAIT = 2.0
_LIFELINE_WAIT = 2.0


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("tree.toml"))
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def init(file: Path, *, force: bool) -> None:
    """Write a commented tree file to begin with."""
    # A link could lead to any file, and to open a FIFO waits for a reader: somebody else may have put either there.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | (0 if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(file, flags, 0o666), "w", encoding="utf-8") as made:
            if not stat.S_ISREG(os.fstat(made.fileno()).st_mode):
                raise SuptreeError(f"{file} is no regular file: choose another name")
            made.truncate()
            made.write(TREE_TEMPLATE)
    except FileExistsError:
        raise SuptreeError(f"{file} is there already: choose another name, or --force") from None
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise SuptreeError(f"{file} is no regular file: choose another name") from None
        if error.errno == errno.ELOOP:
            raise SuptreeError(f"{file} is a link: write to the file that it leads to, or remove it") from None
        raise SuptreeError(f"{file} cannot be written: {error.strerror}") from None
    say(f"wrote {file}; run it with: suptree up {file}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Validate a tree file, and look for what it needs on this machine; all faults are shown together."""
    try:
        spec = load_tree(file)
        warnings = _warnings(spec, file)
    except ConfigError as error:
        if as_json:
            print_json({"file": error.source, "problems": _as_json(error.problems)})
        raise
    counts = _counts(spec)
    if as_json:
        longest = longest_stop(spec.root)
        print_json(
            {
                "tree": spec.name,
                **counts,
                "longest_stop": longest if math.isfinite(longest) else None,
                "warnings": _as_json(warnings),
            }
        )
    else:
        say(f"{file} is good: {_in_words(counts)}; a stop takes at most {longest_stop(spec.root):g} s")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--detach", "-d", is_flag=True, help="Return when the tree is ready, and leave it running.")
@click.option("--listen", metavar="IP:PORT", help="Serve the control API on TCP too, to clients with the token of `suptree token`.")
@click.option("--beyond-loopback", is_flag=True, help="Permit an address that other machines reach, without TLS: put a proxy before it.")
def up(file: Path, listen: str | None, *, detach: bool, beyond_loopback: bool) -> None:
    """Run the tree of a file: in the foreground with live events, or in the background."""
    if listen is not None:
        listen = _address(listen, beyond_loopback=beyond_loopback)
    spec = load_tree(file)
    _warnings(spec, file)
    try:
        status = asyncio.run(_up(spec, file.absolute(), _path(file), listen, detach=detach))
    except AlreadyRunning as error:
        differs = None
        with contextlib.suppress(SuptreeError):
            differs = with_client(spec.name, lambda client: client.status())["file_differs"]
        raise AlreadyRunning("\n".join(filter(None, [str(error), differs]))) from None
    raise SystemExit(status)


@click.command()
@tree_option
@click.option("--timeout", type=Seconds(), default=300.0, show_default=True, help="Seconds after which whatever still stops is killed.")
def down(tree_name: str | None, timeout: float) -> None:
    """Stop everything, in order, and say what is left."""
    if remote_url(tree_name) is not None:
        raise SuptreeError(f"`down` ends trees of this machine, and {URL_VARIABLE} is set: name one with --tree, or unset it")
    tree = find_tree(tree_name)
    left = asyncio.run(_down(tree, timeout))
    say(f"{tree.paths.name}: {len(left)} processes left")
    for process in left:
        say(f"pid {process.pid}: got SIGKILL and does not die, or may not be signalled by this user; root can end it", err=True)
    raise SystemExit(1 if left else 0)


def _path(file: Path) -> list[str]:
    """Where factories are looked for first. Relative paths in PYTHONPATH mean the folder in which the command was given."""
    path = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return [*path, str(file.absolute().parent)]


def _warnings(spec: TreeSpec, file: Path) -> list[tuple[str, str]]:
    """What is wrong on this machine, also written to stderr. Raises MissingOnMachine, with all of it, when the tree could not start."""
    found = find_in_tree(spec, file, _path(file))
    if any(finding.fatal for finding in found):
        raise MissingOnMachine(str(file), [(finding.place, finding.what) for finding in found])
    for finding in found:
        say(f"{file}: {finding.place}: warning: {finding.what}", err=True)
    return [(finding.place, finding.what) for finding in found]


def _as_json(problems: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"place": place, "what": what} for place, what in problems]


def _address(text: str, *, beyond_loopback: bool) -> str:
    """An address to listen on, as it is written best. Raises click's UsageError when it cannot be, or may not."""
    try:
        address = parse_address(text)
    except ValueError as error:
        raise click.UsageError(f"--listen {error}") from None
    if not address.is_loopback and not beyond_loopback:
        raise click.UsageError(
            f"--listen {address} can be reached from other machines, and the token would go there and back in plain text:"
            " listen on loopback behind a proxy that speaks TLS, or say --beyond-loopback"
        )
    return str(address)


async def _up(spec: TreeSpec, file: Path, path: list[str], listen: str | None, *, detach: bool) -> int:
    launch = LaunchSpec(name=spec.name, file=str(file), listen=listen, owner_pid=None if detach else os.getpid(), sys_path=path)

    printer = Printer()

    async def say_up(launcher: LauncherProcess) -> None:
        await printer.say(f"{spec.name} is up: {_in_words(_counts(spec))} (launcher pid {launcher.process.pid})")
        if listen is not None:
            await printer.say(f"it listens on http://{listen} for clients that have its token: suptree token --tree {spec.name}")

    if detach:
        return await _up_in_background(launch, say_up)
    return (await run_in_foreground(lambda: begin_launcher(launch), say_up, printer.say)).report()


async def _up_in_background(launch: LaunchSpec, say_up: Callable[[LauncherProcess], Awaitable[None]]) -> int:
    """Return when the tree is ready; SIGTERM ends the tree as Ctrl-C does."""
    waiting = asyncio.current_task()
    assert waiting is not None  # noqa: S101  (this is a coroutine)
    asked = False

    def end() -> None:
        nonlocal asked
        asked = True
        waiting.cancel()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        launcher = begin_launcher(launch)
        async with Client(launcher.paths.control_socket) as client:

            async def describe() -> str:
                rows = (await client.picture())["rows"]
                waits = [row["id"] for row in rows if row["status"] == "starting" and row["kind"] == "agent"]
                return f"waiting for {', '.join(waits)} to start" if waits else ""

            await with_progress(launcher.ready(), describe)
    except asyncio.CancelledError:
        if not asked:
            raise
        say_if_read(f"{launch.name}: ended by SIGTERM before it was ready", err=True)
        return 128 + signal.SIGTERM
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
    await say_up(launcher)
    return 0


async def _down(tree: Running, limit: float) -> list[psutil.Process]:
    """Stop a tree in order; after `limit` seconds what still stops loses its grace, and a launcher that does not answer is killed."""
    with tree.held() as pidfd:
        async with Client(tree.paths.control_socket) as client:

            async def describe() -> str:
                try:
                    async with asyncio.timeout(_HEARD_WAIT):
                        return _still_alive((await client.picture())["rows"])
                except TimeoutError:
                    return "the launcher does not answer"

            ended = await with_progress(_stopped(tree, pidfd, limit), describe)
        if not ended:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            await _ended(pidfd, _FORCE_WAIT)
            # The lifelines of the actors end what is below them; what is stopped, too, has to be ended by its token.
            with contextlib.suppress(OSError):  # of psutil, when one of them ends while it is looked at
                await asyncio.to_thread(psutil.wait_procs, processes_of(tree.run_id), timeout=_LIFELINE_WAIT)
            await asyncio.to_thread(leftovers.end, tree.run_id)
    return await asyncio.to_thread(left_of, tree.paths, tree.run_id)


async def _stopped(tree: Running, pidfd: int, limit: float) -> bool:
    """Whether the launcher stops its tree, in order or after `limit` seconds without grace; False when it hears no request."""
    begun = time.monotonic()
    if not await _heard(tree, pidfd, max(limit, _HEARD_WAIT)):
        return False
    if await _ended(pidfd, max(0.0, limit - (time.monotonic() - begun))):
        return True
    # The second request ends the grace of what still stops.
    return await _heard(tree, pidfd, _HEARD_WAIT) and await _ended(pidfd, _FORCE_WAIT)


async def _heard(tree: Running, pidfd: int, limit: float) -> bool:
    """Ask the launcher to stop its tree; whether it heard that within so many seconds."""
    try:
        async with asyncio.timeout(limit), Client(tree.paths.control_socket) as client:
            await client.shut_down()
    except TimeoutError:
        return False
    except NotRunning:
        # Nobody listens where it did: a signal says the same.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    return True


async def _ended(pidfd: int, limit: float) -> bool:
    """Whether the process behind the descriptor ends within so many seconds."""
    try:
        async with asyncio.timeout(limit):
            await pidfd_readable(pidfd)
    except TimeoutError:
        return False
    return True


def _counts(spec: TreeSpec) -> dict[str, int]:
    counts = Counter("supervisors" if hasattr(child.start, "children") else "agents" for _, child in spec.root.walk())
    return {"agents": counts["agents"], "supervisors": counts["supervisors"] + 1}


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what if count != 1 else what.removesuffix('s')}" for what, count in counts.items())


def _still_alive(rows: list[dict[str, Any]]) -> str:
    """Which agents stop at this moment, and how many that live come after them."""
    alive = [row for row in rows if row["kind"] == "agent" and is_alive(row)]
    stopping = [row["id"] for row in alive if row["status"] == AgentStatus.STOPPING]
    to_come = len(alive) - len(stopping)
    said = [f"still stopping: {', '.join(stopping)}"] if stopping else []
    return "; ".join([*said, f"to be stopped after that: {to_come}"] if to_come else said)
