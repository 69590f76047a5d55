"""Somebody who was erased, at the command line: in no command's answer, in nothing that it writes, and in no line that is logged."""

from __future__ import annotations

import logging

import pytest

from tests.flow.planting import betrayed
from tests.ops.test_cli import Shell
from tests.ops.test_protect_cli import HERS, HIS, LOOKING, WANTED, shell, typed

__all__ = ["shell"]  # a fixture


def test_no_command_and_no_log_tells_of_an_erased_person(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    """Every command that shows something of recipients, whatever it prints and writes; the other one is shown as before."""
    caplog.set_level(logging.DEBUG)
    item = shell.json("lanes", "list")["items"][0]["item"]
    hers = str(shell.json("search", "--recipient", HERS)["deliveries"][0]["message"])
    his = str(shell.json("search", "--recipient", HIS)["deliveries"][0]["message"])
    shell.run("safeguards", "set", "--partial-search", "--reason", "the board")
    shell.run("erase", "run", "--recipient", HERS, "--reason", "asked for", "--yes")
    told = ""
    for command, arguments in LOOKING.items():
        for message in (hers, his):
            words = [{"MESSAGE": message, "ITEM": item, "ACT": message}.get(each, each) for each in arguments]
            told += (said := typed(shell, [*command.split(), *words])[1])
            assert set() == betrayed(said.encode(), WANTED), (command, said)
    written = [
        path for path in shell.folder.rglob("*") if path.is_file() and "var" not in path.relative_to(shell.folder).parts
    ]
    assert {} == {path.name: found for path in written if (found := betrayed(path.read_bytes(), WANTED))}
    assert HIS in told.replace(" ", "")
    assert caplog.records
    assert set() == betrayed("\n".join(map(str, caplog.records)).encode() + caplog.text.encode(), WANTED)
