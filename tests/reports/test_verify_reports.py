"""The verifier and reports: what it establishes, what it leaves open, and each line and file that a forger may touch."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.evidence import verify
from ledger import identity, notes
from ops.reports import desk
from ops.system import System
from tests.evidence.packs import ACCEPTED, TO_ANNA, TO_BRUNO, a_ledger, flipped, hand_in, message_of
from tests.reports.kit import made

VOUCHED, BROKEN, OPEN = 0, 1, 3


class Issued(NamedTuple):
    """Reports of one ledger, and what their reader has from elsewhere.

    Attributes:
        signed: a note over any text, by the log's key: what the operator could sign, right or wrong.
    """

    csv: Path
    jsonl: Path
    xlsx: Path
    key: str
    signed: Callable[[str], bytes]


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    """Reports as of a position before the head that they are bound to, so that the proof has something to show."""
    folder = tmp_path_factory.mktemp("reports")
    with a_ledger(folder) as system:
        hand_in(system, folder, ACCEPTED, TO_ANNA)
        asked = {"query": "messages", "parameters": {"messages": [message_of(system)]}}
        for form in ("csv", "jsonl", "xlsx"):
            _grown(system, folder)
            made(system, folder / form, format=form, **asked)
        signed = partial(identity.sign_text, system.identity, system.log_keys)
        return Issued(folder / "csv", folder / "jsonl", folder / "xlsx", system.identity.keys[0].vkey(), signed)


def _grown(system: System, folder: Path) -> None:
    """More events than the read models know of."""
    held, system.runner.models = system.runner.models, ()
    hand_in(system, folder, TO_BRUNO)
    system.accounts.record("access.recorded", "acme", "console", "", {"rule": "access.message"})
    system.runner.models = held


def exit_code(path: Path, *arguments: str) -> int:
    """What the verifier says, run as a stranger runs it: by itself."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", verify.__file__, str(path), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {VOUCHED, BROKEN, OPEN}, done.stderr
    return done.returncode


def outcome(path: Path, issued: Issued) -> verify.Outcome:
    return verify.verify(str(path), verify.Trust(keys=[verify.parse_key(issued.key)]))


def copied(source: Path, to: Path) -> Path:
    return Path(shutil.copytree(source, to / "report"))


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(folder.iterdir()):
            archive.write(each, each.name)
    return path


# --- what holds


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_report_is_vouched_for_by_the_key_of_its_log(issued: Issued, tmp_path: Path, form: str) -> None:
    """With the key from elsewhere it holds, as a folder and as a zip file; without one it is consistent only."""
    folder: Path = getattr(issued, form)
    for path in (folder, zipped(folder, tmp_path / "report.zip")):
        assert VOUCHED == exit_code(path, "--log-key", issued.key)
        assert OPEN == exit_code(path)


def test_report_is_checked_by_the_verifier_that_lies_in_it(issued: Issued) -> None:
    """Without a path it checks its own folder."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(issued.csv / "verify.py"), "--log-key", issued.key, "--json"],
        capture_output=True,
        check=False,
    )
    (told,) = json.loads(done.stdout)
    assert (VOUCHED, VOUCHED) == (done.returncode, told["exit_code"])
    assert told["about"].startswith("Report of acme: messages/1 asked at ")


def test_what_a_report_cannot_show_is_said_and_how_to_see_for_oneself(issued: Issued) -> None:
    """Signed and unchanged is not answered rightly; the last finding stays open and names the command that asks again."""
    found = outcome(issued.csv, issued)
    assert ["holds", "holds", "holds", "holds", "open"] == [finding.result for finding in found.findings]
    assert "answered rightly" in found.findings[-1].text
    assert "delivery-ledger report make messages/1" in found.findings[-1].text


def test_rows_that_are_not_counted_are_said_to_be_so(issued: Issued) -> None:
    """A workbook is what was signed; how many rows it has is the signer's word."""
    found = outcome(issued.xlsx, issued)
    assert (VOUCHED, "open") == (found.exit_code, found.findings[3].result)
    assert "not counted in this format" in found.findings[3].text


def test_kept_checkpoint_alone_does_not_vouch_for_a_manifest(issued: Issued, tmp_path: Path) -> None:
    """It says what the log was; who signed the answer is known by a key only."""
    (tmp_path / "kept").write_bytes((issued.csv / "checkpoint").read_bytes())
    assert OPEN == exit_code(issued.csv, "--checkpoint", str(tmp_path / "kept"))
    assert VOUCHED == exit_code(issued.csv, "--checkpoint", str(tmp_path / "kept"), "--log-key", issued.key)


def test_rows_are_of_an_earlier_state_of_the_same_log(issued: Issued) -> None:
    """The position lies before the checkpoint's size, and hashes lead from one root to the other."""
    lines = notes.parse((issued.csv / "manifest").read_bytes()).text.splitlines()
    assert int(lines[7].removeprefix("position ")) < int(lines[2])
    assert lines[-1].startswith("consistency ")


# --- what is broken


@pytest.mark.parametrize("name", ["report.csv", "header.json", "README.txt", "verify.py", "checkpoint", "manifest"])
def test_changed_byte_in_any_file_breaks_a_report(issued: Issued, tmp_path: Path, name: str) -> None:
    """Rows, header, notes, verifier, checkpoint, manifest: each is covered by a signature."""
    folder = copied(issued.csv, tmp_path)
    (folder / name).write_bytes(flipped((folder / name).read_bytes(), at=3))
    assert BROKEN == outcome(folder, issued).exit_code
    assert BROKEN == outcome(zipped(folder, tmp_path / "r.zip"), issued).exit_code


@pytest.mark.parametrize("name", ["report.csv", "header.json", "README.txt", "verify.py", "checkpoint", "manifest"])
def test_missing_file_breaks_a_report(issued: Issued, tmp_path: Path, name: str) -> None:
    """Each file that the manifest lists must be there, and so must both notes; in a folder without manifest there is no report."""
    folder = copied(issued.csv, tmp_path)
    (folder / name).unlink()
    assert BROKEN == outcome(folder, issued).exit_code
    assert BROKEN == outcome(zipped(folder, tmp_path / "r.zip"), issued).exit_code


def test_longer_file_is_read_no_further_than_the_manifest_says(issued: Issued, tmp_path: Path) -> None:
    """Rows added at the end are seen."""
    folder = copied(issued.csv, tmp_path)
    with (folder / "report.csv").open("ab") as file:
        file.write(b"x" * 100)
    assert "is longer" in outcome(folder, issued).verdict


def _line(manifest: str, word: str) -> str:
    return next(line for line in manifest.splitlines() if line.startswith(word))


TAMPERED = {
    "tenant ": "tenant globex",
    "query ": "query disputed/1",
    "asked at ": "asked at 2026-01-01T00:00:00.000000Z",
    "position ": "position 2",
    "root ": "root " + b64encode(bytes(32)).decode(),
    "rows ": "rows 2",
    "consistency ": "consistency " + b64encode(bytes(32)).decode(),
}


@pytest.mark.parametrize("word", TAMPERED)
@pytest.mark.parametrize("is_signed", [False, True])
def test_each_line_of_the_manifest_is_held_against_something(
    issued: Issued, tmp_path: Path, word: str, *, is_signed: bool
) -> None:
    """By a stranger it breaks the signature; signed by the operator all the same it contradicts the log, the header or the rows."""
    folder = copied(issued.csv, tmp_path)
    note = (folder / "manifest").read_bytes()
    text = notes.parse(note).text
    changed = text.replace(_line(text, word), TAMPERED[word], 1)
    assert text != changed
    (folder / "manifest").write_bytes(
        issued.signed(changed) if is_signed else note.replace(text.encode(), changed.encode())
    )
    assert BROKEN == outcome(folder, issued).exit_code


def test_position_of_another_history_is_refused(issued: Issued, tmp_path: Path) -> None:
    """A root that the log never had is not led to its head by any proof, though the operator signs it."""
    folder = copied(issued.csv, tmp_path)
    text = notes.parse((folder / "manifest").read_bytes()).text
    position = int(_line(text, "position ").removeprefix("position "))
    for other in (0, position - 1, position + 1, 10**9):
        changed = text.replace(f"position {position}\n", f"position {other}\n")
        (folder / "manifest").write_bytes(issued.signed(changed))
        assert "consistency proof" in outcome(folder, issued).verdict


def test_manifest_of_another_key_is_refused(issued: Issued, tmp_path: Path) -> None:
    """A checkpoint of the log beside a manifest that somebody else signed vouches for nothing."""
    folder = copied(issued.csv, tmp_path)
    with a_ledger(tmp_path / "forger") as forger:
        text = notes.parse((folder / "manifest").read_bytes()).text
        (folder / "manifest").write_bytes(desk(forger).sign(text))
    assert "not signed by the key you gave" in outcome(folder, issued).verdict


def resigned(issued: Issued, folder: Path, name: str, data: bytes) -> None:
    """A file replaced, with a manifest that the operator signs: what a careless or lying signer could hand out."""
    old = (folder / name).read_bytes()
    text = notes.parse((folder / "manifest").read_bytes()).text
    told = [f"{hashlib.sha256(each).hexdigest()}  {len(each)}  {name}" for each in (old, data)]
    assert told[0] in text
    (folder / name).write_bytes(data)
    (folder / "manifest").write_bytes(issued.signed(text.replace(told[0], told[1])))


ROW = b"m,9,nobody@nowhere.example,p,a,2026-01-01T00:00:00.000000Z,delivered,,,E5\r\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data + ROW, "has 4 rows, the manifest says 3"),
        (lambda data: data[: data.rindex(b"\r\n", 0, -2) + 2], "has 2 rows, the manifest says 3"),
        (lambda data: data.replace(b"address", b"anybody", 1), "row 0 has other columns"),
        (lambda data: data + b"one,two\r\n", "row 4 has other columns"),
        (lambda _data: b"", "has no row with the names"),
        (lambda data: data + b'"never ended', "not CSV after row 3"),
        (lambda data: data + b"\xff\xfe", "cannot be read"),
    ],
)
def test_rows_are_counted_whoever_signed(
    issued: Issued, tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    """The verifier reads the CSV itself: a row more or less, other columns, no columns, a torn end."""
    folder = copied(issued.csv, tmp_path)
    resigned(issued, folder, "report.csv", change((folder / "report.csv").read_bytes()))
    assert told in outcome(folder, issued).verdict


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data + data.splitlines(keepends=True)[0], "has 4 rows, the manifest says 3"),
        (lambda data: data.replace(b'"address"', b'"anybody"', 1), "line 1 is not a whole object"),
        (lambda data: data[:-1], "line 3 is not a whole object"),
        (lambda data: data + b"[]\n", "line 4 is not a whole object"),
        (lambda data: data.replace(b'{"message"', b'{"message":"x","message"', 1), "a name stands twice"),
    ],
)
def test_lines_are_counted_whoever_signed(
    issued: Issued, tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    """JSON lines as well: each must be a whole object with the columns of the header."""
    folder = copied(issued.jsonl, tmp_path)
    resigned(issued, folder, "report.jsonl", change((folder / "report.jsonl").read_bytes()))
    assert told in outcome(folder, issued).verdict


@pytest.mark.parametrize("name", ["tenant", "query", "asked_at", "position", "root", "rows"])
def test_header_says_what_the_manifest_says(issued: Issued, tmp_path: Path, name: str) -> None:
    """Two statements about one answer, side by side, must be one."""
    folder = copied(issued.csv, tmp_path)
    header = json.loads((folder / "header.json").read_bytes())
    resigned(issued, folder, "header.json", json.dumps({**header, name: "another"}).encode())
    assert f"{name} is another; the manifest says" in outcome(folder, issued).verdict


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "manifest", "checkpoint", "a/b"])
def test_manifest_names_no_file_outside_its_folder(issued: Issued, tmp_path: Path, name: str) -> None:
    """A name that leads elsewhere is no name, whoever signed it."""
    folder = copied(issued.csv, tmp_path)
    text = notes.parse((folder / "manifest").read_bytes()).text
    (folder / "manifest").write_bytes(issued.signed(text.replace("  report.csv", f"  {name}")))
    assert "not the manifest of a report" in outcome(folder, issued).verdict


def test_link_in_the_place_of_a_file_is_refused(issued: Issued, tmp_path: Path) -> None:
    """What lies elsewhere was not handed out."""
    folder = copied(issued.csv, tmp_path)
    (folder / "report.csv").rename(tmp_path / "elsewhere")
    (folder / "report.csv").symlink_to(tmp_path / "elsewhere")
    assert "is no plain file" in outcome(folder, issued).verdict


def test_name_that_stands_twice_in_a_container_is_refused(issued: Issued, tmp_path: Path) -> None:
    """One program would show the first, another the second."""
    path = zipped(issued.csv, tmp_path / "r.zip")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("report.csv", b"other")
    assert "stands twice" in outcome(path, issued).verdict


def test_file_beside_a_report_is_told(issued: Issued, tmp_path: Path) -> None:
    """What the manifest does not list is no part of the report; the verifier names it, in a folder and in a zip file."""
    folder = tmp_path / "report"
    shutil.copytree(issued.csv, folder)
    (folder / "report2.csv").write_text("smuggled")
    with zipfile.ZipFile(tmp_path / "report.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    trust = verify.Trust(keys=(verify.parse_key(issued.key),))
    for path in (folder, tmp_path / "report.zip"):
        told = [f.text for f in verify.verify(str(path), trust).findings if f.result == "open"]
        assert any("report2.csv" in text for text in told), path
