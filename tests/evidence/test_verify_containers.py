"""The verifier against hostile containers and files, and exports of the log in bulk."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.evidence import container, verify
from adapters.evidence.verify import EXIT_BROKEN, EXIT_OPEN, EXIT_USAGE, EXIT_VOUCHED, Trust
from ledger import exports, notes
from ledger.checkpoints import Checkpoint
from ledger.exports import Choice
from tests.evidence.packs import (
    ACCEPTED,
    TENANT,
    TO_ANNA,
    TO_BRUNO,
    Story,
    a_ledger,
    flipped,
    forged,
    hand_in,
    tell,
    unpacked,
    written,
)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("story"))


def verdict(folder: Path, data: bytes) -> str:
    path = folder / "hostile.asice"
    path.write_bytes(data)
    found = verify.verify(str(path), Trust())
    assert EXIT_BROKEN == found.exit_code
    return found.verdict


def zipped(entries: list[tuple[str, bytes]], *, kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries:
            archive.writestr(
                zipfile.ZipInfo(name, container.TIME), data, kind if name != "mimetype" else zipfile.ZIP_STORED
            )
    return buffer.getvalue()


# --- containers


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "a/../../b", "a//b", "C:\\x", "a\\b", "receipts/\x1b[2J", "x" * 300]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever unpacks a verified pack is led nowhere."""
    assert "may lead outside" in verdict(tmp_path, zipped([("mimetype", container.MIME_TYPE), (name, b"")]))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_doubled_member_is_refused(story: Story, tmp_path: Path) -> None:
    """One name has one content, whichever program reads it."""
    entries = [*story.members.items(), ("report.pdf", b"another report")]
    assert "report.pdf: stands twice" in verdict(tmp_path, zipped(entries))


def test_bytes_between_members_are_refused(story: Story, tmp_path: Path) -> None:
    """A member that only a streaming program sees cannot hide."""
    data = container.write(story.members)
    hidden = zipped([("report.pdf", b"another report")])
    start = hidden.index(b"PK\1\2")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        end = archive.start_dir
    moved = data[:end] + hidden[:start] + data[end:-6] + struct.pack("<L", end + start) + b"\0\0"
    assert "bytes that belong to no member" in verdict(tmp_path, moved)
    assert "hidden bytes" in verdict(tmp_path, b"#!/bin/sh\n" + data)


def test_a_zip_bomb_is_refused_before_it_unfolds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays below the limits, whatever a header promises."""
    monkeypatch.setattr(verify, "MAX_MEMBER_BYTES", 1_000_000)
    bomb = zipped([("mimetype", container.MIME_TYPE), ("README.txt", bytes(5_000_000))], kind=zipfile.ZIP_DEFLATED)
    assert "README.txt: too large" in verdict(tmp_path, bomb)
    monkeypatch.setattr(verify, "MAX_MEMBERS", 1)
    assert "2 members; at most 1" in verdict(tmp_path, bomb)


def test_a_directory_that_would_fill_memory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of a pack nor of what might be a report: it is refused by what the archive says of itself."""
    monkeypatch.setattr(verify, "MAX_DIRECTORY_BYTES", 100)
    told = verdict(tmp_path, zipped([("mimetype", b"x"), *((f"{n}", b"") for n in range(10))]))
    assert "a directory of" in told


def test_a_container_that_is_none_is_refused(story: Story, tmp_path: Path) -> None:
    """Any bytes end in a verdict, never in a trace."""
    data = container.write(story.members)
    for hostile in (
        b"",
        b"PK",
        b"%PDF-1.7",
        data[:-30],
        data[: len(data) // 2],
        flipped(data, 200),
        flipped(data, len(data) - 28),
    ):
        verdict(tmp_path, hostile)
    assert "mimetype" in verdict(tmp_path, zipped([("a", b""), ("mimetype", container.MIME_TYPE)]))
    assert "is missing" in verdict(tmp_path, zipped([]))


def test_damaged_compression_is_refused(story: Story, tmp_path: Path) -> None:
    """A stream that does not inflate, or not to its checksum."""
    data = zipped(list(story.members.items()), kind=zipfile.ZIP_DEFLATED)
    verdict(tmp_path, flipped(data))


def test_a_repacked_pack_is_still_good(story: Story, tmp_path: Path) -> None:
    """Compression by another program changes nothing that counts."""
    path = tmp_path / "again.asice"
    path.write_bytes(zipped(list(story.members.items()), kind=zipfile.ZIP_DEFLATED))
    assert EXIT_VOUCHED == verify.verify(str(path), story.trust()).exit_code


def test_a_link_in_an_unpacked_pack_is_refused(story: Story, tmp_path: Path) -> None:
    """A folder shows its own files and no others."""
    folder = unpacked(tmp_path, story.members)
    (folder / "report.pdf").unlink()
    (folder / "report.pdf").symlink_to("/etc/passwd")
    assert "report.pdf: a link" in verify.verify(str(folder), Trust()).verdict


# --- files of a pack


@pytest.mark.parametrize("member", ["trail.json", "disclosures.json", "artifacts.json"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":1,"a":2}',
        b'{"format":1e999}',
        b'{"format":' + b"9" * 100_000 + b"}",
        b"null",
        b'"\\ud800"',
        b'{"format":"delivery-ledger-trail/1","message":"m","streams":{},"recipients":null,"tree_size":7}',
        b'{"format":"delivery-ledger-disclosures/1","events":{"0002":{"subject":{"salt":"\\u00e9","value":[]}}}}',
        b'[{"artifact":[],"event":{}}]',
    ],
)  # fmt: skip
def test_hostile_json_is_refused(story: Story, tmp_path: Path, member: str, data: bytes) -> None:
    """Depth, size, doubled names, fractions and wrong shapes end in a verdict that names the file."""
    found = verify.verify(written(tmp_path, forged(story.members, {member: data})), story.trust())
    assert EXIT_BROKEN == found.exit_code
    assert member in found.verdict or "log/trail-head" in found.verdict


@pytest.mark.parametrize("index", ["-1", "+4", "04", "9" * 30, "1e3", "\u0664", ""])
def test_a_hostile_index_is_refused(story: Story, tmp_path: Path, index: str) -> None:
    """A number has one spelling."""
    proof = story.members["proofs/0003.tlog-proof"].replace(b"index 4", f"index {index}".encode())
    found = verify.verify(written(tmp_path, forged(story.members, {"proofs/0003.tlog-proof": proof})), story.trust())
    assert "proofs/0003.tlog-proof" in found.verdict


@pytest.mark.parametrize(
    "change",
    [
        lambda xml: xml.replace(b"<asic:ASiC", b'<!DOCTYPE x [<!ENTITY a "b">]><asic:ASiC', 1),
        lambda xml: xml.replace(b"xmlenc#sha256", b"xmldsig#sha1", 1),
        lambda xml: xml[:-20],
        lambda _: b"\xff\xfe<\0a\0/\0>\0",
    ],
    ids=["doctype", "sha1", "cut", "utf16"],
)
def test_a_hostile_manifest_is_refused(story: Story, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """Nothing expands, no weak digest is taken."""
    members = forged(story.members, {verify.MANIFEST: change(story.members[verify.MANIFEST])})
    found = verify.verify(written(tmp_path, members), story.trust())
    assert f"{verify.MANIFEST}: cannot be read" in found.verdict


# --- exports


class Exported:
    """A ledger's exports, and the key its reader has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with a_ledger(folder) as system:
            hand_in(system, folder, ACCEPTED, TO_ANNA)
            self.kept = system.signed_head()
            hand_in(system, folder, TO_BRUNO)
            head = system.signed_head()
            self.key = verify.parse_key(system.identity.keys[0].vkey())
            signers = [(system.identity.origin, key) for key in system.log_keys]

            def sign(text: str) -> bytes:
                return notes.sign(text, signers)

            exports.write(system.ledger, folder / "whole", head, sign)
            exports.write(system.ledger, folder / "tenant", head, sign, choice=Choice(tenant=TENANT))
            exports.write(system.ledger, folder / "types", head, sign, choice=Choice(types=("content.consigned",)))
            exports.write(system.ledger, folder / "later", head, sign, after=self.kept.checkpoint.size)

    def verify(self, name: str, *, key: bool = True) -> verify.Outcome:
        return verify.verify(str(self.folder / name), Trust(keys=[self.key] if key else []))


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    return Exported(tmp_path)


@pytest.mark.parametrize("name", ["whole", "tenant", "types", "later"])
def test_an_export_is_checked_without_the_ledger(exported: Exported, name: str) -> None:
    """The events and the leaf hashes of what was left out close the signed root; a key from elsewhere vouches."""
    assert EXIT_VOUCHED == exported.verify(name).exit_code
    assert EXIT_OPEN == exported.verify(name, key=False).exit_code
    other = Trust(keys=[verify.Key(exported.key.name, 1, bytes(32))])
    assert EXIT_BROKEN == verify.verify(str(exported.folder / name), other).exit_code


@pytest.mark.parametrize("name", ["whole", "tenant", "types", "later"])
@pytest.mark.parametrize("member", ["events.jsonl", "left-out.txt", "checkpoint", "manifest"])
def test_a_changed_byte_of_an_export_is_refused(exported: Exported, name: str, member: str) -> None:
    """Also where the digests in the manifest were made to fit, and the reader has only a checkpoint."""
    path = exported.folder / name / member
    data = path.read_bytes()
    if not data:
        assert member == "left-out.txt"
        return
    path.write_bytes(flipped(data))
    assert EXIT_BROKEN == exported.verify(name).exit_code
    if member in {"events.jsonl", "left-out.txt"}:
        manifest = exported.folder / name / "manifest"
        old, new = (hashlib.sha256(each).hexdigest().encode() for each in (data, path.read_bytes()))
        manifest.write_bytes(manifest.read_bytes().replace(old, new))
        kept = verify.parse_checkpoint("kept", (exported.folder / name / "checkpoint").read_bytes())
        assert EXIT_BROKEN == verify.verify(str(exported.folder / name), Trust(kept=kept)).exit_code


def test_a_missing_file_of_an_export_is_named(exported: Exported) -> None:
    """An export is four files."""
    (exported.folder / "whole" / "left-out.txt").unlink()
    assert "left-out.txt: is missing" in exported.verify("whole").verdict


def test_an_export_is_read_by_several_processes_like_by_one(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How the lines are shared out changes nothing."""
    monkeypatch.setattr(verify, "SERIAL_BYTES", 0)
    monkeypatch.setattr(verify, "BLOCK_BYTES", 3_000)
    assert EXIT_VOUCHED == exported.verify("whole").exit_code


GOOD = b'{"stream":"s","version":1}'
ODD: dict[str, tuple[list[bytes], bool]] = {
    "two lines that are one object together": ([b'{"stream":"s",', b'"version":1}'], False),
    "two objects on a line": ([GOOD + GOOD], False),
    "no object": ([GOOD, b"[]"], False),
    "no version": ([GOOD, b'{"stream":"s"}'], False),
    "no UTF-8": ([GOOD, b'{"stream":"\xff","version":1}'], False),
    "an empty line": ([GOOD, b""], False),
    "too deep": ([b"[" * 60_000], False),
    "a version in quotes": ([b'{"stream":"s","version":"1"}'], True),
    "spaces around it": ([b" " + GOOD + b" "], True),
}


@pytest.mark.parametrize("what", ODD)
def test_a_line_that_is_no_event_is_told_however_lines_are_read(tmp_path: Path, what: str) -> None:
    """Lines are read many at once; what one of them alone would not pass does not pass so."""
    lines, is_event = ODD[what]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    (read,) = verify._read_lines(path, hashlib.sha256())  # noqa: SLF001  what an export is read with
    assert is_event == (not read[3])
    assert "is not an event" in read[3] or (["s"], [1]) == read[1:3]


def test_a_hole_in_a_stream_is_found_in_an_export(tmp_path: Path) -> None:
    """A log that its keeper wrote with a hole is told from one without, though every proof holds."""
    folder = tmp_path / "holed"
    folder.mkdir()
    lines = [json.dumps({"stream": "s", "version": version}).encode() for version in (1, 3)]
    root = verify.node_hash(*(verify.leaf_hash(line) for line in lines))
    (folder / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (folder / "left-out.txt").write_bytes(b"")
    digests = tuple(hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in ("events.jsonl", "left-out.txt"))
    head = Checkpoint("o", 2, root)
    key = Ed25519PrivateKey.generate()
    (folder / "checkpoint").write_bytes(notes.sign(head.text(), [("o", key)]))
    manifest = exports.Manifest(head, 0, 2, 0, Choice().text(), (digests[0], digests[1]), ())
    (folder / "manifest").write_bytes(notes.sign(manifest.text(), [("o", key)]))
    assert "version 3 of stream s after 1" in verify.verify(str(folder), Trust()).verdict


def test_what_is_not_there_is_a_wrong_command(tmp_path: Path) -> None:
    """A mistyped path is no verdict on anybody's evidence."""
    assert EXIT_USAGE == verify.main([str(tmp_path / "nothing.asice")])
    assert EXIT_USAGE == verify.main([str(tmp_path), "--policy", str(tmp_path / "nothing")])
