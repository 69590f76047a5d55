"""The log over HTTP: what everyone may see, what needs a key, what is cached and for how long."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.http.services import Log
from ledger import identity, notes, proofs, tiles
from ledger.appender import Item
from ledger.application import OWN_STREAM, OWN_TENANT
from ledger.checkpoints import SignedHead
from ledger.tree import verify_consistency, verify_inclusion
from tests.adapters.conftest import EVERYTHING, Api, serving
from tests.ledger.kit import TENANT
from tests.proof.kit import Installation, flipped, grow

SIZE = 301
WITNESS = (
    "\u2014 witness.example/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
"""A cosignature line, the example of C2SP tlog-cosignature."""
TEXT = {"Content-Type": "text/plain"}


@asynccontextmanager
async def published(installation: Installation, count: int = SIZE - 1, *, public: bool = True) -> AsyncIterator[Api]:
    """The API over a log of its own with a signed head."""
    installation.more = {"public_log": public}
    with installation.opened() as system:
        if count:
            grow(system, count)
        async with serving(system) as api:
            yield api


def append(api: Api) -> int:
    """One more event of the ledger's own, not signed yet; its position."""
    ledger = api.system.ledger
    return ledger.append(Item([ledger.draft("clock.jumped", OWN_TENANT, OWN_STREAM, {})])).positions[0]


def newest(api: Api) -> SignedHead:
    head = api.system.heads.latest()
    assert head is not None
    return head


async def test_checkpoint_is_served_to_everyone_for_a_moment(on_sqlite: Installation) -> None:
    """The note as it was signed, as UTF-8 text, cached for seconds."""
    async with published(on_sqlite) as api:
        reply = await api.call("GET /log/checkpoint", scopes=())
        assert (200, newest(api).note) == (reply.status, reply.body)
        assert "text/plain; charset=utf-8" == reply.headers["Content-Type"]
        assert "public, max-age=2" == reply.headers["Cache-Control"]


async def test_log_that_was_never_signed_is_signed_when_somebody_asks(on_sqlite: Installation) -> None:
    """There is no moment at which a log has no head to show."""
    async with published(on_sqlite, 0) as api:
        assert 200 == (await api.call("GET /log/checkpoint", scopes=())).status


async def test_every_tile_of_the_signed_tree_is_served_and_no_other(installation: Installation) -> None:
    """Hash tiles are for everyone and for ever; beyond the signed size there are none."""
    async with published(installation) as api:
        for tile in (t for t in tiles.all_of(SIZE) if t.level >= 0):
            reply = await api.call(f"GET /log/tile/{tile.path}", scopes=())
            assert (200, tiles.hashes(api.system.ledger, tile)) == (reply.status, reply.body)
            assert 32 * tile.width == len(reply.body)
            assert "public, max-age=31536000, immutable" == reply.headers["Cache-Control"]
            assert "application/octet-stream" == reply.headers["Content-Type"]
        for path in (
            "0/001",
            "0/001.p/46",
            "0/002",
            "1/000",
            "1/000.p/2",
            "2/000.p/1",
            "0/x000/001",
            "64/000",
            "x/000",
        ):
            assert 404 == (await api.call(f"GET /log/tile/{path}", scopes=())).status


async def test_what_was_appended_but_not_signed_is_not_shown(on_sqlite: Installation) -> None:
    """A tile follows its head, never the other way round."""
    async with published(on_sqlite, 10) as api:
        append(api)
        assert 200 == (await api.call("GET /log/tile/0/000.p/11", scopes=())).status
        assert 404 == (await api.call("GET /log/tile/0/000.p/12", scopes=())).status


async def test_log_that_is_not_public_needs_a_key(on_sqlite: Installation) -> None:
    """Switched off, the same answers are there for those who hold an API key, and no cache may share them."""
    async with published(on_sqlite, public=False) as api:
        for path in ("/log/checkpoint", "/log/tile/0/000"):
            assert 401 == (await api.call(f"GET {path}", scopes=())).status
            assert 401 == (await api.call(f"GET {path}", scopes=(), headers={"X-Api-Key": "no.key"})).status
            reply = await api.call(f"GET {path}", scopes=("read",))
            assert 200 == reply.status
            assert reply.headers["Cache-Control"].startswith("private, ")


async def test_entry_bundle_needs_the_evidence_scope_and_holds_only_the_callers_events(
    installation: Installation,
) -> None:
    """The leaves behind the tile; one event of another organisation, and the whole bundle is refused."""
    async with published(installation) as api:
        path = "GET /log/tile/entries/001.p/45"
        assert 401 == (await api.call(path, scopes=())).status
        assert 403 == (await api.call(path, scopes=("read",))).status
        reply = await api.call(path, scopes=("evidence",))
        assert tiles.bundle([e.leaf for e in api.system.ledger.feed(256, 45)]) == reply.body
        assert reply.headers["Cache-Control"].startswith("private, ")
        assert TENANT == api.tenant
        assert 403 == (await api.of("other").call(path, scopes=("evidence",))).status


async def test_inclusion_proof_by_position_and_by_id_verifies_under_the_signed_root(installation: Installation) -> None:
    """Both ways give the same proof, and the note in it is the newest head."""
    async with published(installation, 20) as api:
        event = api.system.ledger.event(7)
        by_position = await api.call("GET /v1/proofs/inclusion?position=7", scopes=("read",))
        by_id = await api.call(f"GET /v1/proofs/inclusion?event_id={event.id}", scopes=("read",))
        found = by_position.json
        assert found == by_id.json
        path = [bytes.fromhex(each) for each in found["hashes"]]
        assert verify_inclusion(
            bytes.fromhex(found["leaf_hash"]), 6, found["tree_size"], path, newest(api).checkpoint.root
        )
        assert newest(api).note.decode() == found["checkpoint"]


async def test_proof_covers_what_was_acknowledged_a_moment_ago(on_sqlite: Installation) -> None:
    """Acknowledged is in the tree, so its proof is there at once."""
    async with published(on_sqlite, 10) as api:
        api.key(*EVERYTHING)  # is an event, too
        position = append(api)
        reply = await api.call(f"GET /v1/proofs/inclusion?position={position}")
        assert (200, position) == (reply.status, reply.json["tree_size"])


async def test_tlog_proof_is_a_file_that_verifies(on_sqlite: Installation) -> None:
    """As an attachment, for any verifier of the format."""
    async with published(on_sqlite, 20) as api:
        reply = await api.call("GET /v1/proofs/tlog-proof?position=7", scopes=("evidence",))
        assert 'attachment; filename="000000007.tlog-proof"' == reply.headers["Content-Disposition"]
        keys = api.system.identity.keys
        assert newest(api).checkpoint == proofs.verify(api.system.ledger.event(7).leaf, reply.body, keys)


async def test_event_of_another_organisation_has_no_proof_here(installation: Installation) -> None:
    """Another tenant's event does not exist, whichever way it is asked for; the ledger's own are everyone's."""
    async with published(installation, 10) as api:
        other, theirs = api.of("other"), api.system.ledger.event(7)
        for way in ("inclusion", "tlog-proof"):
            by_position = await other.call(f"GET /v1/proofs/{way}?position=7")
            by_id = await other.call(f"GET /v1/proofs/{way}?event_id={theirs.id}")
            nowhere = await other.call(f"GET /v1/proofs/{way}?position=999")
            assert (404, 404, 404) == (by_position.status, by_id.status, nowhere.status)
            assert by_position.json["detail"].replace("7", "999") == nowhere.json["detail"]
            assert 200 == (await other.call(f"GET /v1/proofs/{way}?position=1")).status


@pytest.mark.parametrize(
    "query", ["", "?position=1&event_id=01890000-0000-7000-8000-000000000000", "?position=x", "?event_id=1"]
)
async def test_proof_is_asked_for_by_one_of_two_names(on_sqlite: Installation, query: str) -> None:
    """Neither, both, or what is no name: refused."""
    async with published(on_sqlite, 3) as api:
        assert 422 == (await api.call(f"GET /v1/proofs/inclusion{query}")).status


async def test_consistency_proof_verifies_between_any_two_sizes(installation: Installation) -> None:
    """Whoever kept a head holds the new one against it, from the answer alone."""
    async with published(installation, 40) as api:
        for old, new in ((1, 41), (16, 41), (17, 33), (41, 41)):
            found = (await api.call(f"GET /v1/proofs/consistency?old={old}&new={new}", scopes=("read",))).json
            path = [bytes.fromhex(each) for each in found["hashes"]]
            roots = bytes.fromhex(found["old_root"]), bytes.fromhex(found["root"])
            assert verify_consistency(old, roots[0], new, roots[1], path)
        assert 41 == (await api.call("GET /v1/proofs/consistency?old=1")).json["new"]
        assert 404 == (await api.call("GET /v1/proofs/consistency?old=1&new=42")).status
        assert 422 == (await api.call("GET /v1/proofs/consistency?old=7&new=6")).status
        assert 422 == (await api.call("GET /v1/proofs/consistency?old=0")).status


async def test_cosignature_is_kept_once_and_served_with_its_checkpoint(on_sqlite: Installation) -> None:
    """A witness that we do not know may be the one a reader trusts; a later head does not inherit it."""
    async with published(on_sqlite, 10) as api:
        note = newest(api).note + WITNESS.encode()
        first = await api.call("POST /log/cosignatures", data=note, headers=TEXT)
        again = await api.call("POST /log/cosignatures", data=note, headers=TEXT)
        assert [{"added": 1, "tree_size": 11}, {"added": 0, "tree_size": 11}] == [first.json, again.json]
        served = (await api.call("GET /log/checkpoint", scopes=())).body
        assert note == served
        assert list(api.system.identity.keys) == notes.verified_by(notes.parse(served), api.system.identity.keys)
        later = grow(api.system, 1)
        assert later.note == (await api.call("GET /log/checkpoint", scopes=())).body


async def test_cosignature_of_another_text_is_refused(on_sqlite: Installation) -> None:
    """Only what this log signed is cosigned, to the last byte; who may hand it in is an operator's business."""
    async with published(on_sqlite, 10) as api:
        note = newest(api).note + WITNESS.encode()
        other = note.replace(b"\n11\n", b"\n12\n")
        assert 404 == (await api.call("POST /log/cosignatures", data=other, headers=TEXT)).status
        assert 422 == (await api.call("POST /log/cosignatures", data=b"no note", headers=TEXT)).status
        assert 422 == (await api.call("POST /log/cosignatures", data=flipped(note, 0) + b"\xff", headers=TEXT)).status
        assert 415 == (await api.call("POST /log/cosignatures", json={})).status
        assert 403 == (await api.call("POST /log/cosignatures", data=note, headers=TEXT, scopes=("read",))).status
        assert newest(api).note == (await api.call("GET /log/checkpoint", scopes=())).body


async def test_more_cosignatures_than_a_reader_takes_are_refused(on_sqlite: Installation) -> None:
    """A checkpoint must stay one that everybody can parse."""
    async with published(on_sqlite, 3) as api:
        lines = [WITNESS.replace("w1", f"w{number}") for number in range(63)]
        note = newest(api).note + "".join(lines).encode()
        assert 63 == (await api.call("POST /log/cosignatures", data=note, headers=TEXT)).json["added"]
        one_more = newest(api).note + WITNESS.replace("w1", "w99").encode()
        assert 413 == (await api.call("POST /log/cosignatures", data=one_more, headers=TEXT)).status


async def test_tiles_of_the_next_epoch_have_paths_of_their_own(on_sqlite: Installation) -> None:
    """A cache that holds a tile of the lost log for ever never answers for the new one."""
    on_sqlite.grow(5)
    restore = on_sqlite.backup()
    on_sqlite.grow(5)
    restore()
    with on_sqlite.opened() as system, system.leader.leading():
        identity.succeed(system.ledger, system.heads, system.identity, system.log_keys)
    async with published(on_sqlite, 0) as api:
        assert 404 == (await api.call("GET /log/tile/0/000.p/7", scopes=())).status
        reply = await api.call("GET /log/2/tile/0/000.p/7", scopes=())
        assert (200, 7 * 32) == (reply.status, len(reply.body))
        assert 200 == (await api.call("GET /log/2/tile/entries/000.p/7", scopes=("evidence",))).status
        note = newest(api).note
        assert note == (await api.call("GET /log/2/checkpoint", scopes=())).body
        assert note == (await api.call("GET /log/checkpoint", scopes=())).body
        missing = await api.call("GET /log/3/checkpoint", scopes=())
        assert (404, True) == (missing.status, "epoch 2" in missing.json["detail"])


async def test_frozen_ledger_answers_questions_and_refuses_to_append(on_sqlite: Installation) -> None:
    """503 with the reason's kind and nothing to retry; what is held can still be looked up."""
    async with published(on_sqlite, 3) as api:
        api.account()
        api.key(*EVERYTHING)  # none can be made afterwards
        api.system.ledger.freeze("a head of 9 events was signed, this database holds 4")
        body = {"account": "sms", "recipients": [{"kind": "phone", "address": "0612340001"}]}
        refused = await api.call("POST /v1/messages", json=body)
        assert (503, "frozen") == (refused.status, refused.type)
        assert "Retry-After" not in refused.headers
        assert 200 == (await api.call("GET /log/checkpoint", scopes=())).status
        assert 503 == (await api.call("GET /v1/proofs/inclusion?position=1")).status


def test_log_is_closed_unless_the_settings_open_it() -> None:
    """Publishing is a decision."""
    assert {"is_public": False} == {f.name: f.default for f in dataclasses.fields(Log) if f.name == "is_public"}
