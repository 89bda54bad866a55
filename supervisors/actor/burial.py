"""What a supervisor knows of a child that it buries: how the child ended, and the evidence."""

from dataclasses import replace

from suptree.actors.deaths.evidence import Evidence, SweptLog, bounded_environment, evidence_in_log
from suptree.actors.deaths.exit_classes import classify
from suptree.actors.events.event_types import Kind
from suptree.actors.exits import CauseId, Exit, ExitClass
from suptree.actors.kernel.linux import signal_name
from suptree.actors.output.output_log import log_path
from suptree.actors.output.raw_output import look_at_end

from ..decisions.rules import RESTARTS
from .children import LivingChild


def how_it_ended(child: LivingChild, code: int | None) -> Exit:
    """The cause that the supervisor recorded, else the child's last word, else the exit `code` of its actor: negative for a signal."""
    if child.cause is not None:
        return child.cause
    if child.last_word is not None:
        how = child.last_word.exit
        return replace(how, reason=f"{how.reason}, after STOPPING=1") if child.announced_stop and not child.stopping else how
    exit_class = ExitClass.SHUTDOWN if child.stopping else ExitClass.CRASH
    if code is not None and code < 0:
        # As for a program: the tree sends none of HUP, INT and TERM to an actor.
        sent_by_others = not child.stopping and classify(code).exit_class is ExitClass.EXTERNAL
        exit_class = ExitClass.EXTERNAL if sent_by_others else exit_class
        return Exit(exit_class, f"its actor died by {signal_name(-code)}", cause=CauseId.ACTOR_DIED, signal=-code)
    return Exit(exit_class, f"its actor ended with status {code}", cause=CauseId.ACTOR_DIED)


def evidence_of(child: LivingChild, swept: SweptLog, state_dir: str) -> Evidence:
    """The evidence in a child's last word, or what can be found without one; `swept` is what its actor left to its supervisor."""
    if child.kind is not Kind.AGENT:
        return Evidence(swept=swept.swept, notes=swept.notes)
    reported = child.last_word.evidence if child.last_word is not None else None
    if reported is not None:
        return replace(reported, swept=(*reported.swept, *swept.swept), notes=(*reported.notes, *swept.notes))
    path = log_path(state_dir, child.id)
    look_at_end(path, child.redactor)
    found = evidence_in_log(path, child.incarnation)
    return replace(found, swept=swept.swept, notes=swept.notes, environment=bounded_environment(child.redactor.environment()))


def is_explained(child: LivingChild, how: Exit) -> bool:
    """Whether an end may get a post-mortem, which needs the evidence: one that was not normal, or after which the child is restarted."""
    return how.exit_class is not ExitClass.SHUTDOWN and (not how.is_normal or RESTARTS[child.spec.restart, how.is_normal])
