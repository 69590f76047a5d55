"""What a start loads, and that what it does not load is there when it is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App

from ops.cli import COMMANDS, app
from ops.serve import LATER
from tests.ops.test_cli import Shell, shell

__all__ = ["shell"]
ROOT = Path(__file__).parents[2]
DRAWS = {"rich", "pygments", "markdown_it"}
SIGNS = {"pyhanko", "pyhanko_certvalidator"}
WORKS_LATER = {"email_validator", "jsonpatch"}
NOT_OURS_TO_LOAD = {"pydantic", "openpyxl", "hypothesis", "pytest"}
SERVES = {"aiohttp", "prometheus_client", "apscheduler"}
LISTENING = """
import sys
from ops import serve
from ops.cli import main
def listening(self):
    print(*{name.partition(".")[0] for name in sys.modules}, flush=True)
    raise OSError("that is all")
serve.web.TCPSite.start = listening
main(["serve"])
"""


def loaded(program: str, folder: Path) -> set[str]:
    """The packages that a program says it has loaded, in a process of its own."""
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "LEDGER_PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, check=False
    )
    assert done.stdout, done.stderr.decode()
    return set(done.stdout.decode().split())


def test_server_that_begins_to_listen_has_loaded_nothing_that_draws_or_signs(tmp_path: Path) -> None:
    """A start is what it loads: half a second is these packages."""
    found = loaded(LISTENING, tmp_path)
    assert set() == found & (DRAWS | SIGNS | WORKS_LATER | NOT_OURS_TO_LOAD)
    assert found >= SERVES


def test_what_a_server_loads_once_it_listens_is_there() -> None:
    """A name that is wrong would end a thread of every server, and be found by the first certified mail."""
    for name in LATER:
        importlib.import_module(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name: str) -> None:
    """It is loaded when it is asked for, so nothing else would miss it; and it says what it does."""
    assert isinstance(app[name], App)
    assert app[name].help


def test_every_command_is_listed_and_help_needs_no_ledger(shell: Shell) -> None:
    """With what each does; nothing is made where the ledger would be."""
    listed = shell.run("--help")
    assert [] == [name for name in COMMANDS if f"\u2502 {name} " not in listed]
    assert "Serve the HTTP API" in listed
    assert "MESSAGE" in shell.run("status", "--help")
    assert [] == list(shell.folder.iterdir())


def test_help_of_a_command_opens_no_ledger_and_loads_no_server(tmp_path: Path) -> None:
    """Somebody who looks up how a command is called waits for nothing that it would need to run."""
    program = (
        "import sys\nfrom ops.cli import main\ntry:\n    main(['serve', '--help'])\nexcept SystemExit:\n"
        "    print()\n    print(*{name.partition('.')[0] for name in sys.modules})"
    )
    assert set() == loaded(program, tmp_path) & (SERVES | SIGNS | {"psycopg", "projections"})
