"""The `[agents.ID]` table of the tree file, and the same settings given by a program."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import to_json

from suptree.actors.agent.environment import chosen
from suptree.actors.errors import SpecError
from suptree.actors.output.redaction import Redactor
from suptree.actors.spec.agent_spec import AgentSpec, HookSpec, ProbeSpec, Ready, Stdin, StopSpec
from suptree.actors.spec.env_file import EnvFileRefused, read_env_file
from suptree.actors.state import AgentType

from ..spec.child_spec import ChildSpec, RestartType
from ..spec.ids import ROOT
from .agent_tables import BackoffOrNot, HeartbeatTable, HooksTable, LimitsTable, ProbeTable, ProgressTable, RlimitsTable, StopTable
from .agent_values import Argv, ExitCodes, PathText, Text, Umask, User, Variable, VariablePattern
from .config_problems import Rule, Table
from .supervisor_config import Seconds, SecondsOrNone

SECONDS_BEYOND_THE_LADDER = 2.0
"""What an agent gets beyond the rungs of its stop ladder before its supervisor kills it."""

_FACTORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def _is_program(table: "AgentTable") -> bool:
    return table.type is AgentType.PROCESS_WRAPPER


def _is_native(table: "AgentTable") -> bool:
    return table.type is AgentType.NATIVE_LLM


class AgentTable(Table):
    """`[agents.ID]`. The validation context holds `base_dir`, the folder that relative paths start from."""

    type: Annotated[AgentType | None, Field(strict=False)] = None
    supervisor: str = ROOT
    name: Text = ""
    role: Text = ""
    model: Text = ""
    labels: dict[Text, Text] = {}  # noqa: RUF012 (pydantic copies defaults)
    factory: Text | None = None
    command: PathText | None = None
    args: Argv = ()
    cwd: PathText | None = None
    env: dict[Variable, Text] = {}  # noqa: RUF012 (pydantic copies defaults)
    env_from: PathText | None = None
    env_inherit: Annotated[tuple[VariablePattern, ...], Field(strict=False)] = ()
    user: User | None = None
    umask: Umask | None = None
    no_new_privs: bool = False
    rlimits: RlimitsTable = RlimitsTable()
    restart: Annotated[RestartType | None, Field(strict=False)] = None
    auto_restart: bool | None = None
    significant: bool = False
    max_restarts: Annotated[int, Field(ge=0)] | None = None
    backoff: BackoffOrNot = None
    healthy_after: Seconds | None = None
    hold: bool = False
    park: bool = False
    quota_group: Annotated[Text, Field(min_length=1)] | None = None
    stdin: Annotated[Stdin, Field(strict=False)] = Stdin.NULL
    ready: Annotated[Ready, Field(strict=False)] = Ready.STARTED
    watchdog: bool | None = None
    heartbeat: HeartbeatTable = HeartbeatTable()
    stop: StopTable = StopTable()
    limits: LimitsTable = LimitsTable()
    hooks: HooksTable = HooksTable()
    liveness_probe: ProbeTable | None = None
    progress: ProgressTable = ProgressTable()
    exit_codes: ExitCodes = {}  # noqa: RUF012 (pydantic copies defaults)
    min_uptime: SecondsOrNone = 1.0
    checkpoint_interval: Seconds = 1.0
    config: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies defaults)

    default_restart: ClassVar = RestartType.PERMANENT
    hints: ClassVar = dict.fromkeys(
        ("strategy", "within", "auto_shutdown", "on_limit"), "belongs to a supervisor: put it into [supervisors.ID]"
    ) | {"shutdown": "an agent may take as long to stop as its stop ladder: set stop = { sigterm = 10 }"}
    rules: ClassVar = (
        Rule(("type",), lambda table: table.type is None, 'is missing: "native_llm" or "process_wrapper"'),
        Rule(("command", "type"), lambda table: _is_program(table) and table.command is None, "is missing: a process_wrapper needs one"),
        Rule(
            ("factory", "type"),
            lambda table: _is_native(table) and table.factory is None,
            'is missing: a native_llm needs one ("package.module:attribute")',
        ),
        Rule(("command", "type"), lambda table: _is_native(table) and table.given("command"), "a native_llm has no command"),
        Rule(("args", "type"), lambda table: _is_native(table) and table.given("args"), "a native_llm takes config, no args"),
        Rule(
            ("watchdog", "type"),
            lambda table: _is_native(table) and table.given("watchdog"),
            "a native_llm is always watched; there is no program that could ping",
        ),
        Rule(
            ("hooks", "type"), lambda table: _is_native(table) and table.given("hooks"), "a native_llm has no hooks, but its own shutdown()"
        ),
        Rule(
            ("liveness_probe", "type"),
            lambda table: _is_native(table) and table.given("liveness_probe"),
            "a native_llm has no liveness_probe, but its own health_check()",
        ),
        Rule(("exit_codes", "type"), lambda table: _is_native(table) and table.given("exit_codes"), "a native_llm has no exit status"),
        Rule(
            ("stdin", "type"), lambda table: _is_native(table) and table.given("stdin"), "a native_llm has no stdin, but its own handle()"
        ),
        Rule(
            ("user", "type"),
            lambda table: _is_native(table) and table.given("user"),
            "a native_llm runs as the user of its tree: give it a tree of that user's, or make it a process_wrapper",
        ),
        Rule(("factory", "type"), lambda table: _is_program(table) and table.given("factory"), "a process_wrapper has no factory"),
        Rule(
            ("checkpoint_interval", "type"),
            lambda table: _is_program(table) and table.given("checkpoint_interval"),
            "a process_wrapper has no checkpoints",
        ),
        Rule(
            ("config", "type"),
            lambda table: _is_program(table) and table.given("config"),
            "a process_wrapper takes args, no config",
        ),
        Rule(
            ("auto_restart", "restart"),
            lambda table: table.auto_restart is not None and table.restart is not None,
            "stands for restart (true: permanent, false: temporary): give one of the two",
        ),
        Rule(
            ("significant", "restart", "auto_restart"),
            lambda table: table.significant and table.restart_type is RestartType.PERMANENT,
            'a permanent agent cannot be significant: set restart = "transient" or "temporary"',
        ),
        Rule(
            ("max_restarts", "restart"),
            lambda table: table.restart is RestartType.TEMPORARY and table.given("max_restarts"),
            "a temporary agent is never restarted, so this limit could never fire",
        ),
        Rule(
            ("backoff", "restart"),
            lambda table: table.restart is RestartType.TEMPORARY and table.backoff is not None,
            "a temporary agent is never restarted, so there is nothing to delay",
        ),
        Rule(
            ("healthy_after", "backoff"),
            lambda table: table.healthy_after is not None and table.backoff is not None and table.backoff.given("healthy_after"),
            "stands in backoff too: give one of the two",
        ),
        Rule(
            ("healthy_after", "restart"),
            lambda table: table.restart is RestartType.TEMPORARY and table.given("healthy_after"),
            "a temporary agent is never restarted, so there is nothing to forget",
        ),
        Rule(("quota_group", "park"), lambda table: table.quota_group is not None and not table.park, "needs park = true"),
    )

    @field_validator("factory")
    @classmethod
    def _factory_is_a_reference(cls, factory: str | None) -> str | None:
        if factory is not None and not _FACTORY.fullmatch(factory):
            raise ValueError(f'must be "package.module:attribute", not "{factory}"')
        return factory

    @field_validator("config")
    @classmethod
    def _config_is_data(cls, config: dict[str, Any]) -> dict[str, Any]:
        try:
            to_json(config)
        except ValueError as error:
            raise ValueError(f"must hold only what JSON can express: {ascii(str(error))[1:-1]}") from None
        return config

    @field_validator("command")
    @classmethod
    def _command_is_one_program(cls, command: str | None, info: ValidationInfo) -> str | None:
        if command is None:
            return None
        if not command.strip():
            raise ValueError("must not be empty")
        path = str(_base_dir(info) / command) if "/" in command else command
        if re.search(r"\s", command) and not (shutil.which(path) or _exists(Path(path))):
            shown = " ".join(Redactor({}, {}).command(command.split()))
            raise ValueError(f'is one program, not a shell line, and no file "{shown}" exists: put the arguments into args')
        return path

    @field_validator("env_from")
    @classmethod
    def _env_from_is_readable(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is None:
            return None
        try:
            read_env_file(full := str(_base_dir(info) / path))
        except EnvFileRefused as refused:
            raise ValueError(str(refused)) from None
        return full

    @field_validator("cwd")
    @classmethod
    def _cwd_is_a_folder(cls, cwd: str | None, info: ValidationInfo) -> str | None:
        if cwd is None:
            return None
        folder = _base_dir(info) / cwd
        if not _exists(folder):
            raise ValueError(f"no such folder: {folder}")
        if not folder.is_dir():
            raise ValueError(f"is not a folder: {folder}")
        return str(folder)

    @property
    def restart_type(self) -> RestartType:
        """The restart type, from whichever key says it."""
        if self.restart is not None:
            return self.restart
        if self.auto_restart is not None:
            return RestartType.PERMANENT if self.auto_restart else RestartType.TEMPORARY
        return self.default_restart

    def _seconds_of_rungs(self, stop: StopSpec) -> float:
        """What the rungs take in all that there are for an agent of its kind: signals are for programs."""
        return stop.cancel if _is_native(self) else stop.cancel + stop.sigint + stop.sigterm

    def child(self, agent_id: str, base_dir: Path, environment: Mapping[str, str]) -> ChildSpec:
        """The agent as its supervisor sees it; what it inherits comes from `environment`.

        Raises:
            SpecError: a spec refused its values.
        """
        if self.type is None:
            raise SpecError("type is missing")
        stop = self.stop.spec()
        pings_if_watched = _is_program(self) and self.ready is Ready.NOTIFY and self.heartbeat.given("dead_after")
        agent = AgentSpec(
            agent_id=agent_id,
            agent_type=self.type,
            name=self.name,
            role=self.role,
            model=self.model,
            labels=self.labels,
            factory=self.factory,
            command=self.command,
            args=self.args,
            cwd=self.cwd or str(base_dir),
            env=self.env,
            env_from=self.env_from,
            inherited=chosen(environment, self.env_inherit),
            user=self.user,
            umask=self.umask,
            no_new_privs=self.no_new_privs,
            rlimits=self.rlimits.limits,
            stdin=self.stdin,
            ready=self.ready,
            watchdog=pings_if_watched if self.watchdog is None else self.watchdog,
            heartbeat=self.heartbeat.spec(),
            stop=stop,
            limits=self.limits.spec(),
            hooks=HookSpec(pre_stop=self.hooks.pre_stop, post_exit=self.hooks.post_exit, timeout=self.hooks.timeout),
            liveness_probe=ProbeSpec() if self.liveness_probe is None else self.liveness_probe.spec(),
            progress=self.progress.spec(),
            exit_codes={int(code): exit_class for code, exit_class in self.exit_codes.items()},
            min_uptime=self.min_uptime,
            checkpoint_interval=self.checkpoint_interval,
            config=self.config,
        )
        return ChildSpec(
            id=agent_id,
            restart=self.restart_type,
            shutdown=self._seconds_of_rungs(stop) + self.hooks.seconds + SECONDS_BEYOND_THE_LADDER,
            significant=self.significant,
            start=agent,
            backoff=None if self.backoff is None else self.backoff.spec(),
            max_restarts=self.max_restarts,
            healthy_after=self.healthy_after,
            hold=self.hold,
            park=self.park,
            quota_group=self.quota_group,
        )


def _base_dir(info: ValidationInfo) -> Path:
    base_dir: Path = info.context["base_dir"] if info.context else Path.cwd()
    return base_dir


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, or a folder that may not be entered
        return False
