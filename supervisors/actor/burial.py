"""What a supervisor knows of a child that it buries."""

from collections.abc import Iterable
from dataclasses import replace

from suptree.actors.deaths.evidence import Evidence, Swept, bounded_environment, evidence_in_log
from suptree.actors.output.output_log import log_path
from suptree.actors.output.raw_output import look_at_end

from .children import LivingChild


def evidence_of(child: LivingChild, swept: Iterable[Swept], state_dir: str) -> Evidence:
    """The evidence of a child's last word, or what can be found without one; `swept` is what its actor left to its supervisor."""
    if child.kind != "agent":
        return Evidence(swept=tuple(swept))
    told = child.last_word.evidence if child.last_word is not None else None
    if told is not None:
        return replace(told, swept=(*told.swept, *swept))
    path = log_path(state_dir, child.id)
    look_at_end(path, child.redactor)
    found = evidence_in_log(path, child.incarnation)
    return replace(found, swept=tuple(swept), environment=bounded_environment(child.redactor.environment()))
