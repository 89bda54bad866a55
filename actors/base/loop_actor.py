"""The base of all our actors: one asyncio loop inside, a lifeline to the parent, one place where errors end."""

import asyncio
import errno
import gc
import multiprocessing
import multiprocessing.process
import os
import select
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ClassVar, NoReturn

import structlog
from thespian.actors import Actor, ActorAddress, ActorSystemMessage, ThespianWatch

from ..kernel.linux import become_subreaper, die_with_parent
from ..kernel.sweep import sweep
from .channel import ChannelId, Inbox, Numbered, Outbox
from .dispatch import Handlers
from .messages import Ended
from .stepped_loop import SteppedLoop
from .termination import TERMINATION
from .thespian_hooks import forget_child, has_messages, keep_only_living_children, last_forked, transport_of

log = structlog.get_logger()

# Thespian's handler for these returns into the fault, which then spins at 100% CPU for ever.
_FATAL_SIGNALS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)

# A message that was sent before another comes within this, or was lost: Thespian sends again after at most a few seconds.
_GAP_LIMIT = 15.0
# A supervisor that lives has heard a last word long before.
_LAST_WORD_LIMIT = 60.0

EXIT_UNEXPECTED = 70
"""The exit status of an actor that ended on an error of its own (BSD: EX_SOFTWARE)."""


class LoopActor(Actor):  # type: ignore[misc]  # Thespian is untyped
    """An actor whose handlers and coroutines share one loop.

    A subclass fills the table `handlers` when it is made: `dict([on(Begin, self.on_begin), …])`. A handler must not wait;
    it may `spawn` coroutines, which run while the actor is idle.
    """

    runs_foreign_code: ClassVar[bool] = False
    """Whether code that is not ours shares the loop."""
    supervisor: Outbox

    def __init__(self) -> None:
        super().__init__()
        # Until the loop watches the parent's pidfd the kernel does it for us.
        die_with_parent(signal.SIGKILL)
        parent = multiprocessing.parent_process()
        self.parent_pid = parent.pid if parent is not None and parent.pid is not None else os.getppid()
        if os.getppid() != self.parent_pid:
            os._exit(0)
        self.handlers: Handlers = {}
        self._loop: SteppedLoop | None = None
        self._tasks: set[Any] = set()
        self._inboxes: dict[ChannelId, Inbox] = {}
        self._outboxes: dict[int, Outbox] = {}
        self.origin = 0
        """The pid of the actor whose message is being handled."""
        self.ended = False
        self._rests = False
        """Whether it waits, with nothing else to do."""
        self._interval_call: Callable[[], None] | None = None
        self._interval_due = False

    @property
    def loop(self) -> SteppedLoop:
        """The actor's own event loop."""
        if self._loop is None:
            self._loop = self._set_up()
        return self._loop

    def receiveMessage(self, message: Any, sender: ActorAddress) -> ThespianWatch:  # noqa: N802  (Thespian's name)
        """Handle one message, run the loop while there is nothing else to do, and say what to wait for."""
        try:
            loop = self.loop
            if isinstance(message, Numbered):
                self._receive(message, sender)
            else:
                self._dispatch(message, sender)
            self._step(loop)
            while self._wait_for(loop):
                self._step(loop)
        except BaseException:  # noqa: BLE001  Thespian would run the handler a second time and then go on.
            self.fail()
        # Every return without a watch disarms it.
        return ThespianWatch([loop.fileno()])

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine on the actor's loop; an error in it ends the actor."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)

        def done(finished: Any) -> None:
            self._tasks.discard(finished)
            if not finished.cancelled() and finished.exception() is not None:
                self.fail(finished.exception())

        task.add_done_callback(done)
        return task

    def fork(self, actor_class: type[Actor]) -> tuple[ActorAddress, int, multiprocessing.process.BaseProcess]:
        """Create a child actor; return its address, its pid and its process, which the caller watches from this moment on.

        Raises OSError when no process can be forked: Thespian keeps that to itself, and the last child would be an earlier one.
        """
        before = last_forked(self)
        # Kept for the child until it hears signals: Thespian's own handler would end it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            address = self.createActor(actor_class)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        process = last_forked(self)
        if process is None or process is before or process.pid is None:
            self.forget_child(address)
            raise BlockingIOError(errno.EAGAIN, "no process can be forked now: a limit of processes, memory or descriptors is reached")
        return address, process.pid, process

    def open(self, address: ActorAddress) -> Outbox:
        """A channel to another of our actors: the messages that are sent through it arrive in order, and once."""
        return Outbox(self.send, address, transport_of(self).is_behind)

    def back_to(self, sender: ActorAddress) -> Outbox:
        """The channel back to the actor whose message is being handled."""
        if self.origin not in self._outboxes:
            self._outboxes[self.origin] = self.open(sender)
        return self._outboxes[self.origin]

    def forget_child(self, address: ActorAddress) -> None:
        """That child, which `fork` gave this address, is dead, and nothing will be sent to it."""
        forget_child(self, address)

    def forget_sender(self, pid: int) -> None:
        """That process is dead: nothing more comes from it."""
        self._outboxes.pop(pid, None)
        self._inboxes = {channel: inbox for channel, inbox in self._inboxes.items() if channel[0] != pid}

    def end(self, last_word: Ended) -> None:
        """Send the last word, and wait until the supervisor ends this process.

        When the supervisor does so it has received the last word, whatever the transport did meanwhile.
        """
        self.ended = True
        self.supervisor.tell(last_word)
        self.loop.call_later(_LAST_WORD_LIMIT, os._exit, EXIT_UNEXPECTED)

    def fail(self, error: BaseException | None = None) -> NoReturn:
        """End this process immediately, over this error or the one being handled.

        The supervisor sees the end through its pidfd of the process, and ends what the actor leaves behind.
        """
        log.error("actor_failed", actor=type(self).__name__, pid=os.getpid(), exc_info=error or True)
        os._exit(EXIT_UNEXPECTED)

    def _loop_complains(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of ours raised: asyncio would go on without it, for example without a timer that sets itself again."""
        if "handle" in context and (not self.runs_foreign_code or _is_ours(context["handle"]._callback)):
            self.fail(context.get("exception"))
        loop.default_exception_handler(context)

    def wants_to_end(self, wish: SystemExit | KeyboardInterrupt) -> None:
        """A task or a callback wants the process to end."""
        raise wish

    def inherited(self) -> set[int]:
        """The descriptors that this actor has from its parent, and uses."""
        return set()

    def parent_died(self) -> None:
        """The parent has ended: end every process below this actor, then the actor."""
        self.loop.remove_reader(self._parent_pidfd)
        self.spawn(self._end_everything())

    def clean_up(self) -> None:
        """No process below this actor is left: remove what those processes were given."""

    async def _end_everything(self) -> None:
        await sweep(tuple)
        self.clean_up()
        os._exit(0)

    def every(self, interval: float, call: Callable[[], None]) -> None:
        """Call something now, then every `interval` seconds for as long as the actor lives; an error in the call ends the actor."""
        call()
        self.loop.call_later(interval, self.every, interval, call)

    def every_idle(self, interval: float, call: Callable[[], None]) -> None:
        """Call something now, then every `interval` seconds. A call that falls due while the actor works is made at the loop's next turn.

        The interval timer of the process does this, for actors that run no code but ours: a timer of the loop costs more than twice as
        much, for the loop has to run for it. An actor has one such call, which may use nothing that the rest of the actor uses. It proves
        that the actor works: where the actor rests, it waits for everything that it has to hear; where it does not, its loop has to turn.
        """
        self._interval_call = call
        signal.signal(signal.SIGALRM, self._interval_passed)
        signal.setitimer(signal.ITIMER_REAL, interval, interval)
        call()

    def _interval_passed(self, *_signal: object) -> None:
        if self._rests:
            self._make_interval_call()
        else:
            self._interval_due = True
            self.loop.wake()

    def _make_interval_call(self) -> None:
        self._interval_due = False
        if self._interval_call is not None:
            self._interval_call()

    def _step(self, loop: SteppedLoop) -> None:
        try:
            loop.step()
        except (SystemExit, KeyboardInterrupt) as wish:
            self.wants_to_end(wish)
        if self._interval_due:
            self._make_interval_call()

    def _wait_for(self, loop: SteppedLoop) -> bool:
        """Wait as Thespian would, at a tenth of the cost, while that has nothing to do. True when the loop alone has something to do."""
        descriptors = transport_of(self).resting_on()
        if descriptors is None or has_messages(self):
            return False
        poll = select.poll()
        for descriptor in (loop.fileno(), *descriptors):
            poll.register(descriptor, select.POLLIN)
        self._rests = True
        try:
            ready = [descriptor for descriptor, _ in poll.poll()]
        finally:
            self._rests = False
        return [loop.fileno()] == ready

    def _receive(self, numbered: Numbered, sender: ActorAddress) -> None:
        inbox = self._inboxes.setdefault(numbered.channel, Inbox())
        self._deliver(inbox.take(numbered), numbered.channel, sender)
        if inbox.waits:
            self.loop.call_later(_GAP_LIMIT, self._give_up_gap, numbered.channel, inbox.position, sender)

    def _give_up_gap(self, channel: ChannelId, position: int, sender: ActorAddress) -> None:
        inbox = self._inboxes.get(channel)
        if inbox is not None and inbox.waits and inbox.position == position:
            log.error("message_lost", actor=type(self).__name__, sender=channel[0], number=position)
            self._deliver(inbox.skip(), channel, sender)

    def _deliver(self, messages: list[Any], channel: ChannelId, sender: ActorAddress) -> None:
        for message in messages:
            self.origin = channel[0]
            self._dispatch(message, sender)

    def _dispatch(self, message: Any, sender: ActorAddress) -> None:
        if handler := self.handlers.get(type(message)):
            handler(message, sender)
        elif not isinstance(message, ActorSystemMessage):
            log.warning("message_unexpected", actor=type(self).__name__, message=type(message).__name__)

    def _set_up(self) -> SteppedLoop:
        self._close_inherited()
        keep_only_living_children(self)
        for number in _FATAL_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # The handler of the parent, whose timer this process does not have.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP):
            # Handled, not ignored: what is ignored stays so in the programs that we execute.
            signal.signal(number, lambda _number, _frame: None)
        TERMINATION.begin(ends_alone=self.runs_foreign_code)
        # The launcher, and the actor that forked this one, had them kept back until somebody hears them.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        become_subreaper()
        loop = SteppedLoop()
        loop.set_exception_handler(self._loop_complains)
        try:
            self._parent_pidfd = os.pidfd_open(self.parent_pid)
        except ProcessLookupError:
            os._exit(0)
        loop.add_reader(self._parent_pidfd, self.parent_died)
        if os.getppid() != self.parent_pid:
            os._exit(0)
        # From here on the loop notices the end of the parent, and this actor can end its own processes first.
        die_with_parent(0)
        return loop

    def _close_inherited(self) -> None:
        """Close the descriptors of the parent that the fork left us; their owners in this memory are never used nor freed again."""
        gc.freeze()
        # multiprocessing has given the child a stdin of its own.
        stdin = {sys.stdin.fileno()} if sys.stdin is not None and not sys.stdin.closed else set()
        transport = transport_of(self)
        keep = {0, 1, 2, *stdin, *transport.childResetFileNumList(), *transport.inherited, *self.inherited()}
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (names, not paths)
            if int(name) not in keep:
                try:
                    os.close(int(name))
                except OSError:
                    continue


def _is_ours(callback: Any) -> bool:
    while isinstance(callback, partial):
        callback = callback.func
    return str(getattr(callback, "__module__", "")).startswith("suptree.")
