"""Somebody who was erased is found nowhere any more, by whatever means; somebody who was not is found by the same means.

What is searched: every column of every table, every file (on SQLite the database's own, with its write-ahead log and free pages), the
heads and the journal outside the database, whatever the keys that are left open, what the API and the command line answer, and what is
handed out afterwards. What PostgreSQL's own files and its write-ahead log hold of deleted rows until they are written over is what a
backup holds: sealed bytes, and their keys wrapped by a key-encryption key; both end with that.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.compliance import people
from adapters.erasing.finding import Subject
from adapters.evidence import verify
from adapters.evidence.pack import Ask, Pack
from adapters.evidence.verify import EXIT_VOUCHED, Trust
from adapters.http.routes import JSON, NO_KEY
from adapters.http.table import ROUTES
from ledger import fsck, proofs
from ledger.errors import ConfigurationError
from ledger.rewrapping import rewrap
from ledger.sealing import Keyring
from ops import keyfiles
from ops.erasing import eraser
from ops.system import System
from projections.searching import Filters
from tests.adapters.conftest import Api, serving
from tests.adapters.test_http_matrix import ANY
from tests.adapters.test_http_schema import ALL, Known
from tests.evidence.packs import desk, members_of, written
from tests.flow.living import HER_PHONE, HERS, OTHER_MARKS, OTHERS, OTHERS_PHONE, TENANT, live
from tests.flow.planting import IDENT, MAIL, PERSON, PHONE, betrayed, needles
from tests.flow.traces import Asked, Haystack, Places, opened, plain_digests, stored, unfolded
from tests.postgres import Database
from tests.proof.kit import Installation
from tests.proof.test_log_cli import Shell, shell

__all__ = ["shell"]  # a fixture

HERSELF = {name: text for name, text in PERSON.items() if text != IDENT}
"""Without what stands for the ids that providers gave: those of batches are nobody's, and stay."""
HER_MAILS = re.compile(rb"(?i)[\w.+-]*" + re.escape(MAIL.encode()) + rb"[\w.+-]*@[\w.-]+\w")
HER_PHONES = re.compile(rb"(?:\+|00|\b)49" + PHONE.encode() + rb"\d\d\b")
OBJECT = re.compile(r"(?=.*\d)[^<>]{12,}", re.DOTALL)
"""A provider's id of what a duplicate is of: long, with a digit in it."""
CANDIDATES = {"sqlite": 500_000, "postgresql": 50_000}
"""Telephone numbers, and as many e-mail addresses; the columns are the same on either."""
SIGN = 48
"""So many bytes of something sealed tell it from all else."""
SHOWN = 3
"""Of each kind of id, so many are asked for."""
REASON = "asked for under article 17"


@pytest.fixture
def installation(database: Database, tmp_path: Path) -> Installation:
    """A ledger with its keys and heads, on each kind of database."""
    mail = {"smtp_url": "smtp://127.0.0.1:9", "smtp_from": "reports@ledger.example"}
    return Installation(database, tmp_path / "ledger", keep_payloads_h=24, tenant=TENANT, **mail)


def erase(system: System) -> None:
    """Erase her by every address that is known of her, by those that are found, and in messages that only name her."""
    known = set[Subject]()
    for subjects in (_recipients, _named, _messages, _named):
        known -= {Subject(recipient=HERS, kind="email")}  # asked again: what was shared is hers alone by now
        while new := set(subjects(system)) - known:
            known |= new
            erasing = eraser(system)
            for subject in sorted(new, key=repr):
                erasing.carry_out(TENANT, erasing.ask(TENANT, subject, REASON).erasure)
    system.runner.run()


def _recipients(system: System) -> Iterator[Subject]:
    """Whoever is sent to but the other one."""
    found = system.queries.search(TENANT, Filters(), "", 500).deliveries
    addresses = (view.address for view in found if view.address.address not in {"", OTHERS, OTHERS_PHONE})
    yield from (Subject(recipient=address.address, kind=address.kind) for address in addresses)


def _named(system: System) -> Iterator[Subject]:
    """What is hers in whatever can be read."""
    said = b"\n".join(part for place in opened(system, TENANT).values() for part in unfolded(place))
    yield Subject(recipient=HERS, kind="email")
    yield from (Subject(recipient=found.decode(), kind="email") for found in HER_MAILS.findall(said))
    yield from (Subject(recipient=found.decode(), kind="phone") for found in HER_PHONES.findall(said))


def _messages(system: System) -> Iterator[Subject]:
    """Messages that have no recipient: she is named in them, or they belong to a batch that names her."""
    reads = system.ledger.database
    gone = {str(stream) for (stream,) in reads.read("SELECT stream FROM read_erasures WHERE recipient < 0")}
    sent = {str(message) for (message,) in reads.read("SELECT message FROM read_deliveries")}
    for (message,) in reads.read("SELECT message FROM read_messages"):
        if message not in gone | sent:
            yield Subject(message=str(message))


def found_in(
    places: Places, marks: dict[str, str], unfold: Callable[[bytes], Iterable[bytes]] = unfolded
) -> dict[str, set[str]]:
    """Where which mark stands, in any spelling."""
    wanted = needles(dict(marks))
    found = {where: {n for part in unfold(data) for n in betrayed(part, wanted)} for where, data in places.items()}
    return {where: names for where, names in found.items() if names}


def as_it_is(data: bytes) -> Iterable[bytes]:
    return (data,)


class Proof(NamedTuple):
    """What was handed out before: packs, heads, and proofs of what is about her."""

    packs: list[Pack]
    trust: Trust
    inclusions: dict[int, bytes]
    root: str
    size: int


def handed_out(system: System) -> Proof:
    """Packs of three of her messages, and the proofs of everything."""
    messages = [view.message for view in system.queries.search(TENANT, Filters(recipient=HERS)).deliveries[:SHOWN]]
    packs = [desk(system).issue(Ask(tenant=TENANT, message=message, reason="kept")) for message in messages]
    head = system.signed_head()
    events = system.ledger.feed(0, 100_000)[:: SHOWN * 10]
    inclusions = {e.position: proofs.of_position(system.ledger, e.position, head.note) for e in events}
    trust = Trust(keys=[verify.parse_key(system.identity.keys[0].vkey())])
    return Proof(packs, trust, inclusions, head.checkpoint.root.hex(), head.checkpoint.size)


def still_holds(system: System, proof: Proof, folder: Path) -> None:
    """Packs verify, proofs are the same bytes, and the newer tree continues the older one."""
    for pack in proof.packs:
        outcome = verify.verify(written(folder, members_of(pack.data)), proof.trust, "")
        assert EXIT_VOUCHED == outcome.exit_code, outcome.findings
    ledger, head = system.ledger, system.signed_head()
    assert proof.root == ledger.root_at(proof.size).hex()
    assert head.checkpoint.size > proof.size
    for position in proof.inclusions:
        assert ledger.inclusion_proof(position, proof.size)
    assert ledger.consistency_proof(proof.size, head.checkpoint.size)
    assert [] == fsck.check(ledger, system.heads).problems


class Sealed(NamedTuple):
    """What a key seals, by the first bytes of each: a long cell goes over several pages of a file."""

    wrapped: bytes
    cells: frozenset[bytes]

    def opens_from(self, files: bytes) -> bool:
        """Whether who has the key-encryption key could open something of it with what these files hold."""
        return self.wrapped in files and any(cell in files for cell in self.cells)


def sealed(system: System) -> dict[bytes, Sealed]:
    """By key, whatever it seals."""
    reads = system.ledger.database.read
    cells: dict[bytes, set[bytes]] = {}
    for table in ("sealed_values", "artifacts"):
        for key, cell in reads(f"SELECT key_id, sealed FROM {table} WHERE sealed IS NOT NULL"):
            cells.setdefault(bytes(key), set()).add(bytes(cell)[:SIGN])
    wrapped = {bytes(key): bytes(cell)[:SIGN] for key, cell in reads("SELECT key_id, wrapped FROM person_keys")}
    return {key: Sealed(cell, frozenset(cells.get(key, ()))) for key, cell in wrapped.items()}


@pytest.mark.slow(reason="everything that there is is opened and unpacked")
def test_an_erased_person_is_nowhere(installation: Installation, tmp_path: Path) -> None:
    """In no column, no file and nothing that opens, and what was proven is as it was; the other one is there."""
    with installation.opened() as system:
        live(system, tmp_path / "left")
        before, cells, proof = opened(system, TENANT), sealed(system), handed_out(system)
        assert {"values", "originals", "sends", "quarantine", "tasks", "results"} == set(
            found_in(before, PERSON, as_it_is)
        )
        erase(system)
        left, places = opened(system, TENANT), stored(system, installation.folder.parent)
        places = {name: data for name, data in places.items() if not name.startswith("file left/")}
        assert {} == found_in(left, HERSELF)
        assert {} == found_in(places, PERSON, as_it_is)
        assert set(OTHER_MARKS) == found_in(left, OTHER_MARKS)["values"]
        still_holds(system, proof, tmp_path)
        if installation.database.kind == "sqlite":
            files, still = b"".join(data for name, data in places.items() if ".sqlite" in name), sealed(system)
            gone = [each for key, each in cells.items() if key not in still]
            assert len(gone) > len(cells) / 2
            assert not any(each.opens_from(files) for each in gone)
            assert all(each.wrapped in files for each in still.values())


@pytest.mark.slow(reason="a million candidates")
def test_no_candidate_hits(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million numbers and addresses, hers among them: no digest of them that the ledger makes, or anybody can, is left; the other's is.

    The keyed digests are those that were really asked for while she was everywhere. Keys of duplicates stay: whoever tries candidates
    against them must know the provider's id of her message, and its time, which are erased.
    """
    asked = Asked({HERS: "<email>", HER_PHONE: "<phone>"})
    for method in ("lookup", "duplicate"):
        monkeypatch.setattr(Keyring, method, asked.noting(method))
    with installation.opened() as system:
        live(system, tmp_path / "left")
        before = Haystack(stored(system, installation.folder).values())
        erase(system)
        after = Haystack(stored(system, installation.folder).values())
        monkeypatch.undo()
        families = [shape for method, shape in asked.shapes if method == "lookup"]
        others = [shape for method, shape in asked.shapes if method == "duplicate"]
        assert [] == [shape for shape in others if not any(OBJECT.fullmatch(str(part)) for part in shape)]
        keyring = system.ledger.keyring
    hits = {
        (text, before.has(each))
        for text in (HERS, HER_PHONE, OTHERS, OTHERS_PHONE)
        for each in _digests(keyring, families, text)
    }
    assert {HERS, HER_PHONE, OTHERS, OTHERS_PHONE} == {text for text, is_hit in hits if is_hit}
    found = {
        text
        for text in _candidates(CANDIDATES[installation.database.kind])
        if any(map(after.has, _digests(keyring, families, text)))
    }
    assert {OTHERS, OTHERS_PHONE} == found


def _candidates(count: int) -> Iterator[str]:
    country, number = HER_PHONE[:8], int(HER_PHONE[8:])
    yield from (f"{country}{each:06}" for each in range(number - count // 2, number + count // 2))
    yield from (HERS, OTHERS)
    yield from (f"{MAIL}{each}@post.example" for each in range(count))


def _digests(keyring: Keyring, families: Iterable[tuple[object, ...]], text: str) -> Iterator[bytes]:
    """What the ledger makes of an address of this kind, and what anybody can make of it."""
    mark = "<email>" if "@" in text else "<phone>"
    for shape in families:
        if mark in shape:
            yield keyring.lookup(*[text if part == mark else str(part) for part in shape])
    yield from plain_digests(text)


async def test_no_answer_and_nothing_handed_out_tells_of_her(installation: Installation, tmp_path: Path) -> None:
    """Every route that only reads, with every id that answers told; her own name in a question finds nothing."""
    with installation.opened() as system:
        live(system, tmp_path / "left")
        erase(system)
        async with serving(system) as api:
            api.tenant = TENANT
            answers = [answer async for answer in _answers(api)]
            told = await api.call("POST /v1/search", json={"recipient": HERS}, scopes=ALL)
            assert [] == told.json["deliveries"]
        assert len(answers) > len(ROUTES) / 2
        assert {} == found_in(dict(answers), HERSELF)
        assert {"mail", "phone"} <= {name for names in found_in(dict(answers), OTHER_MARKS).values() for name in names}
        asked = people.Request(tenant=TENANT, address=HERS, reason=REASON)
        assert 0 == people.export(system.queries, system.accounts, asked, tmp_path / "package").deliveries
        his = system.queries.search(TENANT, Filters(recipient=OTHERS)).deliveries
        packs = {
            view.message: desk(system).issue(Ask(tenant=TENANT, message=view.message, reason=REASON)).data
            for view in his
        }
        assert {} == found_in(packs, HERSELF)


async def _answers(api: Api) -> AsyncIterator[tuple[str, bytes]]:
    """What every GET answers, lists first: what they name is asked for one by one."""
    known = Known()
    gets = [
        route for route in ROUTES if route.method == "GET" and route.scopes is not NO_KEY and "/tile/" not in route.path
    ]
    for route in sorted(gets, key=lambda each: len(each.parameters)):
        named = [[ANY[name], *known.told(TENANT, name)][-SHOWN:] for name in route.parameters]
        for values in itertools.product(*named):
            where = route.path.format(**dict(zip(route.parameters, values, strict=True)))
            reply = await api.call(f"GET {where}", scopes=ALL)
            assert reply.status < 500, where
            yield where, reply.body
            if reply.status == 200 and reply.headers["Content-Type"] == JSON:
                known.learn(TENANT, reply.json)


def test_backup_from_before_is_erased_again_and_ends_with_its_key(
    installation: Installation, tmp_path: Path, shell: Shell
) -> None:
    """Put back, it is erased by what the journal says; with the keys of after a rotation nothing of it opens at all."""
    with installation.opened() as system:
        live(system, tmp_path / "left")
        system.signed_head()
    restore = installation.backup()
    with installation.opened() as system:
        erase(system)
        system.signed_head()
    restore()
    with installation.opened() as system:
        assert found_in(opened(system, TENANT), HERSELF, as_it_is)
    shell.run("recover", "--yes")
    with installation.opened() as system:
        left = opened(system, TENANT)
        assert set() == {name for name in found_in(left, HERSELF) if name in {"values", "originals", "sends"}}
        assert set(OTHER_MARKS) == found_in(left, OTHER_MARKS)["values"]
        old = system.ledger.keyring.wraps_with
        keyfiles.add_kek(installation.settings.key_folder, keyfiles.next_kek(installation.settings.key_folder))
        keyring = keyfiles.load(installation.settings.key_folder, may_create=False)
        rewrap(system.ledger.database, keyring, lambda *_: None)
        keyfiles.drop_kek(installation.settings.key_folder, old)
    restore()
    with installation.opened() as system:
        rows = system.ledger.database.read("SELECT key_id, wrapped FROM person_keys")
        assert rows
        for key, wrapped in rows:
            with pytest.raises(ConfigurationError):
                system.ledger.keyring.unwrap(bytes(key), bytes(wrapped))
