"""Packs and erasure: what was handed out before goes on verifying, what is made afterwards shows nothing of who was erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.erasing.finding import Subject
from adapters.evidence import verify
from adapters.evidence.pack import Ask, Pack
from adapters.evidence.verify import EXIT_VOUCHED, Trust
from ledger import fsck, proofs
from ledger.notes import parse as parse_note
from ledger.streams import WHOLE_MESSAGE
from ops.erasing import eraser
from ops.system import System
from tests.evidence.packs import (
    ACCEPTED,
    ANNA,
    BRUNO,
    TENANT,
    TO_ANNA,
    TO_BRUNO,
    TO_CARLA,
    a_ledger,
    desk,
    hand_in,
    members_of,
    message_of,
    written,
)
from tests.ledger.erasable import erase
from tests.postgres import Database


@pytest.fixture
def told(database: Database, tmp_path: Path) -> Iterator[System]:
    """A letter to three, with the receipts of each."""
    with a_ledger(tmp_path, database.url) as found:
        hand_in(found, tmp_path, ACCEPTED, TO_ANNA, TO_BRUNO, TO_CARLA)
        yield found


def issued(system: System, **asked: object) -> Pack:
    return desk(system).issue(Ask(tenant=TENANT, message=message_of(system), **asked))  # type: ignore[arg-type]


def verifies(system: System, pack: Pack, folder: Path) -> bool:
    trust = Trust(keys=[verify.parse_key(key.vkey()) for key in system.identity.keys])
    return EXIT_VOUCHED == verify.verify(written(folder, members_of(pack.data)), trust).exit_code


@pytest.mark.parametrize("recipient", [0, WHOLE_MESSAGE], ids=["recipient", "message"])
def test_what_was_proven_before_goes_on_verifying(told: System, tmp_path: Path, recipient: int) -> None:
    """A pack and a proof from before the erasure need nothing of us: the log they prove is the same log."""
    before = issued(told)
    head = told.signed_head()
    proof = proofs.of_position(told.ledger, 3, head.note)
    leaf = told.ledger.event(3).leaf
    erase(told.ledger, message_of(told), recipient)
    told.runner.run()
    assert verifies(told, before, tmp_path)
    assert head.checkpoint == proofs.verify(leaf, proof, list(told.identity.keys))
    assert parse_note(told.signed_head().note).text != parse_note(head.note).text
    assert [] == fsck.check(told.ledger, told.heads).problems


def test_a_pack_made_afterwards_shows_nothing_of_the_erased_and_verifies(told: System, tmp_path: Path) -> None:
    """Of the one who was erased no value, no original and no address; of the others what was shown before, and the same proofs."""
    shown = {path for path, body in members_of(issued(told).data).items() if ANNA.encode() in body}
    assert shown
    asked = eraser(told).ask(TENANT, Subject(recipient=ANNA), "she asked for it")
    assert "done" == eraser(told).carry_out(TENANT, asked.erasure).state
    told.runner.run()
    pack = issued(told)
    members = members_of(pack.data)
    assert [] == [path for path, body in members.items() if ANNA.encode() in body]
    assert any(BRUNO.encode() in body for body in members.values())
    assert [] == fsck.check(told.ledger, told.heads).problems
    assert verifies(told, pack, tmp_path)


def test_a_pack_of_an_erased_message_holds_the_log_and_no_value(told: System, tmp_path: Path) -> None:
    """The events, their proofs and the grade that is left; nothing can be opened."""
    erase(told.ledger, message_of(told))
    told.runner.run()
    pack = issued(told)
    members = members_of(pack.data)
    assert {} == json.loads(members["disclosures.json"])["events"]
    assert [] == [path for path, body in members.items() if b"pec.colle.example" in body]
    assert verifies(told, pack, tmp_path)
