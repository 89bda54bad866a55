"""The top supervisor: owns the services of the tree, and the root supervisor of the tree file."""

import os
import shutil
from dataclasses import replace

from thespian.actors import ActorAddress

from suptree.actors.base.channel import Outbox
from suptree.actors.base.messages import Begin
from suptree.actors.events.event_types import TreeReady
from suptree.actors.exits import Exit
from suptree.actors.heartbeat.heartbeat_actor import HeartbeatActor
from suptree.actors.notify.notify_sockets import NotifySockets
from suptree.actors.record.registry import TOP_SUPERVISOR

from ..spec.child_spec import INFINITY, AutoShutdown, ChildSpec, RestartType, SupervisorFlags
from ..spec.tree_spec import SupervisorSpec, TreeSpec
from .children import LivingChild, ServiceSpec
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
    """A supervisor that also tells the tree where its services are."""

    def on_begin(self, begin: Begin, sender: ActorAddress) -> None:
        # Every heartbeat actor is forked from here.
        HeartbeatActor.notify_sockets = NotifySockets(begin.context.runtime_dir)
        super().on_begin(replace(begin, spec=top_spec(begin.spec)), sender)

    def announce(self) -> None:
        """The tree is up; the launcher, which is no actor, hears it from the registry."""
        self.reporter.report(TreeReady())

    def clean_up(self) -> None:
        """The launcher is dead, and nothing below us lives: leave no socket behind either."""
        super().clean_up()
        for folder in (self.begin.context.runtime_dir, self.begin.context.shared_dir):
            shutil.rmtree(folder, ignore_errors=True)

    def say_goodbye(self, _how: Exit) -> None:
        """Nobody above listens: the launcher sees our end through a pidfd."""
        os._exit(0)

    def neighbours(self) -> list[tuple[int, Outbox]]:
        """Only what is below: above is the launcher, which is no actor."""
        return super().neighbours()[1:]

    def child_is_gone(self, child: LivingChild) -> None:
        """Nobody is to wait for the answer of a service that is dead; what it had opened is kept for the next one."""
        super().child_is_gone(child)
        if isinstance(child.spec.start, ServiceSpec):
            HeartbeatActor.notify_sockets.keep()
            self.use_services(replace(self.services, **{child.id: None}))

    def child_is_up(self, child: LivingChild) -> None:
        """Pass on the address of a service that is up."""
        if isinstance(child.spec.start, ServiceSpec):
            self.use_services(replace(self.services, **{child.id: child.real_address}))
            if self.registry is not None:
                self.registry.tell(self.services)
        super().child_is_up(child)
