"""Who may import whom: `ledger <- projections <- adapters <- ops`, and no import points right.

Every import of the four packages is read with `ast`, also those inside functions and under TYPE_CHECKING; imports by a
computed name are not seen (the provider registry has the only one).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("ledger", "projections", "adapters", "ops", "tests")
"""From left to right; an import may point to the same layer or to the left."""

SYNCHRONOUS = ("ledger", "projections")
EVENT_LOOP = frozenset({"aiohttp", "asyncio"})

PROVIDERS = "adapters/providers"
SHARED_PROVIDERS = {("pec_massiva", "pec_mailbox")}
"""(folder, folder it may import): PEC Massiva's receipts are PEC receipts."""

PURE = frozenset({"wire.py", "statuses.py"})
IMPURE_MODULES = frozenset({
    *("asyncio", "select", "signal", "subprocess", "threading"),
    *("aiohttp", "ftplib", "http", "imaplib", "requests", "smtplib", "socket", "ssl", "urllib.request"),
    *("glob", "logging", "os", "pathlib", "shutil", "sys", "tempfile"),
    *("psycopg", "pysqlite3", "sqlite3"),
    *("random", "secrets", "time", "uuid_utils"),
})  # fmt: skip
IMPURE_FUNCTIONS = frozenset({"__import__", "eval", "exec", "input", "open", "print"})
IMPURE_METHODS = frozenset({"now", "today", "utcnow"})


def imports(tree: ast.Module, path: PurePosixPath) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of every import, relative ones resolved."""
    package = path.parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, name) of every call that reads a clock, a file or the like."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_FUNCTIONS:
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield node.lineno, name


def points_right(path: PurePosixPath, name: str) -> bool:
    """Whether a file of one layer imports a layer to its right."""
    layer, target = path.parts[0], name.partition(".")[0]
    return target in LAYERS and LAYERS.index(target) > LAYERS.index(layer)


def other_provider(path: PurePosixPath, name: str, folders: frozenset[str]) -> str:
    """The provider folder that a file imports although it is neither its own nor shared with it, or ""."""
    if not path.is_relative_to(PROVIDERS) or not name.startswith("adapters.providers."):
        return ""
    own, target = path.parts[2], name.split(".")[2]
    return target if target in folders and target != own and (own, target) not in SHARED_PROVIDERS else ""


def imports_module(name: str, modules: frozenset[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def offences(file: str, text: str, folders: frozenset[str]) -> list[str]:
    """What one file does against the rules, as `ledger/x.py:7 imports adapters`."""
    path, tree, found = PurePosixPath(file), ast.parse(text), set[tuple[int, str]]()
    layer = path.parts[0]
    pure = path.is_relative_to(PROVIDERS) and path.name in PURE
    for line, name in imports(tree, path):
        if points_right(path, name):
            found.add((line, f"imports {name.partition('.')[0]}"))
        if other := other_provider(path, name, folders):
            found.add((line, f"imports another provider, {other}"))
        if layer in SYNCHRONOUS and imports_module(name, EVENT_LOOP):
            found.add((line, f"imports {name.partition('.')[0]}, but {layer} is synchronous"))
        if pure and imports_module(name, IMPURE_MODULES):
            found.add((line, f"imports {name}, but {path.name} does no I/O and has no clock"))
    if pure:
        found |= {(line, f"calls {name}(), but {path.name} does no I/O and has no clock") for line, name in calls(tree)}
    return [f"{file}:{line} {what}" for line, what in sorted(found)]


def test_no_file_imports_what_it_may_not() -> None:
    """The layers, the separation of providers and the purity of wire and statuses hold in every file."""
    folders = frozenset(p.parent.name for p in (ROOT / PROVIDERS).glob("*/__init__.py"))
    files = [path for layer in LAYERS[:-1] for path in sorted((ROOT / layer).rglob("*.py"))]
    assert files
    found = [o for p in files for o in offences(p.relative_to(ROOT).as_posix(), p.read_text(encoding="utf-8"), folders)]
    assert not found, "\n".join(["", *found])


WIRE = "adapters/providers/pec_mailbox/wire.py"
READING = "adapters/providers/reading.py"
PURITY = "but wire.py does no I/O and has no clock"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("ledger/x.py", "\nimport adapters.http", ["ledger/x.py:2 imports adapters"]),
        ("ledger/x.py", "def f():\n    from projections import status", ["ledger/x.py:2 imports projections"]),
        ("ledger/a/x.py", "from ...ops import cli", ["ledger/a/x.py:1 imports ops"]),
        ("projections/x.py", "import asyncio", ["projections/x.py:1 imports asyncio, but projections is synchronous"]),
        ("ops/x.py", "from tests import postgres", ["ops/x.py:1 imports tests"]),
        ("ops/x.py", "import asyncio\nfrom adapters import http\nfrom ledger import tree", []),
        (WIRE, "from adapters.providers.kpn_sms import wire", [f"{WIRE}:1 imports another provider, kpn_sms"]),
        (WIRE, "from ..kpn_sms.statuses import STATUS", [f"{WIRE}:1 imports another provider, kpn_sms"]),
        (WIRE, "from . import statuses\nfrom adapters.providers import reading", []),
        ("adapters/providers/pec_massiva/wire.py", "from adapters.providers.pec_mailbox import wire", []),
        (READING, "from adapters.providers import pec_mailbox", [f"{READING}:1 imports another provider, pec_mailbox"]),
        (WIRE, "from urllib.parse import quote", []),
        (WIRE, "from urllib import request", [f"{WIRE}:1 imports urllib.request, {PURITY}"]),
        (WIRE, "import os.path", [f"{WIRE}:1 imports os.path, {PURITY}"]),
        (WIRE, "from datetime import datetime\ndatetime.now()", [f"{WIRE}:2 calls now(), {PURITY}"]),
        (WIRE, "archive.open('x')", []),
        (WIRE, "open('x')", [f"{WIRE}:1 calls open(), {PURITY}"]),
        ("adapters/providers/pec_mailbox/client.py", "import aiohttp, time\nopen('x')", []),
    ],
)
def test_offence_is_named_with_file_line_and_target(path: str, text: str, expected: list[str]) -> None:
    """Each rule has an import that breaks it and one that does not."""
    assert expected == offences(path, text, frozenset({"pec_mailbox", "kpn_sms", "pec_massiva"}))
