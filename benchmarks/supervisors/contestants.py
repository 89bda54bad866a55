"""The supervisors that are compared: how each runs N copies of one program, as a process that stays in the foreground."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Launch:
    """What to execute in an empty folder, and with what more in its environment."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A supervisor. `prepare` gets an empty folder, how many programs, and the command that each is, but for its number at the end."""

    name: str
    needs: tuple[str, ...]
    """The commands without which it cannot be run."""
    prepare: Callable[[Path, int, list[str]], Launch]
    settings: str

    @property
    def missing(self) -> list[str]:
        """The commands that this machine does not have."""
        return [command for command in self.needs if shutil.which(command) is None]


def compiled(source: str, folder: Path) -> str:
    """The path of a program that is compiled from a file beside this one."""
    target = folder / Path(source).stem
    subprocess.run(["cc", "-O2", "-o", str(target), str(HERE / source)], check=True)
    return str(target)


def _limit(folder: Path, count: int, command: list[str]) -> Launch:
    return Launch([compiled("limit.c", folder), str(count), *command])


def _asyncio(_folder: Path, count: int, command: list[str]) -> Launch:
    return Launch([sys.executable, "-SE", str(HERE / "bare_asyncio.py"), str(count), *command])


def _erlang(folder: Path, count: int, command: list[str]) -> Launch:
    subprocess.run(["erlc", "-o", str(folder), str(HERE / "erlang_tree.erl")], check=True)
    run = ["-noinput", "-pa", str(folder), "-run", "erlang_tree", "start", str(count), *command]
    return Launch(["erl", *run], {"ERL_CRASH_DUMP": os.devnull})


def _runit(folder: Path, count: int, command: list[str]) -> Launch:
    services = folder / "services"
    for number in range(count):
        service = services / str(number)
        service.mkdir(parents=True)
        run = service / "run"
        run.write_text(f"#!/bin/sh\nexec {' '.join(command)} {number}\n")
        run.chmod(0o755)
    return Launch(["runsvdir", "-P", str(services)])


def _supervisord(folder: Path, count: int, command: list[str]) -> Launch:
    settings = "autorestart=true\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n"
    programs = "".join(f"[program:{number}]\ncommand={' '.join(command)} {number}\n{settings}" for number in range(count))
    file = folder / "supervisord.conf"
    file.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={os.devnull}\nlogfile_maxbytes=0\npidfile={folder}/pid\nminfds=8192\n{programs}"
    )
    return Launch(["supervisord", "-c", str(file)])


def _pm2(folder: Path, count: int, command: list[str]) -> Launch:
    apps = [
        {"name": str(number), "script": command[0], "args": [*command[1:], str(number)], "interpreter": "none", "restart_delay": 0}
        for number in range(count)
    ]
    file = folder / "apps.json"
    file.write_text(json.dumps({"apps": apps}))
    return Launch(["pm2", "start", str(file), "--no-daemon"], {"PM2_HOME": str(folder / "pm2"), "HOME": str(folder)})


def _suptree(folder: Path, count: int, command: list[str], environment: dict[str, str] | None = None) -> Launch:
    agents = "".join(
        f'[agents.a{number}]\ntype = "process_wrapper"\ncommand = "{command[0]}"\nargs = {json.dumps([*command[1:], str(number)])}\n'
        for number in range(count)
    )
    file = folder / "tree.toml"
    file.write_text(f'[tree]\nname = "t"\n[supervisors.root]\nmax_restarts = 1000000\nwithin = 1\n{agents}')
    home = {"SUPTREE_HOME": str(folder / "home"), "XDG_RUNTIME_DIR": str(folder)}
    return Launch([str(Path(sys.executable).parent / "suptree"), "up", str(file)], {**home, **(environment or {})})


def _suptree_without_groups(folder: Path, count: int, command: list[str]) -> Launch:
    return _suptree(folder, count, command, {"SUPTREE_CGROUPS": "off"})


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("C limit", ("cc",), _limit, "posix_spawn and wait"),
        Contestant("bare asyncio", (), _asyncio, "create_subprocess_exec and wait"),
        Contestant("Erlang", ("erl", "erlc"), _erlang, "one_for_one, a port each"),
        Contestant("runit", ("runsvdir", "runsv"), _runit, "runsvdir, a run script each; one restart a second"),
        Contestant("supervisord", ("supervisord",), _supervisord, "autorestart, startsecs=0, no log files"),
        Contestant("pm2", ("pm2",), _pm2, "fork mode, no delay"),
        Contestant("suptree", (), _suptree, "one_for_one, output logged, control groups where there are any"),
        Contestant("suptree, no groups", (), _suptree_without_groups, "the same, SUPTREE_CGROUPS=off"),
    )
}
