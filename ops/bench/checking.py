"""How fast a ledger is checked: the full check beside the database, the one-file verifier away from it, and proofs of single events.

The verifier is measured as a stranger runs it: a program of its own, its start included. What it and the full check use of memory is
the most that any one of their processes held.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from uuid_utils import uuid7

from adapters.evidence import verify
from ledger import exports, fsck, notes, proofs
from ledger.appender import Item
from ledger.application import Ledger, digest_value
from ledger.checkpoints import Checkpoint, SignedHead
from ledger.commitments import to_text
from ledger.events import Event
from ledger.tree import Frontier, leaf_hash
from ops.bench.contract import Bench, Measure
from ops.bench.filling import filled
from ops.bench.load import TENANT, WHOLE, Events, database_url, opened
from ops.bench.machine import peak_mib

ORIGIN = "bench.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes([4]) * 32)
PROOF_TIMES = 10
"""How many times as many events as the scale's stand below a proof."""
PROOFS = 300
COPIED = 100_000
DISCLOSED = 10_000
MIB = 1 << 20
ORIGINAL_BYTES = MIB
ORIGINALS_PER_EVENTS = 2_000
"""A full scale has 500 originals of a mebibyte, the least about one."""


# --- the full check


def fsck_per_s(kind: str) -> Measure:
    """Events a second of a check that opens everything: sealed values, commitments, originals."""
    return partial(_fsck_per_s, kind)


def _fsck_per_s(kind: str, bench: Bench) -> float:
    return _checked(filled(bench, kind), bench.folder)[0]


def fsck_lean_per_s(kind: str) -> Measure:
    """The same where each event has one row of values and no original."""
    return partial(_fsck_lean_per_s, kind)


def _fsck_lean_per_s(kind: str, bench: Bench) -> float:
    return _checked(_lean(bench, kind), bench.folder)[0]


def fsck_memory(bench: Bench) -> float:
    """MiB that the largest process of a check held."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_checked, filled(bench, "postgresql"), bench.folder).result()[1]


def _checked(url: str, folder: Path) -> tuple[float, float]:
    with opened(url, folder) as ledger:
        begun = time.perf_counter()
        verdict = fsck.check(ledger)
        spent = time.perf_counter() - begun
    if not verdict.is_clean:
        raise AssertionError(verdict.problems[0])
    return verdict.size / spent, max(peak_mib(), getrusage(RUSAGE_CHILDREN).ru_maxrss / 1024)


def _lean(bench: Bench, kind: str) -> str:
    """A ledger whose events have one row of values each."""
    name = f"lean/{kind}"
    if name not in bench.kept:
        url = database_url(bench, kind)
        with opened(url, bench.folder) as ledger:
            events = Events(ledger, bench.scale.streams, bench.random("streams"))
            while ledger.head().size < bench.scale.events:
                ledger.append(events.batch(min(1_000, bench.scale.streams)))
        bench.kept[name] = url
    return bench.kept[name]


# --- originals


def sequential_read(bench: Bench) -> float:
    """Seconds to read the files of the originals, none of it in memory before."""
    paths = _originals(bench)[1]
    begun = time.perf_counter()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(MIB):
                pass
    return time.perf_counter() - begun


def fsck_originals(bench: Bench) -> float:
    """Seconds to read, open, unpack and digest the same originals."""
    url, _ = _originals(bench)
    with opened(url, bench.folder / "originals") as ledger:
        begun = time.perf_counter()
        verdict = fsck.check(ledger)
        spent = time.perf_counter() - begun
    if not verdict.is_clean:
        raise AssertionError(verdict.problems[0])
    return spent


def _originals(bench: Bench) -> tuple[str, list[Path]]:
    """A ledger with originals that are files; the files are dropped from memory."""
    folder = bench.folder / "originals"
    if "originals" not in bench.kept:
        url, random = database_url(bench, "sqlite"), bench.random("originals")
        with opened(url, folder) as ledger:
            for _ in range(max(2, bench.scale.events // ORIGINALS_PER_EVENTS)):
                _add_original(ledger, random.randbytes(ORIGINAL_BYTES))
        bench.kept["originals"] = url
    paths = sorted(path for path in (folder / "artifacts").glob("*/*"))
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    return bench.kept["originals"], paths


def _add_original(ledger: Ledger, body: bytes) -> None:
    stream = str(uuid7())
    row, key = ledger.new_key(stream, WHOLE)
    original = ledger.seal_original(key, body, "application/pdf")
    digest = digest_value(body, "application/pdf", "", "body")
    clear = {"artifacts": [original.artifact_id]}
    draft = ledger.draft("evidence.ingested", TENANT, stream, clear, [(key, {"artifact.0": digest})])
    ledger.append(Item([draft], keys=[row], artifacts=[(0, original)]))


# --- the one-file verifier


def verify_s(bench: Bench) -> float:
    """Seconds from the start of the verifier to its verdict on an export of the whole log."""
    export = _exported(bench)
    begun = time.perf_counter()
    _verified(export)
    return time.perf_counter() - begun


def verify_opened_s(bench: Bench) -> float:
    """Seconds for the same, and for opening every committed value with its salt, a pack's worth at a time."""
    spent = verify_s(bench)
    gc.disable()  # as the command does
    with opened(_lean(bench, "postgresql"), bench.folder) as ledger:
        for after in range(0, ledger.head().size, DISCLOSED):
            spent += _opening_s(ledger, ledger.between(after, after + DISCLOSED))
    gc.enable()
    return spent


def _opening_s(ledger: Ledger, events: Sequence[Event]) -> float:
    shown = ledger.disclosures(events)
    numbers = {event.position: f"{number:04}" for number, event in enumerate(events, 1)}
    said = {
        numbers[position]: {path: {"salt": to_text(each.salt), "value": each.value} for path, each in fields.items()}
        for position, fields in shown.items()
    }
    disclosures = json.dumps({"format": verify.DISCLOSURES_FORMAT, "events": said}).encode()
    check = verify.Check({"disclosures.json": disclosures}, verify.Trust(), "")
    check.events = [verify.Event(numbers[e.position], "", e.position - 1, dict(e.fields)) for e in events]
    begun = time.perf_counter()
    check._check_disclosures()  # noqa: SLF001  this check alone, of those of a pack
    return time.perf_counter() - begun


def verify_memory(bench: Bench) -> float:
    """MiB that the largest process of the verifier held."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_memory_of_verifier, _exported(bench)).result()


def _memory_of_verifier(folder: Path) -> float:
    _verified(folder)
    return getrusage(RUSAGE_CHILDREN).ru_maxrss / 1024


def _verified(folder: Path) -> None:
    key = notes.NoteKey(ORIGIN, notes.public_of(KEY)).vkey()
    subprocess.run([sys.executable, verify.__file__, str(folder), "--log-key", key], check=True, capture_output=True)


def _exported(bench: Bench) -> Path:
    """An export of all events, signed by a key of the bench."""
    folder = bench.folder / "export"
    if "export" not in bench.kept:
        with opened(_lean(bench, "postgresql"), bench.folder) as ledger:
            exports.write(ledger, folder, _signed(ledger), _sign)
        bench.kept["export"] = str(folder)
    return folder


def _sign(text: str) -> bytes:
    return notes.sign(text, [(ORIGIN, KEY)])


def _signed(ledger: Ledger) -> SignedHead:
    head = ledger.head()
    checkpoint = Checkpoint(ORIGIN, head.size, head.root)
    return SignedHead(checkpoint, _sign(checkpoint.text()))


# --- proofs


def proof_ms(bench: Bench) -> float:
    """Milliseconds for the proof of one event of a large log; all of them are the figure's samples."""
    return statistics.median(_proofs(bench)[0])


def proof_bytes(bench: Bench) -> float:
    """Bytes of the largest of those proofs."""
    return max(_proofs(bench)[1])


def _proofs(bench: Bench) -> tuple[list[float], list[int]]:
    with opened(_tall(bench), bench.folder) as ledger:
        head, random = _signed(ledger), bench.random("proofs")
        spent, sizes = [], []
        for _ in range(PROOFS):
            position = random.randint(1, head.checkpoint.size)
            begun = time.perf_counter()
            proof = proofs.of_position(ledger, position, head.note)
            spent.append((time.perf_counter() - begun) * 1000)
            sizes.append(len(proof))
            proofs.verify(b"%d" % position, proof, [notes.NoteKey(ORIGIN, notes.public_of(KEY))])
    bench.samples["proof"] = spent
    return spent, sizes


def _tall(bench: Bench) -> str:
    """A log on PostgreSQL with many short leaves, true hashes above them and nothing beside them."""
    if "tall" not in bench.kept:
        url = database_url(bench, "postgresql")
        with opened(url, bench.folder) as ledger:
            ledger.close()
        frontier, size = Frontier(), bench.scale.events * PROOF_TIMES
        with psycopg.connect(url) as connection:
            for begin in range(0, size, COPIED):
                _copy_leaves(connection, frontier, range(begin + 1, min(size, begin + COPIED) + 1))
                connection.commit()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
        bench.kept["tall"] = url
    return bench.kept["tall"]


def _copy_leaves(connection: psycopg.Connection[Any], frontier: Frontier, positions: range) -> None:
    rows, tiles = [], []
    for position in positions:
        leaf = b"%d" % position
        hashed = leaf_hash(leaf)
        tiles += frontier.add(hashed)
        rows.append((position, "bench", position, "bench/1", leaf, hashed))
    connection.execute("INSERT INTO heads VALUES (%s, %s, 0)", (frontier.size, frontier.root()))
    _copy(connection, "stored_events", ("int8", "text", "int8", "text", "bytea", "bytea"), rows)
    _copy(connection, "tile_hashes", ("int2", "int8", "bytea"), tiles)


def _copy(connection: psycopg.Connection[Any], table: str, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as into:
        into.set_types(types)
        for row in rows:
            into.write_row(row)
