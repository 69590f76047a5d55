"""Making reports: whole or not at all, of one state of the log, bound to a signed head."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.compliance import registry
from adapters.compliance.contract import Column, ComplianceQuery, Context, Parameters, Row
from adapters.compliance.deliveries import COLUMNS
from adapters.compliance.messages import MESSAGES
from adapters.evidence import verify
from adapters.reports.contract import ReportAsk, StoppedError
from adapters.reports.making import make
from ledger import notes
from ledger.errors import ConfigurationError, NotFoundError, TooLargeError
from ops.reports import desk
from ops.system import System
from tests.evidence.packs import ACCEPTED, TENANT, TO_ANNA, TO_BRUNO, a_ledger, hand_in, message_of
from tests.postgres import Database
from tests.reports.kit import made

FORMATS = ("csv", "jsonl", "xlsx", "pdf")
in_each_format = pytest.mark.parametrize("form", FORMATS)


class Broken(Exception):  # noqa: N818  thrown by no code of ours
    """What a query may run into."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with a_ledger(tmp_path) as found:
        hand_in(found, tmp_path, ACCEPTED, TO_ANNA)
        yield found


def asked(form: str, **more: Any) -> ReportAsk:
    return msgspec.convert({"tenant": TENANT, "query": "many", "format": form, **more}, ReportAsk)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A query of a thousand rows; gives back how many were taken of it. The 701st is `Broken` where a test asks for that."""
    taken: list[int] = []

    class Many(Parameters, frozen=True):
        breaks: bool = False

    def rows(context: Context, parameters: Many, _after: str) -> Iterator[Row]:
        for number in range(1_000):
            if parameters.breaks and number == 700:
                raise Broken
            context.progress(number, 1_000)
            taken.append(number)
            yield Row((number, f"=text {number}"), str(number))

    query = ComplianceQuery(
        name="many", version=1, title="Many", counts="Numbers.", parameters=Many,
        columns=(Column("number", "integer", "a number"), Column("text", "text", "a text")), rows=rows,
    )  # fmt: skip
    monkeypatch.setitem(registry.QUERIES, "many", query)
    return taken


@in_each_format
def test_report_is_whole(system: System, tmp_path: Path, form: str) -> None:
    """Rows, header, notes, verifier, checkpoint and manifest; what was made names each with its digest."""
    told = made(system, tmp_path / "r", query="messages", parameters={"messages": [message_of(system)]}, format=form)
    names = {f"report.{form}", "header.json", "README.txt", "verify.py", "checkpoint", "manifest"}
    assert names == {path.name for path in (tmp_path / "r").iterdir()} == {file.name for file in told.files}
    for file in told.files:
        data = (tmp_path / "r" / file.name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (file.sha256, file.size)
    assert (f"report.{form}", 3) == (told.files[0].name, told.rows)
    assert told.digest == next(file.sha256 for file in told.files if file.name == "manifest")
    assert 0o700 == (tmp_path / "r").stat().st_mode & 0o777


@in_each_format
def test_stopped_report_leaves_nothing(system: System, tmp_path: Path, many: list[int], form: str) -> None:
    """Between two rows, and soon; the folder is empty again and no file stays open."""
    with pytest.raises(StoppedError):
        make(desk(system), asked(form), tmp_path / "r", is_stopped=lambda: len(many) >= 300)
    assert ([], 300) == (list((tmp_path / "r").iterdir()), len(many))


def test_query_that_finds_nothing_for_long_can_be_stopped(system: System, tmp_path: Path, many: list[int]) -> None:
    """It is looked at whenever the query tells its progress, too."""
    told: list[int] = []
    with pytest.raises(StoppedError):
        make(desk(system), asked("csv"), tmp_path / "r", lambda done, _: told.append(done), lambda: len(told) > 41)
    assert list(range(42)) == told


@in_each_format
def test_report_that_fails_leaves_nothing(system: System, tmp_path: Path, many: list[int], form: str) -> None:
    """What a query runs into is told as it was, and half a report is none."""
    with pytest.raises(Broken):
        make(desk(system), asked(form, parameters={"breaks": True}), tmp_path / "r")
    assert ([], 700) == (list((tmp_path / "r").iterdir()), len(many))
    with pytest.raises(TooLargeError):
        _too_long(system, tmp_path / "p")
    assert [] == list((tmp_path / "p").iterdir())


def _too_long(system: System, folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adapters.reports.pdf.MAX_ROWS", 999)
        make(desk(system), asked("pdf"), folder)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"query": "nothing"}, NotFoundError),
        ({"query": "disputed/9"}, NotFoundError),
        ({"query": "disputed", "parameters": {"sinse": ""}}, ValueError),
        ({"query": "messages", "parameters": {"messages": ["unknown"]}}, NotFoundError),
        ({"query": "disputed", "zone": "Mars/Base"}, ConfigurationError),
        ({"query": "disputed", "zone": "../../etc/passwd"}, ConfigurationError),
    ],
)
def test_wrong_question_is_refused(
    system: System, tmp_path: Path, more: dict[str, Any], error: type[Exception]
) -> None:
    """Before anything is written."""
    with pytest.raises(error):
        make(desk(system), asked("csv", **more), tmp_path / "r")
    assert not (tmp_path / "r").exists() or not list((tmp_path / "r").iterdir())


def test_folder_with_something_in_it_is_left_alone(system: System, tmp_path: Path) -> None:
    """A report never mixes with what was there."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine").write_text("mine")
    with pytest.raises(ConfigurationError, match="is not empty"):
        made(system, tmp_path / "r", query="disputed")
    assert "mine" == (tmp_path / "r" / "mine").read_text()


def test_header_holds_the_parameters_and_the_manifest_does_not(system: System, tmp_path: Path) -> None:
    """They may name a person; and a nonce keeps them from being guessed from the header's digest."""
    for folder in ("one", "two"):
        made(system, tmp_path / folder, query="disputed", parameters={"account": "anna-rossi"})
    headers = [json.loads((tmp_path / folder / "header.json").read_bytes()) for folder in ("one", "two")]
    assert ["anna-rossi", "anna-rossi"] == [header["parameters"]["account"] for header in headers]
    assert 2 == len({header["nonce"] for header in headers})
    for name in ("manifest", "README.txt"):
        assert b"anna-rossi" not in (tmp_path / "one" / name).read_bytes()


def test_rows_are_of_one_position_while_the_log_goes_on(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives after the question was asked is in no row; the manifest leads from that state to the head that has it."""
    with a_ledger(tmp_path, database.url) as system:
        hand_in(system, tmp_path, ACCEPTED, TO_ANNA)
        position = system.queries.position()
        ask = ReportAsk(tenant=TENANT, query="messages", parameters={"messages": [message_of(system)]})

        def rows(context: Context, parameters: Any, after: str) -> Iterator[Row]:
            hand_in(system, tmp_path, TO_BRUNO)
            yield from MESSAGES.rows(context, parameters, after)

        with monkeypatch.context() as patch:
            patch.setitem(registry.QUERIES, "messages", replace(MESSAGES, rows=rows))
            first = make(desk(system), ask, tmp_path / "first")
        second = make(desk(system), ask, tmp_path / "second")
        key = verify.parse_key(system.identity.keys[0].vkey())
    assert (position, True) == (first.position, first.tree_size > position)
    assert second.position > first.position
    assert ["delivered", "accepted", "accepted"] == _statuses(tmp_path / "first")
    assert ["delivered", "delivered", "accepted"] == _statuses(tmp_path / "second")
    for name in ("first", "second"):
        assert 0 == verify.verify(str(tmp_path / name), verify.Trust(keys=[key])).exit_code


def _statuses(folder: Path) -> list[str]:
    lines = (folder / "report.csv").read_text(encoding="utf-8").splitlines()
    return [row["status"] for row in csv.DictReader(lines)]


def test_manifest_is_signed_by_every_key_in_use(system: System, tmp_path: Path) -> None:
    """While keys rotate, a reader may have the old one or the new one."""
    from ledger import identity  # noqa: PLC0415  beside its only use
    from ops import keyfiles  # noqa: PLC0415  as above

    identity.add_key(system.ledger, system.leader.identity(), keyfiles.add_log_key(system.settings.key_folder))
    made(system, tmp_path / "r", query="disputed")
    keys = system.leader.identity().keys
    assert 2 == len(keys)
    for key in keys:
        assert [key] == notes.verified_by(notes.parse((tmp_path / "r" / "manifest").read_bytes()), [key])
        assert 0 == verify.verify(str(tmp_path / "r"), verify.Trust(keys=[verify.parse_key(key.vkey())])).exit_code


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
@pytest.mark.slow(reason="a hundred thousand rows")
def test_memory_does_not_grow_with_the_rows(form: str) -> None:
    """Measured in a process of its own: below 150 MiB, and a few MiB more than for a thousandth of them."""
    peaks = []
    for count in (100, 100_000):
        command = [sys.executable, "-m", "tests.reports.measuring", form, str(count)]
        told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert count == told["rows"]
        peaks.append(told["peak_mib"])
    assert max(peaks) < 150
    assert peaks[1] - peaks[0] < 16


def test_messages_are_those_that_were_named_in_that_order(system: System, tmp_path: Path) -> None:
    """Twice is once; page by page is the whole; another organisation's is nobody's."""
    from adapters.compliance.asking import asked as ask  # noqa: PLC0415  beside its only use

    given = {"messages": [message_of(system)] * 2}
    with ask(system.queries, system.heads, TENANT, "messages", given) as answer:
        whole = list(answer.rows)
    assert [0, 1, 2] == [row.values[1] for row in whole]
    for number, row in enumerate(whole, 1):
        with ask(system.queries, system.heads, TENANT, "messages", given, row.cursor) as answer:
            assert whole[number:] == list(answer.rows)
    with ask(system.queries, system.heads, "globex", "messages", given) as answer, pytest.raises(NotFoundError):
        list(answer.rows)
    with (
        ask(system.queries, system.heads, TENANT, "messages", given, "messages:x:y") as answer,
        pytest.raises(ValueError, match="cursor"),
    ):
        list(answer.rows)
    assert COLUMNS == answer.header.columns
