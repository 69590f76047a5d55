"""The demo's last parts: every query answers, the month's report opens in the programs that people have for it, a person is forgotten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import openpyxl
import pytest

from adapters.compliance.registry import QUERIES
from adapters.evidence import verify
from ops import demo
from ops.system import opened
from tests.evidence.test_report import NO_POPPLER, poppler

MAY_BE_EMPTY = {"unproven", "at_risk", "late", "duplicates", "on_hold", "retention_due"}
"""What a day that has just been heard of cannot show."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo that ran."""
    found = tmp_path_factory.mktemp("demo")
    assert 0 == demo.run(1, found, None)
    return found


def test_every_query_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each was asked with its defaults, those about the day itself have rows, and who is forgotten is found nowhere."""
    assert 0 == demo.run(1, tmp_path, None)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    answers, forgotten = told["answers"], told["forgotten"]
    assert list(QUERIES) == list(answers["rows"])
    assert {name for name, rows in answers["rows"].items() if not rows} <= MAY_BE_EMPTY
    assert 4 == len(set(answers["explanations"].values()))
    assert 5 == len(answers["sample"]["drawn"])
    assert "hold" in forgotten["refused"]
    assert (1, 0, True) == (forgotten["went"]["recipients"], forgotten["found"], forgotten["is_proven"])


def test_months_report_opens_in_its_real_programs(folder: Path) -> None:
    """DuckDB and a spreadsheet library see the same rows."""
    csv, jsonl = (folder / "reports" / kind / f"report.{kind}" for kind in ("csv", "jsonl"))
    rows = duckdb.read_csv(str(csv)).fetchall()
    assert len(rows) == len(duckdb.read_json(str(jsonl)).fetchall()) > 0
    book = openpyxl.load_workbook(folder / "reports/xlsx/report.xlsx")
    assert len(rows) + 1 == book.worksheets[0].max_row
    assert "A2" == book.worksheets[0].freeze_panes


@pytest.mark.skipif(not shutil.which("pdfsig"), reason=NO_POPPLER)
def test_months_report_is_read_on_paper_and_its_seal_is_valid(folder: Path, tmp_path: Path) -> None:
    """The PDF says which query it answers, and its signature holds."""
    data = (folder / "reports/pdf/report.pdf").read_bytes()
    assert "completeness/1" in poppler("pdftotext", data, tmp_path)
    assert "Signature is Valid." in poppler("pdfsig", data, tmp_path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "xlsx", "pdf"])
def test_months_report_verifies_offline_until_it_is_touched(folder: Path, tmp_path: Path, kind: str) -> None:
    """With the log's key from elsewhere it holds; with one byte changed it does not."""
    report = tmp_path / kind
    shutil.copytree(folder / "reports" / kind, report)
    settings = demo.settings(folder)
    with opened(settings) as system:
        key = system.leader.identity().keys[-1].vkey()
    assert 0 == verify.main([f"--log-key={key}", str(report)])
    path = report / f"report.{kind}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert 1 == verify.main([f"--log-key={key}", str(report)])
