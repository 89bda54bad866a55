"""The actor around one life of an agent: it takes in messages, pings, and ends with a last word. What lives is held, whatever its kind."""

from collections.abc import Callable
from typing import Any, Protocol

import structlog
from thespian.actors import ActorAddress

from ..base.dispatch import on
from ..base.loop_actor import LoopActor
from ..base.messages import Ask, Attach, Begin, Notified, Stop, Tell, Unask, is_for
from ..errors import InputRefused
from ..kernel.linux import set_name
from ..kernel.sweep import sweep
from ..notify.notification import Notification
from .incarnation import Conclusion, Incarnation


class Life(Protocol):
    """One life of an agent, of one kind. Nothing is asked of it once it has concluded, but to clean up."""

    async def live(self) -> Conclusion:
        """Run the agent from start to end."""

    def ping(self) -> None:
        """Show that the actor is alive; called every interval."""

    def stop(self) -> None:
        """Begin to end the agent, or, when that has begun, go on to the next step immediately."""

    def tell(self, said: Tell) -> None:
        """Hand the agent a line from outside, or the end of its input, without waiting for it. Raises InputRefused."""

    def ask(self, question: Ask) -> None:
        """Put a question to the agent, to be answered later, and once. Raises InputRefused."""

    def attach(self, attach: Attach) -> None:
        """Answer with a socket to its stdin and stdout. Raises InputRefused."""

    def unask(self, request: str) -> None:
        """Leave a question, and do not answer it."""

    def hear(self, said: Notification) -> None:
        """Take in what the agent says of itself."""

    def clean_up(self) -> None:
        """No process of the agent lives any more: remove what they were given."""


class AgentActor(LoopActor):
    """Runs one incarnation of one agent, then exits; `begin_life` makes what lives, with pings on the loop or beside it (`every_idle`)."""

    def __init__(self, begin_life: Callable[[Incarnation], Life]) -> None:
        super().__init__()
        self.handlers = dict(
            [
                on(Begin, self.on_begin),
                on(Stop, self.on_stop),
                on(Tell, self.on_tell),
                on(Ask, self.on_ask),
                on(Attach, self.on_attach),
                on(Unask, self.on_unask),
                on(Notified, self.on_notified),
            ]
        )
        self._begin_life = begin_life
        # The parent may die before the agent has begun.
        self._clean_up_life: Callable[[], object] = list

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        set_name(f"st:{begin.id}")
        self.supervisor = self.open(sender)
        self._incarnation = Incarnation(begin, self.supervisor.tell, self.spawn)
        redact = self._incarnation.redactor.text

        def hide(_logger: Any, _method: str, line: Any) -> str:
            """What the actor logs itself, rendered before this."""
            return redact(line)

        structlog.configure(processors=[*structlog.get_config()["processors"], hide])
        self._life = self._begin_life(self._incarnation)
        self._clean_up_life = self._life.clean_up
        # Where no code but ours runs, the timer of the process serves, at half the cost.
        repeat = self.every if self.runs_foreign_code else self.every_idle
        repeat(begin.spec.heartbeat.interval, self._life.ping)
        self.spawn(self._live())

    def on_stop(self, stop: Stop, _sender: ActorAddress) -> None:
        if self._lives(stop):
            self._life.stop()

    def on_tell(self, tell: Tell, _sender: ActorAddress) -> None:
        if is_for(tell, self._incarnation.begin) and self._takes(tell, self._life.tell):
            self._incarnation.answer(tell.request)

    def on_ask(self, ask: Ask, _sender: ActorAddress) -> None:
        if is_for(ask, self._incarnation.begin):
            self._takes(ask, self._life.ask)

    def on_attach(self, attach: Attach, _sender: ActorAddress) -> None:
        if is_for(attach, self._incarnation.begin):
            self._takes(attach, self._life.attach)

    def on_unask(self, unask: Unask, _sender: ActorAddress) -> None:
        if self._lives(unask):
            self._life.unask(unask.request)

    def on_notified(self, notified: Notified, _sender: ActorAddress) -> None:
        if self._lives(notified):
            self._life.hear(notified.said)

    def clean_up(self) -> None:
        """No process of the agent lives any more."""
        self._clean_up_life()

    def _lives(self, about: Stop | Unask | Notified) -> bool:
        return is_for(about, self._incarnation.begin) and not self.ended

    def _takes(self, said: Tell | Attach, take: Callable[[Any], None]) -> bool:
        """Whether the agent took what somebody said; the client is answered why not."""
        refusal, ends = ("it has ended", True) if self.ended else (None, False)
        try:
            if not self.ended:
                take(said)
        except InputRefused as error:
            refusal, ends = str(error), error.ends
        if refusal is not None:
            self._incarnation.answer(said.request, "refused", refusal, ends=ends)
        return refusal is None

    async def _live(self) -> None:
        conclusion = await self._life.live()
        self.ended = True
        await sweep(tuple, self._incarnation.report_unkillable, self._incarnation.swept.note)
        self.clean_up()
        self.end(self._incarnation.last_word(conclusion))
