"""The requests of clients, as a supervisor carries them out: each is answered once, with what happened."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from suptree.actors.base.messages import AgentAnswered, Answered, Ask, Attach, ClientRequest, Tell, Unask
from suptree.actors.events.event_types import Deleted, Event, Kind
from suptree.actors.events.picture import Row
from suptree.actors.exits import Exit, ExitClass
from suptree.actors.native.checkpoint_file import CheckpointFile
from suptree.actors.native.questions import failure
from suptree.actors.record.registry import STAYS_DOWN

from ..config.wire import decode_child
from ..core.core import Phase, SupervisorCore
from ..core.dry_run import Forecast, forecast
from ..decisions import core_events as e
from ..decisions.core_commands import Answer, Reply
from ..spec.child_spec import ChildSpec
from ..spec.tree_spec import agents_of
from .children import LivingChild

_ANSWERS_KEPT = 100
_REPLY_KEPT = 10_000
_DOWN_FOR_NOW = "it is down with {}, which may be about to start it again: stop it when that runs"
LOST = "a part of its reply was lost on the way: ask again"
STOPPED_MEANWHILE = "it was stopped meanwhile"
_STARTS = ("start", "restart", "restart_child")
_DELETES = ("delete", "delete_child")


class _Operation(NamedTuple):
    """How a supervisor begins an operation, and how it concludes it with what the core replied."""

    begin: Callable[[ClientRequest], None]
    conclude: Callable[[ClientRequest, Reply], None]


@dataclass(slots=True)
class _Restart:
    """A restart that is under way: first the child is stopped, then it is started."""

    joined: list[ClientRequest] = field(default_factory=list)
    """Restarts of the same child that came meanwhile: all get its answer."""
    starting: bool = False
    """The child is down, and is being started again."""
    stopped: bool = False
    """A client wants the child to be down, and said so after this restart: it is not started again."""


class ClientRequests:
    """Turns requests into events for the core, and the core's replies into answers.

    `specs` are the children that the tree file names. `row` is the row of a child as the supervisor reported it last; `report` reports an
    event of one. `tell_core` hands an event to the core, whose replies come back through `conclude`; `answer` sends an answer on its way;
    `shut_down` begins to end the supervisor. The checkpoints of agents are in `state_dir`.
    """

    def __init__(
        self,
        specs: Iterable[ChildSpec],
        core: SupervisorCore,
        children: Mapping[str, LivingChild],
        state_dir: str,
        *,
        row: Callable[[str], Row | None],
        report: Callable[[Event], None],
        tell_core: Callable[[e.Event], None],
        answer: Callable[[Answered], object],
        shut_down: Callable[[], None],
    ) -> None:
        self._core = core
        self._children = children
        self._state_dir = state_dir
        self._row = row
        self._report = report
        self._tell_core = tell_core
        self._send = answer
        self._shut_down_supervisor = shut_down
        self._asked: dict[str, ClientRequest] = {}
        """The requests that wait for their answer, by their own id."""
        self._restarts: dict[str, _Restart] = {}
        """By the request that began it."""
        self._to_join: dict[str, _Restart] = {}
        """By child, the restart that others may join."""
        self._stops_later: dict[str, list[ClientRequest]] = {}
        """By child, stops that came after a start which waits for its turn."""
        self._at_its_end: dict[str, list[AgentAnswered]] = {}
        """By child, answers which say that it has ended or ends: they are given when its end has been reported."""
        self._answered: dict[str, Answered] = {}
        self._offered: dict[str, ChildSpec] = {}
        """By request, the spec that the core has been asked to start."""
        self._known: dict[str, ChildSpec] = {child.id: child for child in specs}
        """By child, the last spec that the core has taken."""
        self._operations: dict[str, _Operation] = {
            "start_child": _Operation(self._start_child, self._conclude),
            "terminate_child": _Operation(self._stop, self._conclude),
            "delete_child": _Operation(self._delete, self._conclude_delete_child),
            "restart_child": _Operation(self._restart_child, self._conclude),
            "which_children": _Operation(self._which_children, self._conclude_which_children),
            "count_children": _Operation(self._count_children, self._conclude),
            "start": _Operation(self._start, self._conclude),
            "stop": _Operation(self._stop, self._conclude_stop),
            "restart": _Operation(self._restart, self._conclude_restart),
            "delete": _Operation(self._delete, self._conclude_delete),
            STAYS_DOWN: _Operation(self._stays_down, self._conclude),
            "forecast": _Operation(self._forecast, self._conclude),
            "tell": _Operation(self._tell, self._conclude),
            "ask": _Operation(self._ask, self._conclude),
            "attach": _Operation(self._attach, self._conclude),
            "unask": _Operation(self._unask, self._conclude),
            "shutdown": _Operation(self._shut_down, self._conclude),
        }
        """All that a request may ask for; every other word is refused."""

    def take(self, request: ClientRequest) -> None:
        """Begin to carry out a request.

        A request that comes again, by way of a new registry, is not carried out twice; its answer goes to the new registry too.
        """
        if answered := self._answered.get(request.request):
            self._send(answered)
        elif request.request not in self._asked:
            self._asked[request.request] = request
            operation = self._operations.get(request.operation)
            if operation is None:
                self._finish(request, "refused", f"no such operation: {request.operation}")
            else:
                operation.begin(request)

    def conclude(self, reply: Reply) -> None:
        """Answer a request with what the core replied, or take the second half of a restart."""
        request = self._asked[str(reply.request)]
        spec = self._offered.pop(request.request, None)
        if spec is not None and reply.answer is Answer.OK:
            self._known[spec.id] = spec
        self._operations[request.operation].conclude(request, reply)

    def agent_answered(self, answered: AgentAnswered) -> None:
        """Answer the client that said something to an agent, or asked one; in part, if more follows.

        A client that has an answer sees a picture at least as new: one that is about the end of the agent waits until that is reported.
        """
        child = self._children.get(answered.id)
        if answered.ends and child is not None and child.incarnation == answered.incarnation and not child.unkillable:
            self._at_its_end.setdefault(answered.id, []).append(answered)
        else:
            self._pass_on(answered)

    def _pass_on(self, answered: AgentAnswered) -> None:
        if (request := self._asked.get(answered.request)) is None:
            return
        if answered.more:
            self._send(Answered(answered.request, answered.answer, answered.value, more=True))
        else:
            self._finish(request, answered.answer, answered.value)

    def child_ended(self, child: LivingChild) -> None:
        """The end of a child has been reported, or that it may never be over: nothing more will be answered by the child."""
        for answered in self._at_its_end.pop(child.id, []):
            self._pass_on(answered)
        how = child.cause or (child.last_word and child.last_word.exit)
        why = f"it ended meanwhile: {child.redactor.text(how.summary)}" if how else "it ended meanwhile"
        for request in [asked for asked in self._asked.values() if asked.target == child.id]:
            if request.operation in ("tell", "attach"):
                self._finish(request, "refused", "it ended meanwhile")
            elif request.operation == "ask":
                self._finish(request, "failed", failure(why))

    # How each operation begins

    def _start(self, request: ClientRequest) -> None:
        spec = self._known.get(request.target)
        if request.arguments.get("fresh"):
            self._forget_checkpoints(request)
        if spec is None or self._core.knows(request.target):
            self._tell_core(e.RestartChildRequested(request.request, request.target))
        else:
            # A temporary child's spec is deleted when it ends; the person may still mean that one.
            self._start_from(request, spec)

    def _start_child(self, request: ClientRequest) -> None:
        self._start_from(request, decode_child(request.arguments["spec"]))

    def _start_from(self, request: ClientRequest, spec: ChildSpec) -> None:
        row = self._row(spec.id) or {}
        self._offered[request.request] = spec
        self._tell_core(e.StartChildRequested(request.request, spec, row.get("incarnation", 0), row.get("restarts", 0)))

    def _stop(self, request: ClientRequest) -> None:
        if restart := self._to_join.pop(request.target, None):
            restart.stopped = True
        if self._waits_to_be_started(request.target):
            self._stops_later.setdefault(request.target, []).append(request)
        else:
            self._terminate(request)

    def _waits_to_be_started(self, child_id: str) -> bool:
        """Whether a start of a child waits for its turn: the core serves stops first, and would start the child after that."""
        return any(self._asks_to_start(asked, child_id) for asked in self._asked.values())

    def _asks_to_start(self, asked: ClientRequest, child_id: str) -> bool:
        restart = self._restarts.get(asked.request)
        is_first_half = asked.operation == "restart" and (restart is None or not restart.starting)
        return self._starts(asked, child_id) and not is_first_half and not self._core.carries_out(asked.request)

    def _starts(self, asked: ClientRequest, child_id: str) -> bool:
        """Whether a request is about the start of a child, now or later."""
        offered = self._offered.get(asked.request)
        return offered.id == child_id if offered is not None else asked.target == child_id and asked.operation in _STARTS

    def _terminate(self, request: ClientRequest) -> None:
        graceful = bool(request.arguments.get("graceful", True))
        self._tell_core(e.TerminateChildRequested(request.request, request.target, graceful))

    def _restart(self, request: ClientRequest) -> None:
        if restart := self._to_join.get(request.target):
            restart.joined.append(request)
        else:
            self._restarts[request.request] = self._to_join[request.target] = _Restart()
            self._terminate(request)

    def _restart_child(self, request: ClientRequest) -> None:
        self._tell_core(e.RestartChildRequested(request.request, request.target))

    def _which_children(self, request: ClientRequest) -> None:
        self._tell_core(e.WhichChildrenRequested(request.request))

    def _count_children(self, request: ClientRequest) -> None:
        self._tell_core(e.CountChildrenRequested(request.request))

    def _delete(self, request: ClientRequest) -> None:
        restart = self._to_join.get(request.target)
        if restart is not None and not restart.starting:
            self._finish(request, Answer.RESTARTING.value)
        else:
            self._delete_from_core(request)

    def _delete_from_core(self, request: ClientRequest) -> None:
        self._tell_core(e.DeleteChildRequested(request.request, request.target))

    def _stays_down(self, request: ClientRequest) -> None:
        starts = any(self._starts(asked, request.target) for asked in self._asked.values())
        if self._ends() or starts or self._core.comes_back(request.target):
            self._finish(request, Answer.REFUSED.value, _DOWN_FOR_NOW.format(f"supervisor {request.target}"))
        else:
            self._finish(request, Answer.OK.value)

    def _forecast(self, request: ClientRequest) -> None:
        how = Exit(ExitClass(request.arguments["class"]), request.arguments["reason"])
        try:
            expected = forecast(self._core, request.target, how, time.monotonic())
        except KeyError:
            self._finish(request, Answer.NOT_FOUND.value)
        except ValueError as refusal:
            self._finish(request, Answer.REFUSED.value, str(refusal))
        else:
            self._finish(request, Answer.OK.value, _as_json(expected))

    def _tell(self, request: ClientRequest) -> None:
        self._send_to_agent(request, Tell)

    def _ask(self, request: ClientRequest) -> None:
        self._send_to_agent(request, Ask)

    def _attach(self, request: ClientRequest) -> None:
        self._send_to_agent(request, Attach)

    def _send_to_agent(self, request: ClientRequest, message: type[Tell | Attach]) -> None:
        child = self._children.get(request.target)
        if child is None:
            self._finish(request, "refused", "it is not running")
        elif child.kind is not Kind.AGENT:
            self._finish(request, "refused", f"it is a {child.kind}, not an agent")
        elif child.stopping or child.unkillable:
            self._finish(request, "refused", "it is being stopped")
        elif not child.gone:
            child.channel.tell(message(child.id, child.incarnation, request.request, **request.arguments))

    def _unask(self, request: ClientRequest) -> None:
        asked = self._asked.get(request.arguments["request"])
        child = self._children.get(request.target)
        if asked is not None:
            if child is not None:
                child.channel.tell(Unask(child.id, child.incarnation, asked.request))
            self._finish(asked, "failed", failure("nobody waited for the reply any more"))
        self._finish(request, "ok")

    def _shut_down(self, request: ClientRequest) -> None:
        self._finish(request, "ok")
        self._shut_down_supervisor()

    # How each is concluded

    def _conclude(self, request: ClientRequest, reply: Reply) -> None:
        self._finish(request, reply.answer.value, reply.value)

    def _conclude_stop(self, request: ClientRequest, reply: Reply) -> None:
        if reply.answer is Answer.NOT_FOUND and self._row(request.target):
            # The spec of a temporary child is deleted when it ends: it is down, as was asked.
            reply = replace(reply, answer=Answer.OK, value=None)
        if reply.answer is Answer.OK and self._ends():
            # This supervisor may end only to be started again, with all children: the supervisor above knows, and this one does not.
            reply = replace(reply, answer=Answer.REFUSED, value=_DOWN_FOR_NOW.format("its supervisor"))
        self._conclude(request, reply)

    def _ends(self) -> bool:
        return self._core.phase in (Phase.SHUTTING_DOWN, Phase.EXITED)

    def _conclude_restart(self, request: ClientRequest, reply: Reply) -> None:
        restart = self._restarts[request.request]
        if not restart.starting and reply.answer in (Answer.OK, Answer.NOT_FOUND):
            if restart.stopped:
                reply = replace(reply, answer=Answer.REFUSED, value=STOPPED_MEANWHILE)
            elif self._is_being_deleted(request.target):
                reply = replace(reply, answer=Answer.NOT_FOUND, value=None)
            else:
                restart.starting = True
                self._start(request)
                return
        elif reply.answer in (Answer.RUNNING, Answer.ALREADY_STARTED, Answer.RESTARTING):
            # Another request has started it meanwhile.
            reply = replace(reply, answer=Answer.OK, value=None)
        del self._restarts[request.request]
        if self._to_join.get(request.target) is restart:
            del self._to_join[request.target]
        for joined in restart.joined:
            self._conclude(joined, reply)
        self._conclude(request, reply)

    def _is_being_deleted(self, child_id: str) -> bool:
        """Whether the core has forgotten a child, and the client that asked for this has yet to be answered."""
        deletes = (asked for asked in self._asked.values() if asked.target == child_id and asked.operation in _DELETES)
        return not self._core.knows(child_id) and next(deletes, None) is not None

    def _conclude_delete(self, request: ClientRequest, reply: Reply) -> None:
        row = self._row_of(request)
        if reply.answer is Answer.NOT_FOUND and row and not row["deleted"]:
            # The spec of a temporary child is deleted when it ends; a client still sees the child, stopped.
            reply = replace(reply, answer=Answer.OK, value=None)
        self._conclude_delete_child(request, reply)

    def _conclude_delete_child(self, request: ClientRequest, reply: Reply) -> None:
        row = self._row_of(request)
        if reply.answer is Answer.OK and request.target in self._children:
            # Another request has started it since.
            reply = replace(reply, answer=Answer.RUNNING, value=None)
        if reply.answer is Answer.OK:
            self._forget_checkpoints(request)
            self._known.pop(request.target, None)
            if row and not request.arguments.get("keep_checkpoint"):
                self._report(Deleted(Kind(row["kind"]), row["id"], row["incarnation"]))
        self._conclude(request, reply)

    def _conclude_which_children(self, request: ClientRequest, reply: Reply) -> None:
        self._conclude(request, replace(reply, value=[asdict(child) | {"state": child.state.value} for child in reply.value or ()]))

    def _finish(self, request: ClientRequest, answer: str, value: Any = None) -> None:
        del self._asked[request.request]
        answered = Answered(request.request, answer, value)
        # An answer may be lost with the registry: then the request comes again. A long reply is not kept for that.
        is_long = request.operation == "ask" and answer == "ok" and len(str(value)) > _REPLY_KEPT
        self._answered[request.request] = Answered(request.request, "failed", failure(LOST)) if is_long else answered
        if len(self._answered) > _ANSWERS_KEPT:
            del self._answered[next(iter(self._answered))]
        self._send(answered)
        for child_id in [child_id for child_id in self._stops_later if not self._waits_to_be_started(child_id)]:
            for later in self._stops_later.pop(child_id, ()):
                self._stop(later)

    def _forget_checkpoints(self, request: ClientRequest) -> None:
        """Delete what is kept of the state of an agent, or of all agents below a supervisor, that does not run."""
        spec, row = self._known.get(request.target), request.arguments.get("row")
        if request.arguments.get("keep_checkpoint") or request.target in self._children:
            return
        unknown = [request.target] if spec is None and row and row["kind"] == Kind.AGENT else []
        for agent_id in unknown if spec is None else agents_of(spec.start):
            CheckpointFile(self._state_dir, agent_id).forget()

    def _row_of(self, request: ClientRequest) -> Row | None:
        """The row of the child that a request is about, also of one that only the supervisor before this one had."""
        return self._row(request.target) or request.arguments.get("row")


def _as_json(expected: Forecast) -> dict[str, Any]:
    last = expected.last_words
    return {
        "decision": expected.report.decision.value,
        "why": expected.report.why,
        "restarts_left": expected.report.restarts_left,
        "actions": [{"verb": action.verb.value, "id": action.id, "delay": action.delay} for action in expected.actions],
        "exit": None if last is None else {"class": last.exit_class.value, "reason": last.reason},
    }
