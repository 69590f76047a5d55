"""Every query as a report in every format: the rows are the answer's, real programs open them, and the verifier accepts them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import openpyxl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.compliance import asking
from adapters.compliance.registry import QUERIES
from adapters.evidence import seal, verify
from adapters.reports import csv_, jsonl
from adapters.reports.contract import Look, Made, ReportAsk
from adapters.reports.csv_ import original
from adapters.reports.making import Desk, make
from ledger import notes
from ledger.checkpoints import Checkpoint, SignedHead
from ledger.notes import NoteKey
from tests.compliance.golden import OTHER, TENANT, Golden, ask, golden
from tests.postgres import Database
from tests.projections.beside import lengthen

REQUIRED = {
    "by_document": {"digest": "0" * 64},
    "by_recipient": {"recipient": "nobody@nowhere.example"},
}
ORIGIN = "log.example/golden"
KEY = Ed25519PrivateKey.generate()
TRUST = verify.Trust(keys=[verify.parse_key(NoteKey(ORIGIN, notes.public_of(KEY)).vkey())])


@pytest.fixture(scope="module")
def shared(told: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    """One copy of the fixed ledger for all: making a report changes nothing in it."""
    folder = tmp_path_factory.mktemp("shared")
    with golden(told, Database("sqlite", f"sqlite:///{folder / 'ledger.db'}"), folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def seals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a seal, made once."""
    return tmp_path_factory.mktemp("seals")


def made(found: Golden, seals: Path, folder: Path, name: str, **asked: Any) -> Made:
    """A report of a query with its defaults; the log is signed for by a key of the test."""
    ledger = found.world.ledger

    def signed_head() -> SignedHead:
        head = ledger.head()
        checkpoint = Checkpoint(ORIGIN, head.size, head.root)
        return SignedHead(checkpoint, notes.sign(checkpoint.text(), [(ORIGIN, KEY)]))

    desk = Desk(
        queries=found.world.queries,
        heads=found.heads,
        signed_head=signed_head,
        sign=partial(notes.sign, keys=[(ORIGIN, KEY)]),
        sealer=lambda: seal.load_or_create(seals),
    )
    given = {"tenant": TENANT, "query": name, "parameters": REQUIRED.get(name, {}), **asked}
    told = make(desk, msgspec.convert(given, ReportAsk), folder)
    outcome = verify.verify(str(folder), TRUST)
    assert 0 == outcome.exit_code, outcome.verdict
    return told


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return [str(each) for each in value] if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_is_a_report_in_every_format(shared: Golden, seals: Path, tmp_path: Path, name: str) -> None:
    """JSONL has the values, CSV their texts, XLSX as many rows under frozen titles, PDF is sealed; each verifies."""
    answer = ask(shared, name, **REQUIRED.get(name, {}))
    names = [column.name for column in answer.header["columns"]]
    for number, form in enumerate(("jsonl", "csv", "xlsx", "pdf")):
        language = ("en", "it", "nl", "sv")[number]
        told = made(shared, seals, tmp_path / form, name, format=form, language=language)
        assert (len(answer.rows), answer.header["position"]) == (told.rows, told.position)
    lines = (tmp_path / "jsonl" / "report.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [{n: plain(v) for n, v in zip(names, row, strict=True)} for row in answer.rows] == list(
        map(json.loads, lines)
    )
    with (tmp_path / "csv" / "report.csv").open(encoding="utf-8", newline="") as file:
        titles, *cells = csv.reader(file, strict=True)
    texts = [at for at, column in enumerate(answer.header["columns"]) if column.kind in {"text", "id"}]
    assert (names, len(answer.rows)) == (titles, len(cells))
    assert [[row[at] or "" for at in texts] for row in answer.rows] == [
        [original(c[at]) for at in texts] for c in cells
    ]
    sheet = openpyxl.load_workbook(tmp_path / "xlsx" / "report.xlsx").worksheets[0]
    assert (len(answer.rows) + 1, "A2") == (sheet.max_row, sheet.freeze_panes)
    assert (tmp_path / "pdf" / "report.pdf").read_bytes().startswith(b"%PDF-1.7")


def test_a_report_by_the_page_has_the_bytes_of_one_row_by_row(
    found: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every query, and of a long list whose addresses another process opens."""
    expected = {name: _row_by_row(found, name) for name in QUERIES}
    assert expected == {name: _by_the_page(found, name, tmp_path) for name in QUERIES}
    here = lengthen(monkeypatch)
    assert expected["unproven"] == _by_the_page(found, "unproven", tmp_path)
    rows = expected["unproven"][1].count(b"\n")
    assert sum(len(held.recipients) for held in here) < rows / 2


def _row_by_row(found: Golden, name: str) -> tuple[bytes, bytes]:
    """CSV and JSONL as the module `csv` and an encoder of dicts write them."""
    with asking.asked(found.world.queries, found.heads, TENANT, name, REQUIRED.get(name, {})) as answer:
        rows, names = [row.values for row in answer.rows], [column.name for column in answer.header.columns]
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\r\n").writerows(
        [names, *([csv_.cell_of(value) for value in row] for row in rows)]
    )
    objects = [msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows]
    return lines.getvalue().encode(), b"".join(objects)


def _by_the_page(found: Golden, name: str, folder: Path) -> tuple[bytes, bytes]:
    written = []
    for write in (csv_.write, jsonl.write):
        with asking.asked(found.world.queries, found.heads, TENANT, name, REQUIRED.get(name, {})) as answer:
            write(folder / "rows", answer.header, chain.from_iterable(answer.pages), Look("en", ZoneInfo("UTC")))
        written.append((folder / "rows").read_bytes())
    return written[0], written[1]


def test_times_and_numbers_of_a_workbook_are_times_and_numbers(shared: Golden, seals: Path, tmp_path: Path) -> None:
    """A column that has a time in it has nothing but times, or nothing."""
    for name in ("unproven", "late", "scorecard", "completeness"):
        made(shared, seals, tmp_path / name, name, format="xlsx")
        sheet = openpyxl.load_workbook(tmp_path / name / "report.xlsx").worksheets[0]
        for column, cells in zip(QUERIES[name].columns, sheet.iter_cols(min_row=2), strict=True):
            wanted = {"time": "d", "date": "d", "integer": "n", "decimal": "n"}.get(column.kind, "s")
            assert {cell.data_type for cell in cells if cell.value is not None} <= {wanted}, (name, column.name)


def test_monthly_report_of_one_organisation_says_nothing_of_another(
    shared: Golden, seals: Path, tmp_path: Path
) -> None:
    """What is unproven of a month; of everything that the other has, nothing stands in it."""
    month = {"since": "2026-02-01", "until": "2026-03-01", "hours": 0, "below": "E5"}
    made(shared, seals, tmp_path / "ours", "unproven", parameters=month)
    made(shared, seals, tmp_path / "theirs", "unproven", tenant=OTHER, parameters={"hours": 0, "below": "E5"})
    ours, theirs = ((tmp_path / name / "report.csv").read_text(encoding="utf-8") for name in ("ours", "theirs"))
    messages = [{line["message"] for line in csv.DictReader(text.splitlines())} for text in (ours, theirs)]
    assert all(messages)
    assert not messages[0] & messages[1]
    assert {True} == {"2026-02-01" <= line["opened_at"] < "2026-03-01" for line in csv.DictReader(ours.splitlines())}
