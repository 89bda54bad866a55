"""The launcher: a process of its own that starts the actor system, then serves the control API until the tree ends.

It is exec'ed with one argument, a JSON object (`LaunchSpec`), and says one JSON line on `ready_fd`: `{"ready": true}` or `{"error": …}`.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import structlog
from thespian.actors import ActorSystem

from suptree.actors.base.life_stamps import STAMPS
from suptree.actors.base.log_sink import begin_logging
from suptree.actors.base.messages import Begin, ClientRequest, Context, Services, Silent, Suspect
from suptree.actors.base.termination import TERMINATION, TOGETHER
from suptree.actors.errors import RequestTimeout, SuptreeError
from suptree.actors.events.entry import Entry, encode, time_of_day
from suptree.actors.heartbeat.stamp_watch import StampWatch
from suptree.actors.kernel.cgroup import Groups, make_run_groups
from suptree.actors.kernel.kill_below import kill_held
from suptree.actors.kernel.linux import become_subreaper, children_of, own_children
from suptree.actors.kernel.private_files import remove_folder, tighten
from suptree.actors.kernel.sweep import process_ended, reap_zombies, sweep
from suptree.actors.record.link_offers import LinkOffers
from suptree.actors.record.registry import RECORD, RegistryActor
from suptree.supervisors.actor.top import TOP, TopSupervisor
from suptree.supervisors.spec.ids import ROOT
from suptree.supervisors.spec.tree_spec import SupervisorSpec, TreeSpec

from ..door.listeners import listen_on_address, parse_address
from ..refusals import Refusals
from ..seal.actor_system import TreeSystem, start_actor_system
from ..seal.refused_frame_counter import reports
from ..seal.tree_key import key_path
from ..stop_requests import Asks, StopRequests
from ..trees import leftovers
from ..trees.paths import TreePaths, start_failed
from ..trees.run_file import Run, begun
from ..trees.standing import refuse_if_running
from ..trees.tree_lock import TreeLock
from .handed_over import HandedOver
from .keeper import Keeper
from .launch_spec import LaunchSpec
from .launcher_signals import STARTER_ASKS, STOPS, begin_signals, deaf
from .link import Link
from .own_heartbeat import own_heartbeat
from .tree_file_drift import TreeFileDrift

log = structlog.get_logger()

Work = Callable[[], Coroutine[Any, Any, None]]

EXIT_ASKED = 0
EXIT_GAVE_UP = 1
_STOP_LIMIT_WITHOUT_OWNER = 30.0
_REGISTRY_PASSES_ON = 3.0
_SHUTDOWN_HEARD_LIMIT = 10.0
_RECORDED_LIMIT = 60.0
_STORY_EVENTS = 20
_LEAST_DESCRIPTORS = 64


def main() -> int:
    """Run the tree of the first argument; return the exit status."""
    begin_logging()
    begin_signals()
    launch = LaunchSpec(**json.loads(sys.argv[1]))
    try:
        return Launcher(launch).run()
    except SuptreeError as error:
        _say_ready(launch, {"error": str(error), "kind": type(error).__name__})
        return EXIT_GAVE_UP
    except OSError as error:
        # Where the disk is full, the log that would tell more is full, too.
        log.exception("launcher_failed")
        _say_ready(launch, {"error": start_failed(TreePaths.of(launch.name), error), "kind": SuptreeError.__name__})
        return EXIT_GAVE_UP


def _say_ready(launch: LaunchSpec, line: dict[str, Any]) -> None:
    if launch.ready_fd is not None:
        with contextlib.suppress(OSError):
            os.write(launch.ready_fd, json.dumps(line).encode() + b"\n")
            os.close(launch.ready_fd)


class Launcher:
    """One run of one tree."""

    def __init__(self, launch: LaunchSpec) -> None:
        self.launch = launch
        self._handed_over = HandedOver()
        self.paths = TreePaths.of(launch.name)
        self.started_at = time.monotonic()
        self.stop_asked = False
        self._requests = StopRequests()
        self.link = Link()
        self.refusals = Refusals(launch.run_id, self._record)
        self.system: TreeSystem
        self.keeper: Keeper | None = None
        self.groups = Groups()
        self.pids: dict[str, int] = {}
        self._begin: Callable[[Work], asyncio.Task[None]] | None = None
        """Begins some work of the launcher, while the tree runs."""
        self._stopping: list[asyncio.Task[None]] = []
        self._failed = False
        self._file: TreeFileDrift | None = None
        self._heartbeat = own_heartbeat()
        self._top_silent = ""
        """Why the top supervisor was killed, if it was."""

    @property
    def listen(self) -> str | None:
        """Where the control API is served on TCP too (`IP:PORT`)."""
        return self.launch.listen

    def run(self) -> int:
        """Start everything, serve until the tree has ended, and leave nothing behind."""
        become_subreaper()
        for number in STOPS:
            signal.signal(number, self._asked_early)
        # Blocked by who started us, so that they are not lost before there is a handler.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        self._nofile = _raise_descriptor_limit()
        # From here on, for all that it and the actors make; agents get back what was.
        self._umask = os.umask(0o077)
        self.paths.make()
        # Before the lock: to look at the lock file would give our own lock up.
        refuse_if_running(self.paths)
        with TreeLock(self.paths) as self._tree_lock, contextlib.ExitStack() as at_the_end:
            # A key that others may have read is none any more, and is refused.
            tighten(self.paths.state, but=key_path(self.paths.state))
            at_the_end.callback(self._clean_up)
            if self.launch.listen is not None:
                # Said before anything runs. Not kept: the actors would inherit it, and it would outlive this process in them.
                listen_on_address(parse_address(self.launch.listen)).close()
            leftovers.remove(self.paths)
            # The last run's top supervisor, if it was dying, has removed the sockets' folder.
            self.paths.make()
            self._run = Run.of_this_process(self.paths, self.launch.run_id)
            try:
                self._run.write(self.paths)
            except OSError as error:
                raise SuptreeError(start_failed(self.paths, error)) from None
            at_the_end.callback(lambda: self._run.note_end(self.paths))
            RegistryActor.link_offers = LinkOffers()
            with deaf():
                system = self._start_system()
            status = asyncio.run(self._serve(system))
            log.info("tree_ended", tree=self.launch.name, asked=self.stop_asked, status=status)
            if status == EXIT_ASKED and not self.link.ready.is_set():
                _say_ready(self.launch, {"stopped": True})
            return status

    def _asked_early(self, number: int, _frame: object) -> None:
        if number == signal.SIGTERM:
            TERMINATION.announce()
        self.stop_asked = True

    def _clean_up(self) -> None:
        self.groups.remove()
        kept = self.paths if self.keeper is None else self.keeper.paths
        for folder in {self.paths.runtime, kept.runtime, self.paths.shared}:
            remove_folder(folder)
        if self.launch.ephemeral:
            self.paths.remove()

    def _tree(self) -> TreeSpec:
        environment = self._handed_over.take()
        if self.launch.file is None:
            return TreeSpec(name=self.launch.name, root=SupervisorSpec(id=ROOT))
        self._file = TreeFileDrift(Path(self.launch.file), environment)
        return self._file.tree

    @property
    def root(self) -> SupervisorSpec | None:
        """The root supervisor as the tree file has it, with all below it; None without a file."""
        return None if self._file is None else self._file.tree.root

    def file_differs(self) -> str | None:
        """In what the tree file differs from what runs; it may have to be read, so call it outside an event loop."""
        return None if self._file is None else self._file.differs()

    def _start_system(self) -> ActorSystem:
        paths = self.paths
        gc.freeze()
        self.system = start_actor_system(paths.state)
        system = self.system.thespian
        reap_zombies(())
        (admin,) = own_children()
        (logger,) = others = children_of(admin)
        top = system.createActor(TopSupervisor)
        (top_pid,) = (pid for pid in children_of(admin) if pid not in others)
        self.pids = {"launcher": os.getpid(), "admin": admin, "logger": logger, "top": top_pid}
        self._top_pidfd = os.pidfd_open(top_pid)
        try:
            tree = self._tree()
        except SuptreeError:
            system.shutdown()
            raise
        self.groups = make_run_groups(self.launch.run_id)
        context = Context(
            tree.name,
            self.launch.run_id,
            str(paths.state),
            str(paths.runtime),
            tuple(self.launch.sys_path),
            self.groups,
            shared_dir=str(paths.shared),
            umask=self._umask,
            nofile=self._nofile,
            run_began=time_of_day(),
            heartbeat=self._heartbeat,
        )
        self._top = top
        system.tell(top, Begin(TOP, 1, 0, tree, context, Services()))
        self.system.stop_listening()
        return system

    async def _serve(self, system: ActorSystem) -> int:
        from ..api.server import serve_api  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        # Not by the loop, which may be busy: the actors wait for that word.
        signal.signal(signal.SIGTERM, lambda *_: self._terminated(loop))
        loop.add_signal_handler(STARTER_ASKS, self.ask_to_stop, Asks.STARTER)
        loop.add_reader(self.system.refused_frames, self._take_refused_frames)
        link = asyncio.create_task(self.link.serve(RegistryActor.link_offers))
        api = await serve_api(self)
        self.keeper = Keeper(self.paths, self._run, self._tree_lock, api.listen_on_path)
        dead = await self._until_the_tree_ends(self.keeper)
        admin_died = dead == "admin"
        if admin_died:
            log.error("admin_died", pid=self.pids["admin"])
        else:
            await asyncio.to_thread(system.shutdown)
        swept, left = await self._sweep()
        gave_up = admin_died or self._failed or not self.stop_asked
        if left:
            log.error("processes_left", pids=left, why="they got SIGKILL and do not die, or are another user's by now")
            self._run = replace(self._run, left=begun(left))
        if gave_up:
            why, story = self._story(dead)
            log.error("tree_gave_up", why=why, story=story)
        if (strays := [pid for pid in swept if pid not in self.pids.values()]) and not admin_died:
            log.warning("processes_swept", pids=strays)
        await api.stop()
        link.cancel()
        return EXIT_GAVE_UP if gave_up or left else EXIT_ASKED

    async def _sweep(self) -> tuple[list[int], list[int]]:
        """End all that is left below; return the pids, and those that do not die: nobody waits for these."""
        loop = asyncio.get_running_loop()
        stuck: asyncio.Future[list[int]] = loop.create_future()
        sweeping = loop.create_task(sweep(tuple, lambda pids: None if stuck.done() else stuck.set_result(pids)))
        await asyncio.wait([sweeping, stuck], return_when=asyncio.FIRST_COMPLETED)
        if sweeping.done():
            return sweeping.result(), []
        sweeping.cancel()
        return [], [pid for pid in stuck.result() if psutil.pid_exists(pid)]

    async def _until_the_tree_ends(self, keeper: Keeper) -> str:
        """Wait for the end of the admin or of the top supervisor, and say which it was; until then, do all that the launcher has to do."""
        async with asyncio.TaskGroup() as group:
            ends = [group.create_task(process_ended(self.pids[name]), name=name) for name in ("admin", "top")]
            self._begin = lambda work: group.create_task(self._heard(work))
            others = [self._begin(self._owner_gone), self._begin(self._announce), self._begin(keeper.run)]
            watch = StampWatch(asyncio.get_running_loop(), STAMPS, self._heartbeat, self._top_judged)
            watch.watch(TOP, 1, self.pids["top"])
            if self.stop_asked:
                self._begin_to_stop()
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self._begin = None
            watch.unwatch(TOP, 1)
            for task in (*ends, *others, *self._stopping):
                task.cancel()
        return min(task.get_name() for task in done)

    def _top_judged(self, verdict: Silent | Suspect) -> None:
        """The top supervisor has no supervisor that could restart it: the tree ends with it, and the starter of the tree is informed."""
        if isinstance(verdict, Silent):
            self._top_silent = f"no sign of life from it for {verdict.age:.1f} s: it was killed as hung"
            log.error("top_hung", pid=self.pids["top"], silent_for=round(verdict.age, 1))
            kill_held(self._top_pidfd)
        elif verdict.suspect:
            log.warning("top_suspect", pid=self.pids["top"], silent_for=round(verdict.age, 1))

    async def _heard(self, work: Work) -> None:
        """Do something; an error in it ends the tree, in order: without that work, nobody might ever end it."""
        try:
            await work()
        except Exception:
            self._failed = True
            self.ask_to_stop(Asks.FAILURE)
            log.exception("launcher_failed", work=getattr(work, "__name__", str(work)))

    def _take_refused_frames(self) -> None:
        for pid, refused in reports(self.system.refused_frames):
            self.refusals.add(f"actor {self._name_of(pid)}", refused)

    def _name_of(self, pid: int) -> str:
        """The id of the child whose actor this process is, else the part of Thespian that it is."""
        known = {row["actor_pid"]: str(row["id"]) for row in self.link.picture.rows.values()}
        return known.get(pid) or next((name for name, other in self.pids.items() if other == pid), "unknown")

    async def _record(self, entry: Entry) -> None:
        with contextlib.suppress(RequestTimeout):
            await self.link.ask(RECORD, TOP, encode(entry), limit=_RECORDED_LIMIT)

    def _story(self, dead: str) -> tuple[str, list[str]]:
        """What ended the tree, and the last events, a line each; `dead` is the process whose end was the tree's."""
        from suptree.actors.events.wording import line  # noqa: PLC0415

        # Each supervisor tells the registry for itself: what they tell comes in their order, and here in the order of time.
        recent = sorted(list(self.link.events)[-_STORY_EVENTS:], key=lambda event: float(event["monotonic"]))
        story = [line(event) for event in recent]
        if ends := [line(event) for event in recent if event["event"] == "supervisor_exited" and event["id"] == ROOT]:
            return ends[-1], story
        why = (dead == "top" and self._top_silent) or "it was killed, or failed"
        return (end := f"its process {dead!r} (pid {self.pids[dead]}) ended without a last word: {why}"), [*story, end]

    def ask_to_stop(self, asks: Asks) -> None:
        """Begin to stop the tree in order; a second request is the grace's end for what still stops."""
        self.stop_asked = True
        if self._requests.is_new(asks):
            self._begin_to_stop()

    def _terminated(self, loop: asyncio.AbstractEventLoop) -> None:
        """SIGTERM: begin when it was sent to every process that it is meant for, so that it hits nothing that is started for the stop."""
        TERMINATION.announce()
        self.stop_asked = True
        loop.call_soon_threadsafe(loop.call_later, TOGETHER, self.ask_to_stop, Asks.SIGTERM)

    def _begin_to_stop(self) -> None:
        # Before the tree has begun it is only noted, and afterwards there is nothing left to stop.
        if self._begin is not None:
            self._stopping.append(self._begin(self._stop_tree))

    async def _stop_tree(self) -> None:
        request = uuid.uuid4().hex
        try:
            try:
                answer = (await self.link.ask("shutdown", TOP, limit=_REGISTRY_PASSES_ON, request=request))["answer"]
            except RequestTimeout:
                # The registry may hang, or be gone. Should it pass the request on after all, the top supervisor knows that already.
                log.warning("shutdown_goes_past_the_registry", waited=_REGISTRY_PASSES_ON)
                ask = partial(self.system.thespian.tell, self._top, ClientRequest(request, "shutdown", TOP, {}))
                async with asyncio.timeout(_SHUTDOWN_HEARD_LIMIT):
                    await asyncio.to_thread(ask)
                answer = "ok"
        except Exception as error:  # noqa: BLE001  (whatever it was: the tree is to end)
            answer = str(error)
        if answer != "ok":
            # Nobody is left who could do it in order: what dies with the top supervisor is swept.
            kill_held(self._top_pidfd)
            log.error("shutdown_not_heard", answer=answer)

    async def _announce(self) -> None:
        await self.link.ready.wait()
        _say_ready(self.launch, {"ready": True, "socket": str(self.paths.control_socket), "pid": os.getpid()})

    async def _owner_gone(self) -> None:
        if self.launch.owner_pid is None:
            return
        if os.getppid() == self.launch.owner_pid:
            await process_ended(self.launch.owner_pid)
        self.ask_to_stop(Asks.NO_STARTER)
        log.info("owner_gone", pid=self.launch.owner_pid)
        await asyncio.sleep(_STOP_LIMIT_WITHOUT_OWNER)
        self.ask_to_stop(Asks.NO_STARTER)


def _raise_descriptor_limit() -> tuple[int, int]:
    """To what the machine lets us have; return what it was. Raises SuptreeError where that is too little for any tree."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _LEAST_DESCRIPTORS:
        raise SuptreeError(f"the limit of open files is {hard}, and a tree needs {_LEAST_DESCRIPTORS} or more: raise it (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


if __name__ == "__main__":
    sys.exit(main())
