"""The heartbeat actor: fans in the pings of one node, and tells supervisors who has gone silent."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import structlog
from thespian.actors import ActorAddress

from ..base.dispatch import on
from ..base.life_stamps import STAMPS
from ..base.loop_actor import LoopActor
from ..base.messages import Begin, Ended, Hears, PingAges, PingAgesAsked, Refused, Started, Stop, Suspect, Unwatch, Watch, is_for
from ..events.report_interval import ReportInterval
from ..exits import Exit, ExitClass
from ..kernel.linux import parent_of, set_name
from ..notify.notification import Notification
from ..notify.notify_socket import NotifySocket
from ..notify.notify_sockets import NotifySockets
from ..notify.socket_keeper import SocketKeeper
from .liveness import Liveness
from .watchers import Watchers

log = structlog.get_logger()

_DATAGRAMS_PER_LOOK = 1000
# Another user may send without end, and from processes that stand deep: each datagram then costs us many reads of /proc.
_LONGEST_TURN = 0.02
_LONGEST_LOOK_BEFORE_A_VERDICT = 0.5
_BUSY_TURN = 0.005
_REST_AFTER_A_BUSY_TURN = 4
"""Times as long as the turn, and as there are users whose sockets rest: so all of them together cost us a quarter of a core at most."""
_REST_WHILE_FULL = 0.02
"""Seconds in which the descriptors that another user has sent are closed."""
# To be woken costs far more than a ping does. So while there are many they are taken several at a time, as many as the kernel keeps for us
# in a pause that half fills its queue. For those of our own agents we wait here; nobody waits for what other users send.
_LINGER = 0.05
_LONGEST_PAUSE = 0.01
_SHORTEST_PAUSE = 0.001
_QUEUE_LENGTH = Path("/proc/sys/net/unix/max_dgram_qlen")
_ANCESTORS_ASKED = 16
_EARLY_KEPT = 100
_EARLY_KEPT_FOR = 5.0


class HeartbeatActor(LoopActor):
    """One timer, set to the nearest deadline; the kernel says who sent each ping.

    The top supervisor, which forks this actor, owns the sockets.
    """

    notify_sockets: ClassVar[NotifySockets]

    def __init__(self) -> None:
        super().__init__()
        self.handlers = dict(
            [
                on(Begin, self.on_begin),
                on(Stop, self.on_stop),
                on(Watch, self.on_watch),
                on(Unwatch, self.on_unwatch),
                on(PingAgesAsked, self.on_ping_ages_asked),
            ]
        )

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        self.begin, self.supervisor = begin, self.open(sender)
        set_name(f"st:{begin.id}")
        self.liveness = Liveness()
        self.watchers = Watchers(self.loop)
        self._early: deque[tuple[float, list[int], int | None, Notification]] = deque(maxlen=_EARLY_KEPT)
        self._given_up: set[int] = set()
        """Users who are not heard any more."""
        self._resting: set[NotifySocket] = set()
        self._strangers = self._malformed = 0
        self._refusals_interval = ReportInterval()
        self._refusals_due: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = 0.0
        self._queue_length = int(_QUEUE_LENGTH.read_text())
        for opened in self.notify_sockets.all:
            self._listen_at(opened)
        self.every(begin.context.heartbeat.interval, partial(STAMPS.stamp, "heartbeat"))
        self.keeper = SocketKeeper(self.loop, self.notify_sockets, begin.context.shared_dir, self._listen_at)
        self.supervisor.tell(Started(begin.id, begin.incarnation))

    def on_stop(self, stop: Stop, _sender: ActorAddress) -> None:
        if is_for(stop, self.begin):
            self.end(Ended(self.begin.id, self.begin.incarnation, Exit(ExitClass.SHUTDOWN, "stop requested")))

    def on_watch(self, watch: Watch, sender: ActorAddress) -> None:
        self.liveness.watch(watch, time.monotonic())
        key = (watch.id, watch.incarnation)
        self.watchers.add(key, self.back_to(sender), self.origin, suspect=watch.suspect)
        now = time.monotonic()
        for early in [early for early in self._early if self.liveness.owner(early[1], early[2]) == key]:
            self._early.remove(early)
            # Later its pids may be somebody else's.
            if now - early[0] < _EARLY_KEPT_FOR:
                self.watchers.pass_on(key, early[3])
        if watch.user_id is not None:
            refusal = self._hear_user(watch.user_id)
            if watch.starting:
                self.watchers.hears(Hears(*key, refusal))
        self._set_timer()

    def on_unwatch(self, unwatch: Unwatch, _sender: ActorAddress) -> None:
        key = (unwatch.id, unwatch.incarnation)
        # What it said before it ended counts.
        for opened in self.notify_sockets.all:
            if opened.user_id in (None, self.liveness.user_of(key)):
                self._listen(opened)
        self.watchers.forget(key)
        if (watch := self.liveness.unwatch(key)) is not None and watch.alone:
            self._supervisor_died(watch.actor_pid)

    def _supervisor_died(self, pid: int) -> None:
        """It can no longer say that its children have: forget all that is below it, and it, for another process may get its pid."""
        for key in self.watchers.die(pid):
            if (watch := self.liveness.unwatch(key)) is not None and watch.alone:
                self._supervisor_died(watch.actor_pid)
        self.forget_sender(pid)

    def on_ping_ages_asked(self, asked: PingAgesAsked, sender: ActorAddress) -> None:
        self.back_to(sender).tell(PingAges(asked.request, self.liveness.ages(time.monotonic())))

    def inherited(self) -> set[int]:
        """The sockets."""
        return self.notify_sockets.descriptors()

    def _listen_at(self, opened: NotifySocket) -> None:
        self._resting.discard(opened)
        # A newer one may have taken its place while it rested.
        if opened not in self.notify_sockets.all:
            return
        # Agents that run as ourselves can harm us anyway.
        if opened.user_id is None or not opened.is_full:
            self.loop.add_reader(opened.fileno(), self._hear_from, opened)
        elif opened.is_stuck():
            self.notify_sockets.give_up(opened)
            self._given_up.add(opened.user_id)
            log.error("notify_socket_given_up", user_id=opened.user_id, why="descriptors that were sent there cannot be closed")
        else:
            self._rest(opened, _REST_WHILE_FULL)

    def _hear_from(self, opened: NotifySocket) -> None:
        """Something was sent; a socket of other users that takes too much of our time is left alone for a while, and its senders wait."""
        before = opened.took
        self._listen(opened, _LINGER if opened.user_id is None else 0.0)
        if opened.user_id is None:
            return
        turn = opened.took - before
        rests = turn * _REST_AFTER_A_BUSY_TURN * (len(self._resting) + 1) if turn > _BUSY_TURN else 0.0
        if rests or opened.is_full or opened.pace < _LONGEST_PAUSE:
            self.loop.remove_reader(opened.fileno())
            self._rest(opened, max(rests, self._pause(opened)))

    def _rest(self, opened: NotifySocket, seconds: float) -> None:
        self._resting.add(opened)
        self.loop.call_later(seconds, self._listen_at, opened)

    def _pause(self, opened: NotifySocket) -> float:
        return min(self._queue_length / 2 * opened.pace, _LONGEST_PAUSE)

    def _hear_user(self, user_id: int) -> str | None:
        """Listen to agents of another user too. What prevents it, if anything does."""
        shared = self.begin.context.shared_dir
        if user_id in self._given_up:
            return f"user {user_id} has sent descriptors to its notify socket that cannot be closed, and is not heard any more"
        try:
            if user_id not in self.notify_sockets.opened:
                self._listen_at(self.notify_sockets.open(shared, user_id))
                self.keeper.look_at_folders()
        except OSError as error:
            return f"its notify socket cannot be made in {shared}: {error.strerror}"
        return None

    def _listen(self, opened: NotifySocket, linger: float = 0.0) -> bool:
        """Take what has been sent, and while it is but pings, what comes within `linger` seconds; whether that was all."""
        until = time.monotonic() + linger
        while True:
            taken = self._take(opened)
            now = time.monotonic()
            opened.pace, opened.took_at = (now - opened.took_at) / max(taken, 1), now
            if taken == _DATAGRAMS_PER_LOOK:
                return False
            # What we tell others leaves when we are done here.
            if not taken or self._has_news or now >= until:
                return True
            pause = self._pause(opened)
            if pause >= _SHORTEST_PAUSE:
                time.sleep(pause)
            else:
                opened.wait(_LONGEST_PAUSE)

    def _take(self, opened: NotifySocket) -> int:
        """Take what waits, up to a limit; how many datagrams that were, `_DATAGRAMS_PER_LOOK` where more may wait."""
        self._has_news = False
        began = time.monotonic()
        try:
            for taken in range(_DATAGRAMS_PER_LOOK):
                if opened.is_full and opened.user_id is not None:
                    return taken
                if time.monotonic() - began > _LONGEST_TURN:
                    break
                try:
                    pid, said = opened.receive()
                except BlockingIOError:
                    return taken
                if said is None:
                    self._refuse(malformed=True)
                else:
                    self._hear(pid, opened.user_id, said)
                    self._has_news |= said.changes_state
            return _DATAGRAMS_PER_LOOK
        finally:
            opened.took += time.monotonic() - began

    def _hear(self, pid: int, user_id: int | None, said: Notification) -> None:
        lineage = [pid]
        key = self.liveness.owner(lineage, user_id)
        if key is None:
            lineage = list(_lineage(pid))
            key = self.liveness.owner(lineage, user_id)
        if key is not None:
            if said.pinged and (verdict := self.liveness.pinged(pid, key, time.monotonic())):
                self.watchers.pass_on(key, verdict)
            if said.changes_state:
                self.watchers.pass_on(key, said)
        elif self.parent_pid not in lineage:
            # Reading a `BARRIER=1` answers it: its sender may then end before we know which agent the sender belonged to.
            if said.says_something or Path(f"/proc/{pid}").exists():
                self._refuse(malformed=False)
        elif said.changes_state:
            # One of ours, and so young that its Watch is still on its way.
            self._early.append((time.monotonic(), lineage, user_id, said))

    def _refuse(self, *, malformed: bool) -> None:
        """Count a refused message, and report the count at intervals: a sender must not push everything else out of the journal."""
        self._malformed += malformed
        self._strangers += not malformed
        if self._refusals_due is None:
            self._tell_refused_later()

    def _tell_refused_later(self) -> None:
        self._refusals_due = self.loop.call_later(self._refusals_interval.due_in(time.monotonic()), self._tell_refused)

    def _tell_refused(self) -> None:
        self._refusals_due = None
        if self.supervisor.is_behind:
            self._tell_refused_later()
            return
        self._refusals_interval.reported(time.monotonic())
        self.supervisor.tell(Refused(self.begin.id, self.begin.incarnation, self._strangers, self._malformed))

    def _set_timer(self) -> None:
        deadline = self.liveness.next_deadline()
        if deadline is None or (self._timer is not None and self._scheduled <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._scheduled = deadline
        self._timer = self.loop.call_later(max(0.0, deadline - time.monotonic()), self._judge)

    def _judge(self) -> None:
        # What was sent while we could not look counts. The verdicts are about this moment: what we then take to listen, and others make us
        # take, excuses nobody.
        self._timer, now = None, time.monotonic()
        for opened in self.notify_sockets.all:
            if opened.user_id is not None and opened not in self._resting:
                self._hear_from(opened)
        waits, until = [opened for opened in self.notify_sockets.all if opened.user_id is None], now + _LONGEST_LOOK_BEFORE_A_VERDICT
        while waits and time.monotonic() < until:
            waits = [opened for opened in waits if not self._listen(opened)]
        if not self.keeper.all_in_place():
            # Nobody can be heard who looks for the socket: that says nothing of them.
            self._judge_later()
            return
        for verdict in self.liveness.judge(now, self._scheduled):
            key = (verdict.id, verdict.incarnation)
            if isinstance(verdict, Suspect):
                self.watchers.pass_on(key, verdict)
            else:
                self.watchers.is_silent(key, verdict)
        if self.liveness.frozen:
            log.warning("heartbeat_frozen", watched=len(self.liveness), pid=os.getpid())
            self._judge_later()
            return
        self._set_timer()

    def _judge_later(self) -> None:
        self._scheduled = time.monotonic() + 1.0
        self._timer = self.loop.call_later(1.0, self._judge)


def _lineage(pid: int) -> Iterator[int]:
    """A process and its ancestors, as far as they live."""
    for _ in range(_ANCESTORS_ASKED):
        if pid <= 1:
            return
        yield pid
        pid = parent_of(pid) or 0
