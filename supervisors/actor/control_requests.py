"""Commands from outside, as a supervisor actor carries them out: each is answered once, with what happened."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from suptree.actors.base.messages import Answered, Ask, Request, Tell, Told, Unask
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.native.checkpoints import Checkpoints
from suptree.actors.native.questions import failure
from suptree.actors.spec.agent_spec import AgentSpec

from ..config.wire import decode_child
from ..core.dry_run import Forecast, forecast
from ..decisions import core_commands as c
from ..decisions import core_events as e
from ..spec.child_spec import ChildSpec
from ..spec.tree_spec import SupervisorSpec

if TYPE_CHECKING:
    from .supervisor_actor import SupervisorActor

_ANSWERS_KEPT = 100
_REPLY_KEPT = 10_000
LOST = "a part of its reply was lost on the way: ask again"


def _as_json(told: Forecast) -> dict[str, Any]:
    last = told.last_words
    return {
        "decision": told.report.decision.value,
        "why": told.report.why,
        "restarts_left": told.report.restarts_left,
        "actions": [{"verb": action.verb.value, "id": action.id, "delay": action.delay} for action in told.actions],
        "exit": None if last is None else {"class": last.exit_class.value, "reason": last.reason},
    }


def _agents_of(start: Any) -> Iterator[str]:
    """The ids of the agents that a spec would start."""
    if isinstance(start, AgentSpec):
        yield start.agent_id
    elif isinstance(start, SupervisorSpec):
        for child in start.children:
            yield from _agents_of(child.start)


class Requests:
    """Turns requests into events for the core, and the core's replies into answers."""

    def __init__(self, supervisor: "SupervisorActor") -> None:
        self._supervisor = supervisor
        self._asked: dict[str, Request] = {}
        self._restarting: dict[str, list[Request]] = {}
        """By child, the restarts that joined one that is under way: all get its answer."""
        self._answered: dict[str, Answered] = {}
        self._known: dict[str, ChildSpec] = {child.id: child for child in supervisor.spec.children}
        self._operations: dict[str, Callable[[Request], None]] = {
            "start_child": self._start_child,
            "terminate_child": self._stop,
            "restart_child": self._restart_child,
            "which_children": self._which_children,
            "count_children": self._count_children,
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "delete": self._delete,
            "explain": self._explain,
            "tell": self._tell,
            "ask": self._ask,
            "unask": self._unask,
            "shutdown": self._shutdown,
        }
        """All that a request may ask for; another word is refused."""

    def take(self, request: Request) -> None:
        """Begin to carry out a request. One that comes again, by way of a new registry, is not carried out twice, but answered there."""
        if answered := self._answered.get(request.request):
            self._supervisor.tell_registry(answered)
            return
        if request.request in self._asked:
            return
        self._asked[request.request] = request
        begin = self._operations.get(request.operation)
        if begin is None:
            self.answer(c.Reply(request.request, c.Answer.REFUSED, f"no such operation: {request.operation}"))
        else:
            begin(request)

    def answer(self, reply: c.Reply) -> None:
        """Pass on what the core replied, or take the second half of a restart."""
        request = self._asked[str(reply.request)]
        if request.operation == "stop" and reply.answer is c.Answer.NOT_FOUND and self._supervisor.reporter.row(request.target):
            # The spec of a temporary child is deleted when it ends: it is down, as was asked.
            reply = c.Reply(reply.request, c.Answer.OK)
        if request.operation == "restart" and "stopped" not in request.arguments and reply.answer in (c.Answer.OK, c.Answer.NOT_FOUND):
            again = Request(request.request, "restart", request.target, {**request.arguments, "stopped": True})
            self._asked[request.request] = again
            self._start(again)
            return
        if request.operation == "restart" and reply.answer in (c.Answer.RUNNING, c.Answer.ALREADY_STARTED, c.Answer.RESTARTING):
            # Somebody else has started it meanwhile.
            reply = c.Reply(reply.request, c.Answer.OK)
        if request.operation == "delete" and reply.answer is c.Answer.OK:
            self._forget_checkpoints(request)
        value = reply.value
        if request.operation == "which_children":
            value = [asdict(child) | {"state": child.state.value} for child in value]
        for joined in self._restarting.pop(request.target, []) if request.operation == "restart" else []:
            self._finish(joined, reply.answer.value, value)
        self._finish(request, reply.answer.value, value)

    def _finish(self, request: Request, answer: str, value: Any = None) -> None:
        del self._asked[request.request]
        answered = Answered(request.request, answer, value)
        # The registry may die with it: then it is asked for again. A long reply is not kept for that.
        is_long = request.operation == "ask" and answer == "ok" and len(str(value)) > _REPLY_KEPT
        self._answered[request.request] = Answered(request.request, "failed", failure(LOST)) if is_long else answered
        if len(self._answered) > _ANSWERS_KEPT:
            del self._answered[next(iter(self._answered))]
        self._supervisor.tell_registry(answered)

    def _start(self, request: Request) -> None:
        core = self._supervisor.core
        spec = self._known.get(request.target)
        if request.arguments.get("fresh"):
            self._forget_checkpoints(request)
        if core is None or spec is None or core.knows(request.target):
            self._supervisor.tell_core(e.RestartChildRequested(request.request, request.target))
        else:
            # A temporary child's spec is deleted when it ends; the person may still mean that one.
            row = self._supervisor.reporter.row(request.target) or {}
            self._supervisor.tell_core(e.StartChildRequested(request.request, spec, row.get("incarnation", 0), row.get("restarts", 0)))

    def _start_child(self, request: Request) -> None:
        spec = decode_child(request.arguments["spec"])
        self._known[spec.id] = spec
        row = self._supervisor.reporter.row(spec.id) or {}
        self._supervisor.tell_core(e.StartChildRequested(request.request, spec, row.get("incarnation", 0), row.get("restarts", 0)))

    def _stop(self, request: Request) -> None:
        graceful = bool(request.arguments.get("graceful", True))
        self._supervisor.tell_core(e.TerminateChildRequested(request.request, request.target, graceful))

    def _restart(self, request: Request) -> None:
        if request.target in self._restarting:
            self._restarting[request.target].append(request)
        else:
            self._restarting[request.target] = []
            self._stop(request)

    def _forget_checkpoints(self, request: Request) -> None:
        """Delete what is kept of the state of an agent, or of all below a supervisor, that does not run."""
        spec = self._known.get(request.target)
        if spec is None or request.arguments.get("keep_checkpoint") or request.target in self._supervisor.children:
            return
        for agent_id in _agents_of(spec.start):
            Checkpoints(self._supervisor.begin.context.state_dir, agent_id).forget()

    def _restart_child(self, request: Request) -> None:
        self._supervisor.tell_core(e.RestartChildRequested(request.request, request.target))

    def _which_children(self, request: Request) -> None:
        self._supervisor.tell_core(e.WhichChildrenRequested(request.request))

    def _count_children(self, request: Request) -> None:
        self._supervisor.tell_core(e.CountChildrenRequested(request.request))

    def _delete(self, request: Request) -> None:
        self._supervisor.tell_core(e.DeleteChildRequested(request.request, request.target))

    def _explain(self, request: Request) -> None:
        core = self._supervisor.core
        assert core is not None  # noqa: S101  (requests come when it has started)
        exit_class = ExitClass(request.arguments["class"])
        how = Exit(exit_class, request.arguments["reason"])
        try:
            told = forecast(core, request.target, how, time.monotonic())
        except KeyError:
            self.answer(c.Reply(request.request, c.Answer.NOT_FOUND))
        except ValueError as refusal:
            self.answer(c.Reply(request.request, c.Answer.REFUSED, str(refusal)))
        else:
            self.answer(c.Reply(request.request, c.Answer.OK, _as_json(told)))

    def _tell(self, request: Request) -> None:
        self._say(request, Tell)

    def _ask(self, request: Request) -> None:
        self._say(request, Ask)

    def _say(self, request: Request, kind: type[Tell]) -> None:
        child = self._supervisor.children.get(request.target)
        if child is None:
            self._finish(request, "refused", "it is not running")
        elif child.kind != "agent":
            self._finish(request, "refused", f"it is a {child.kind}, not an agent")
        elif child.stopping:
            self._finish(request, "refused", "it is being stopped")
        else:
            child.channel.tell(kind(child.id, child.incarnation, request.request, **request.arguments))

    def _unask(self, request: Request) -> None:
        asked = self._asked.get(request.arguments["request"])
        child = self._supervisor.children.get(request.target)
        if asked is not None:
            if child is not None:
                child.channel.tell(Unask(child.id, child.incarnation, asked.request))
            self._finish(asked, "failed", failure("nobody waited for the reply any more"))
        self._finish(request, "ok")

    def told(self, told: Told) -> None:
        """Answer whoever said something to an agent, or wanted its reply; in part, if more follows."""
        if (request := self._asked.get(told.request)) is None:
            return
        if told.more:
            self._supervisor.tell_registry(Answered(told.request, told.answer, told.value, more=True))
        else:
            self._finish(request, told.answer, told.value)

    def child_is_gone(self, child_id: str, how: str) -> None:
        """Nothing that it was still to be told, or to answer, will be answered."""
        for request in [asked for asked in self._asked.values() if asked.target == child_id]:
            if request.operation == "tell":
                self._finish(request, "refused", "it ended meanwhile")
            elif request.operation == "ask":
                self._finish(request, "failed", failure(f"it ended meanwhile{how}"))

    def _shutdown(self, request: Request) -> None:
        self.answer(c.Reply(request.request, c.Answer.OK))
        self._supervisor.shut_down()
