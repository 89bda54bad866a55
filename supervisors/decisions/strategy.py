"""Which siblings a restart takes along: OTP's strategies, each a function of the ids in start order and the one child."""

from collections.abc import Callable, Iterable

from ..spec.child_spec import Strategy

Ids = tuple[str, ...]


def _one_for_one(_ids: Ids, child_id: str) -> Ids:
    return (child_id,)


def _one_for_all(ids: Ids, _child_id: str) -> Ids:
    return ids


def _rest_for_one(ids: Ids, child_id: str) -> Ids:
    return ids[ids.index(child_id) :]


_TAKEN_ALONG: dict[Strategy, Callable[[Ids, str], Ids]] = {
    Strategy.ONE_FOR_ONE: _one_for_one,
    Strategy.ONE_FOR_ALL: _one_for_all,
    Strategy.REST_FOR_ONE: _rest_for_one,
}


def taken_along(strategy: Strategy, ids: Iterable[str], child_id: str) -> Ids:
    """The ids that a restart of the child stops and starts, the child itself among them, in start order, as all `ids` are.

    Source: `restart/2` of OTP's supervisor.erl.
    """
    return _TAKEN_ALONG[strategy](tuple(ids), child_id)


def restarts_siblings(strategy: Strategy) -> bool:
    """Whether a restart of one child is the affair of others too, who then wait for it."""
    return strategy is not Strategy.ONE_FOR_ONE
