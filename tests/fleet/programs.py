"""The programs of the fleet: how each is configured, started, asked whether it serves, and how its end by SIGTERM is classed."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DEBIAN = {
    "redis-server": "redis-server",
    "haproxy": "haproxy",
    "gunicorn": "gunicorn",
    "nginx": "nginx-light",
    "memcached": "memcached",
    "initdb": "postgresql",
    "node": "nodejs",
    "npm": "npm",
}
"""The Debian package of each command that is needed."""
MCP_SERVERS = ("everything", "filesystem", "memory")
"""From npm, each as `@modelcontextprotocol/server-NAME`."""
_PLACES = (*os.environ["PATH"].split(":"), "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)))


@dataclass(frozen=True, slots=True)
class Member:
    """One program of the fleet: its table, the classes that its end by SIGTERM may have, and whether it serves now."""

    table: str
    after_sigterm: frozenset[str]
    serves: Callable[[], bool] = lambda: True


def command(name: str) -> str | None:
    """Where a command is."""
    return shutil.which(name, path=":".join(_PLACES))


def missing() -> list[str]:
    """The Debian packages that have to be installed first."""
    return sorted({package for name, package in DEBIAN.items() if command(name) is None})


def install_mcp_servers(folder: Path) -> None:
    """Install the MCP servers from npm. Raises CalledProcessError."""
    packages = [f"@modelcontextprotocol/server-{name}" for name in MCP_SERVERS]
    subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", folder, *packages], check=True, timeout=600)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
        return port


def _says(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.settimeout(5)
            connection.sendall(question)
            return answer in connection.recv(1000)
    except OSError:
        return False


def _serves_http(port: int, text: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as reply:
            return text in reply.read().decode()
    except (OSError, ValueError):
        return False


def _table(agent: str, argv: list[str], more: str = "") -> str:
    return f"""
[agents.{agent}]
type = "process_wrapper"
supervisor = "{"mcp" if agent.startswith("mcp-") else "servers"}"
command = {json.dumps(argv[0])}
args = {json.dumps(argv[1:])}
max_restarts = 1000000
heartbeat = {{ startup_timeout = 60 }}
stop = {{ cancel = 1, sigint = 2, sigterm = 5 }}
{more}
"""


def _path(name: str) -> str:
    found = command(name)
    assert found is not None, name
    return found


def _redis(_folder: Path) -> Member:
    port = _free_port()
    argv = [
        _path("redis-server"),
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
        "--supervised",
        "systemd",
        "--bind",
        "127.0.0.1",
    ]
    probe = f'ready = "notify"\nliveness_probe = {{ exec = ["redis-cli", "-p", "{port}", "ping"], period = 2, timeout = 10 }}'
    return Member(_table("redis", argv, probe), frozenset({"normal"}), lambda: _says(port, b"PING\r\n", b"+PONG"))


def _gunicorn(folder: Path, port: int) -> Member:
    (folder / "app.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'gunicorn']\n"
    )
    argv = [_path("gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "2", "--worker-tmp-dir", "/dev/shm", "app:app"]
    more = f'cwd = {json.dumps(str(folder))}\nready = "notify"\n'
    more += f'liveness_probe = {{ http_get = "http://127.0.0.1:{port}/", period = 2, timeout = 10 }}'
    return Member(_table("gunicorn", argv, more), frozenset({"normal"}), lambda: _serves_http(port, "gunicorn"))


def _haproxy(folder: Path, behind: int) -> Member:
    port = _free_port()
    (folder / "haproxy.cfg").write_text(
        "global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
        f"frontend front\n  bind 127.0.0.1:{port}\n  default_backend back\nbackend back\n  server one 127.0.0.1:{behind}\n"
    )
    argv = [_path("haproxy"), "-Ws", "-f", str(folder / "haproxy.cfg")]
    more = f'ready = "notify"\nliveness_probe = {{ tcp_socket = "127.0.0.1:{port}", period = 2, timeout = 10 }}'
    # Its master exits with 0 or with 128 + the signal, as its worker does, and dies of the signal when it has just begun.
    return Member(_table("haproxy", argv, more), frozenset({"external", "normal"}), lambda: _serves_http(port, "gunicorn"))


def _nginx(folder: Path) -> Member:
    port = _free_port()
    places = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"pid {folder}/nginx.pid;\nerror_log stderr notice;\nworker_processes 2;\nevents {{}}\nhttp {{\n  access_log off;\n{places}"
        f"  server {{ listen 127.0.0.1:{port}; location / {{ return 200 nginx; }} }}\n}}\n"
    )
    argv = [_path("nginx"), "-c", str(folder / "nginx.conf"), "-e", "stderr", "-g", "daemon off;"]
    more = f'liveness_probe = {{ http_get = "http://127.0.0.1:{port}/", period = 2, timeout = 10, initial_delay = 2 }}'
    return Member(_table("nginx", argv, more), frozenset({"normal"}), lambda: _serves_http(port, "nginx"))


def _memcached(_folder: Path) -> Member:
    port = _free_port()
    argv = [_path("memcached"), "-l", "127.0.0.1", "-p", str(port), "-u", "nobody"]
    more = f'liveness_probe = {{ tcp_socket = "127.0.0.1:{port}", period = 2, timeout = 10, initial_delay = 2 }}'
    return Member(_table("memcached", argv, more), frozenset({"normal"}), lambda: _says(port, b"version\r\n", b"VERSION"))


def _postgres(folder: Path) -> Member:
    port, user = _free_port(), pwd.getpwnam("postgres")
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    os.chown(data, user.pw_uid, user.pw_gid)
    subprocess.run(
        [_path("initdb"), "-D", data, "--auth=trust", "--no-sync"],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        cwd="/",
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    argv = [_path("postgres"), "-D", str(data), "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    ready = [_path("pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    more = f'cwd = "/"\nuser = "postgres"\nready = "notify"\nliveness_probe = {{ exec = {json.dumps(ready)}, period = 2, timeout = 10 }}'

    def serves() -> bool:
        select = [_path("psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-tAc", "select 41 + 1", "postgres"]
        done = subprocess.run(select, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout.strip() == "42"

    return Member(_table("postgres", argv, more), frozenset({"normal"}), serves)


def _mcp(folder: Path, npm: Path, name: str) -> Member:
    script = npm / "node_modules" / ".bin" / f"mcp-server-{name}"
    arguments = {"everything": ["stdio"], "filesystem": [str(folder)], "memory": []}[name]
    argv = [_path("node"), str(script.resolve()), *arguments]
    env = f'stdin = "pipe"\nenv = {{ MEMORY_FILE_PATH = {json.dumps(str(folder / "memory.json"))} }}'
    return Member(_table(f"mcp-{name}", argv, env), frozenset({"external", "normal"}))


def fleet(folder: Path, npm: Path) -> dict[str, Member]:
    """The members of the fleet by agent id; their files are in `folder`, the MCP servers below `npm`."""
    port = _free_port()
    return {
        "redis": _redis(folder),
        "gunicorn": _gunicorn(folder, port),
        "haproxy": _haproxy(folder, port),
        "nginx": _nginx(folder),
        "memcached": _memcached(folder),
        "postgres": _postgres(folder),
        **{f"mcp-{name}": _mcp(folder, npm, name) for name in MCP_SERVERS},
    }


def tree(members: dict[str, Member]) -> str:
    """The text of the tree file."""
    supervisors = "".join(
        f'\n[supervisors.{name}]\nstrategy = "one_for_one"\nmax_restarts = 1000000\nwithin = 60\n' for name in ("servers", "mcp")
    )
    root = '[tree]\nname = "fleet"\n\n[supervisors.root]\nmax_restarts = 1000000\nwithin = 60\n'
    return root + supervisors + "".join(member.table for member in members.values())
