"""The `[supervisors.ID]` table of the tree file."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from ..spec.child_spec import INFINITY, MOST_SECONDS, AutoShutdown, ChildSpec, OnLimit, RestartType, Strategy, SupervisorFlags
from ..spec.ids import ROOT
from ..spec.tree_spec import SupervisorSpec
from .config_problems import Rule, Table, wrong_kind

Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]


def _shutdown(value: object) -> object:
    if value == "infinity":
        return INFINITY
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_kind('a number of seconds or "infinity"', value)
    if not 0 <= value <= MOST_SECONDS:
        raise ValueError(f'must be 0 to {MOST_SECONDS} seconds, or "infinity", not {value}')
    return value


class RootTable(Table):
    """`[supervisors.root]`: the rules of the root supervisor, which stands under nobody. The defaults are OTP's."""

    strategy: Annotated[Strategy, Field(strict=False)] = Strategy.ONE_FOR_ONE
    max_restarts: Annotated[int, Field(ge=0)] = 1
    within: Seconds = 5.0
    auto_shutdown: Annotated[AutoShutdown, Field(strict=False)] = AutoShutdown.NEVER
    on_limit: Annotated[OnLimit, Field(strict=False)] = OnLimit.ESCALATE

    hints: ClassVar = dict.fromkeys(
        ("supervisor", "restart", "significant", "shutdown"), "the root stands under no supervisor, so this cannot be set"
    )

    def flags(self) -> SupervisorFlags:
        """The rules as the core takes them."""
        return SupervisorFlags(
            strategy=self.strategy,
            max_restarts=self.max_restarts,
            within=self.within,
            auto_shutdown=self.auto_shutdown,
            on_limit=self.on_limit,
        )


class SupervisorTable(RootTable):
    """`[supervisors.ID]`: the rules of a supervisor, and how its own supervisor treats it."""

    supervisor: str = ROOT
    restart: Annotated[RestartType, Field(strict=False)] = RestartType.PERMANENT
    significant: bool = False
    shutdown: Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_shutdown)] = INFINITY

    hints: ClassVar[dict[str, Any]] = {}
    rules: ClassVar = (
        Rule(
            ("significant", "restart"),
            lambda table: table.significant and table.restart is RestartType.PERMANENT,
            'a permanent supervisor cannot be significant: set restart = "transient" or "temporary"',
        ),
    )

    def child(self, supervisor: SupervisorSpec) -> ChildSpec:
        """The supervisor as its own supervisor sees it."""
        return ChildSpec(id=supervisor.id, restart=self.restart, shutdown=self.shutdown, significant=self.significant, start=supervisor)
