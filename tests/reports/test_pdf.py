"""PDF/A: claimed in its metadata, sealed, the header on every page, harmless words, and never longer than it can be."""

from __future__ import annotations

import re
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from adapters.evidence import seal
from adapters.evidence.texts import plain
from adapters.reports import pdf, texts
from adapters.reports.contract import Look
from ledger.errors import TooLargeError
from tests.evidence.test_report import NO_POPPLER, poppler
from tests.reports.answers import EMPTY, HOSTILE, LOOK, header, row
from tests.reports.answers import texts as as_rows

needs_poppler = pytest.mark.skipif(not shutil.which("pdfsig"), reason=NO_POPPLER)


def sealed(folder: Path, rows: list[tuple[Any, ...]], look: Look = LOOK) -> bytes:
    """A report as it is handed out."""
    path = folder / "sealed.pdf"
    write = pdf.writer(lambda: seal.load_or_create(folder / "keys"), None)
    assert len(rows) == write(path, header(), rows, look)
    return path.read_bytes()


def bare(text: str) -> str:
    """Without spaces and places to break: where a line breaks is not what a report says."""
    return re.sub(r"[\s\u200b]+", "", text)


@needs_poppler
def test_report_is_tagged_pdf_a3_and_its_seal_is_valid(tmp_path: Path) -> None:
    """XMP claims PDF/A-3a, the signature covers the whole file, and one changed byte spoils it."""
    found = sealed(tmp_path, [row(number) for number in range(40)])
    assert re.search(rb"pdfaid:part>3<.*pdfaid:conformance>A<", found, re.DOTALL)
    said = poppler("pdfsig", found, tmp_path)
    assert "Signature is Valid." in said
    assert "Total document signed" in said
    broken = found[:5000] + bytes([found[5000] ^ 1]) + found[5001:]
    assert "Signature is Valid." not in poppler("pdfsig", broken, tmp_path)
    assert re.search(r"Tagged:\s+yes", poppler("pdfinfo", found, tmp_path))


def test_file_reads_back_without_poppler(tmp_path: Path) -> None:
    """A title, landscape pages and one signature, as a PDF library reads them."""
    reader = PdfFileReader(BytesIO(sealed(tmp_path, [row(number) for number in range(100)])))
    assert ["Seal"] == [each.field_name for each in reader.embedded_signatures]
    pages = reader.root["/Pages"]
    assert int(pages["/Count"]) > 1
    box = [float(number) for number in reader.find_page_for_modification(0)[0].get_object()["/MediaBox"]]
    assert box[2] > box[3]


@needs_poppler
@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_report_says_what_its_rows_are_on_every_page(tmp_path: Path, language: Any) -> None:
    """Question, what is counted, position, root; on each page the titles of the columns and the page's number."""
    found = pdf.render(header(), [row(number) for number in range(120)], Look(language, LOOK.zone))
    label = texts.texts(language)["label"]
    (tmp_path / "r.pdf").write_bytes(found)
    pages = poppler("pdftotext", found, tmp_path, "-layout").split("\f")[:-1]
    assert len(pages) >= 3
    for wanted in (label["counts"], label["position"], "0" * 64, "since: 2026-01-01", "acme", label["asked_at"]):
        assert bare(wanted) in bare(pages[0])
    for number, page in enumerate(pages, 1):
        assert bare(f"{label['page']} {number} / {len(pages)}") in bare(page)
    tables = [page for page in pages if "Anna No." in page]
    assert len(tables) >= 2
    assert all("a_boolean" in page for page in tables)
    told = bare(" ".join(pages))
    assert all(f"AnnaNo.{number}" in told for number in range(120))
    assert bare(label["seal"]) in told


@needs_poppler
def test_hostile_texts_are_words(tmp_path: Path) -> None:
    """No markup of the template, no controls; each text stands there as harmless words."""
    told = bare(poppler("pdftotext", pdf.render(header(), [*as_rows(HOSTILE), EMPTY], LOOK), tmp_path, "-raw"))
    for text in (
        "=cmd|'/C calc'!A0",
        "<r><t>x</t></r>",
        "#typst[*markup*]",
        "$x$ @label <label> \\",
        "[U+202E]",
        "[U+001B]",
    ):
        assert bare(text) in told
    assert bare(plain(HOSTILE[0])) in told


@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000,
        "\x01" * 1_000,
        ("\x01" * 3 + "@" * 11 + " ") * 66,
        "\u0301" * 500,
        "\U0001f4e8" * 50,
        "\0\ud800",
        "\u200b" * 100,
    ],
)
def test_text_that_no_page_holds_costs_no_report(text: str) -> None:
    """Long, unbreakable, without a glyph: it is cut or named."""
    assert pdf.render(header(), [row(1, text=text, id=text, list=(text, text), time=text)], LOOK)


@needs_poppler
def test_times_are_those_of_the_readers_zone(tmp_path: Path) -> None:
    """With the offset, since an hour comes twice each autumn; what is no time is shown as it is."""
    rows = [row(1, time="2026-10-25T00:30:00.000000Z"), row(2, time="2026-10-25T01:30:00Z"), row(3, time="soon")]
    found = pdf.render(header(), rows, Look("en", ZoneInfo("Europe/Rome")))
    told = bare(poppler("pdftotext", found, tmp_path, "-raw"))
    for wanted in ("2026-10-25 02:30:00 +02:00", "2026-10-25 02:30:00 +01:00", "soon", "a_time (Europe/Rome)"):
        assert bare(wanted) in told


def test_same_answer_gives_the_same_bytes() -> None:
    """What is written rests on the answer, not on the clock."""
    assert pdf.render(header(), [row(1)], LOOK) == pdf.render(header(), [row(1)], LOOK)


def test_long_answer_is_refused_and_the_formats_that_take_it_are_named(tmp_path: Path) -> None:
    """Before anything is written; of an endless answer no more is read than shows that it is too long."""
    read = 0

    def endless() -> Any:
        nonlocal read
        while True:
            read += 1
            yield row(read)

    write = pdf.writer(lambda: seal.load_or_create(tmp_path), None)
    with pytest.raises(TooLargeError, match=r"more than 2000 rows.*csv, jsonl or xlsx"):
        write(tmp_path / "r.pdf", header(), endless(), LOOK)
    assert (pdf.MAX_ROWS + 1, False) == (read, (tmp_path / "r.pdf").exists())


def test_empty_answer_says_so() -> None:
    """No rows are a result."""
    assert pdf.render(header(), [], LOOK)
