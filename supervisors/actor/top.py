"""The top supervisor: owns the services of the tree, and the root supervisor of the tree file."""

from dataclasses import replace
from functools import partial

from thespian.actors import ActorAddress

from suptree.actors.base.life_stamps import STAMPS
from suptree.actors.base.messages import Begin
from suptree.actors.heartbeat.heartbeat_actor import HeartbeatActor
from suptree.actors.notify.notify_sockets import NotifySockets
from suptree.actors.record.registry import TOP_SUPERVISOR, RegistryActor

from ..spec.child_spec import INFINITY, AutoShutdown, ChildSpec, RestartType, SupervisorFlags
from ..spec.tree_spec import SupervisorSpec, TreeSpec
from .children import ServiceSpec
from .place import AtTheTop
from .supervisor_actor import SupervisorActor

TOP = TOP_SUPERVISOR
# A crash loop of a service ends the tree within seconds; a bad day, on which somebody kills one every second, does not.
_SERVICE_RESTARTS = SupervisorFlags(max_restarts=300, within=60.0, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)


def top_spec(tree: TreeSpec) -> SupervisorSpec:
    """The services first, so that they hear everything; then the root, whose `shutdown` exit (it gave up) is the end of the tree."""
    services = tuple(ChildSpec(id=name, start=ServiceSpec(name)) for name in ("registry", "heartbeat"))
    root = ChildSpec(id=tree.root.id, restart=RestartType.TRANSIENT, significant=True, shutdown=INFINITY, start=tree.root)
    return SupervisorSpec(id=TOP, flags=_SERVICE_RESTARTS, children=(*services, root))


class TopSupervisor(SupervisorActor):
    """A supervisor whose place is the top."""

    def inherited(self) -> set[int]:
        """What every registry is forked with."""
        return {RegistryActor.link_offers.registry_end}

    def on_begin(self, begin: Begin, _sender: ActorAddress) -> None:
        # Every heartbeat actor is forked from here.
        HeartbeatActor.notify_sockets = NotifySockets(begin.context.runtime_dir)
        self.every(begin.context.heartbeat.interval, partial(STAMPS.stamp, TOP))
        self.supervise(replace(begin, spec=top_spec(begin.spec)), AtTheTop(begin))
