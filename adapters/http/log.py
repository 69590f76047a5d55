"""The log for those who check it: signed heads, C2SP tlog-tiles, proofs, and cosignatures in.

Heads and hash tiles are open to everyone when the installation says so, otherwise to every API key; they show hashes of events with a
nonce each, which tell nobody anything. Entry bundles hold events, so they need the tenant's key and hold nothing of any other tenant.

A tile is the same bytes for ever, within one epoch of the log: the one after has paths of its own, so no cache mixes the two.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters import operations
from adapters.http.authentication import presented
from adapters.http.errors import ForbiddenError, UnauthenticatedError
from adapters.http.lookups import READERS
from adapters.http.routes import ANY_KEY, NO_KEY, Answer, Call, NoQuery, route
from adapters.http.types import Given, Position
from adapters.strictjson import refuse
from ledger import notes, proofs, tiles
from ledger.application import OWN_TENANT
from ledger.checkpoints import SignedHead
from ledger.errors import NotFoundError
from ledger.events import Event
from ledger.notes import NoteError
from ledger.tree import TILE_WIDTH, leaf_hash

TEXT, BINARY = "text/plain", "application/octet-stream"
A_MOMENT, FOR_EVER = "max-age=2", "max-age=31536000, immutable"


# --- heads


@route("GET /log/checkpoint", scopes=NO_KEY, answers={200: {TEXT: str}}, problems=(401, 404))
def checkpoint(call: Call[NoQuery, None]) -> Answer:
    """The newest signed head of the log, as a C2SP checkpoint with the cosignatures it was given."""
    _require_reader(call)
    note = call.services.log.heads.cosigned(_newest(call))
    return Answer(note, headers=_cached(call, A_MOMENT), media_type=TEXT)


@route("GET /log/{epoch}/checkpoint", scopes=NO_KEY, answers={200: {TEXT: str}}, problems=(401, 404))
def checkpoint_of_epoch(call: Call[NoQuery, None]) -> Answer:
    """The newest signed head of a later epoch of the log."""
    answer: Answer = checkpoint.handler(call)
    _require_epoch(call, _newest(call))
    return answer


def _newest(call: Call[Any, Any]) -> SignedHead:
    """The newest head that was signed; signs one where there is none yet."""
    log = call.services.log
    return log.heads.latest() or log.signed_head()


def _require_reader(call: Call[Any, Any]) -> None:
    is_known = call.services.log.is_public or call.services.api_keys.authenticate(presented(call.headers))
    if not is_known:
        raise UnauthenticatedError


def _require_epoch(call: Call[Any, Any], head: SignedHead) -> None:
    """The path's epoch is the one that the log is in.

    Raises:
        NotFoundError: says where the log is now.
    """
    epoch = call.services.log.identity().epoch_of(head.checkpoint.origin)
    if int(call.path.get("epoch", "1")) != epoch:
        msg = (
            f"this log is in epoch {epoch}: see /log/{epoch}/checkpoint"
            if epoch > 1
            else "this log is in its first epoch: see /log/checkpoint"
        )
        raise NotFoundError(msg)


def _cached(call: Call[Any, Any], how_long: str) -> dict[str, str]:
    return {"Cache-Control": f"{'public' if call.services.log.is_public else 'private'}, {how_long}"}


class Cosigned(msgspec.Struct):
    """What became of cosignatures.

    Attributes:
        added: how many were new.
        tree_size: of the checkpoint they are kept with.
    """

    added: int
    tree_size: int


@route(
    "POST /log/cosignatures", scopes=("operator",), answers={200: Cosigned}, reads={TEXT: str}, problems=(404, 413, 422)
)
def cosign(call: Call[NoQuery, bytes]) -> Answer:
    """Hand in a checkpoint of this log with signature lines that others added; the lines are kept and served with it.

    Send the note as it was served, with the new lines at its end. Its text must be one this log signed lately. The lines are not
    verified here: whoever trusts a witness knows its key.
    """
    log = call.services.log
    try:
        note = notes.parse(call.body)
    except NoteError as error:
        refuse("", str(error))
    operations.asked(call.services.accounts, call.actor, "checkpoint cosign", call.tenant)
    added = log.heads.cosign(note)
    return Answer(Cosigned(added, int(note.text.split("\n")[1])))


# --- tiles


@route("GET /log/tile/{tile}", scopes=NO_KEY, answers={200: {BINARY: bytes}}, problems=(401, 404))
def tile(call: Call[NoQuery, None]) -> Answer:
    """A tile of the Merkle tree, as C2SP tlog-tiles: hashes only."""
    _require_reader(call)
    found = _tile(call, call.path["tile"])
    return Answer(tiles.hashes(call.services.ledger, found), headers=_cached(call, FOR_EVER), media_type=BINARY)


@route("GET /log/{epoch}/tile/{tile}", scopes=NO_KEY, answers={200: {BINARY: bytes}}, problems=(401, 404))
def tile_of_epoch(call: Call[NoQuery, None]) -> Answer:
    """A tile of the Merkle tree in a later epoch of the log."""
    answer: Answer = tile.handler(call)
    return answer


@route(
    "GET /log/tile/entries/{bundle}",
    scopes=("evidence",),
    answers={200: {BINARY: bytes}},
    problems=(404,),
    access="feed",
)
def entries(call: Call[NoQuery, None]) -> Answer:
    """An entry bundle, as C2SP tlog-tiles: the events themselves, where all of them are the caller's or the ledger's own."""
    found = _tile(call, f"entries/{call.path['bundle']}")
    ledger = call.services.ledger
    before = found.tile_index * TILE_WIDTH
    events = [e for e in ledger.between(before, before + found.width) if e.tenant in {call.tenant, OWN_TENANT}]
    if len(events) < found.width:
        msg = "this bundle holds events of another organisation too; read your own with GET /v1/events"
        raise ForbiddenError(msg)
    data = tiles.bundle([event.leaf for event in events])
    return Answer(data, headers={"Cache-Control": f"private, {FOR_EVER}"}, media_type=BINARY)


@route(
    "GET /log/{epoch}/tile/entries/{bundle}",
    scopes=("evidence",),
    answers={200: {BINARY: bytes}},
    problems=(404,),
    access="feed",
)
def entries_of_epoch(call: Call[NoQuery, None]) -> Answer:
    """An entry bundle in a later epoch of the log."""
    answer: Answer = entries.handler(call)
    return answer


def _tile(call: Call[Any, Any], path: str) -> tiles.Tile:
    """A tile that a signed head covers: nothing is shown that was not signed."""
    found, head = tiles.parse(path), _newest(call)
    _require_epoch(call, head)
    if not found.is_in(head.checkpoint.size):
        msg = f"the signed tree of {head.checkpoint.size} events has no such tile"
        raise NotFoundError(msg)
    return found


# --- proofs


class Which(Given):
    """An event of the tenant, or of the ledger itself, by one of the two.

    Attributes:
        position: in the log, from 1.
        event_id: its id, as trails and the feed show it.
    """

    position: Position = 0
    event_id: Annotated[str, Meta(pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$(?!\n)")] = ""


class Between(Given):
    """Two sizes of the tree.

    Attributes:
        old: the smaller tree's size.
        new: the larger one's; the newest signed head's, if absent.
    """

    old: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    new: Position = 0


class Inclusion(msgspec.Struct):
    """An event is in the tree of a signed head.

    Attributes:
        leaf_hash, root, hashes: hex; the hashes go from the leaf's sibling up (RFC 6962, section 2.1.1).
        checkpoint: the signed head.
    """

    position: int
    leaf_index: int
    event_id: str
    leaf_hash: str
    tree_size: int
    root: str
    hashes: tuple[str, ...]
    checkpoint: str


class Consistency(msgspec.Struct):
    """The tree of `new` events begins with the tree of `old` events (RFC 6962, section 2.1.2); hashes are hex."""

    old: int
    old_root: str
    new: int
    root: str
    hashes: tuple[str, ...]


@route("GET /v1/proofs/inclusion", scopes=(*READERS, "evidence"), answers={200: Inclusion}, problems=(404, 503))
def inclusion(call: Call[Which, None]) -> Answer:
    """Proof that an event is in the tree of the newest signed head."""
    event, head = _event(call), call.services.log.signed_head()
    hashes = call.services.ledger.inclusion_proof(event.position, head.checkpoint.size)
    return Answer(
        Inclusion(
            position=event.position,
            leaf_index=event.position - 1,
            event_id=event.id,
            leaf_hash=leaf_hash(event.leaf).hex(),
            tree_size=head.checkpoint.size,
            root=head.checkpoint.root.hex(),
            hashes=tuple(each.hex() for each in hashes),
            checkpoint=call.services.log.heads.cosigned(head).decode(),
        )
    )


@route("GET /v1/proofs/tlog-proof", scopes=(*READERS, "evidence"), answers={200: {TEXT: str}}, problems=(404, 503))
def tlog_proof(call: Call[Which, None]) -> Answer:
    """The same proof as a C2SP tlog-proof file, which verifiers of that format read."""
    event, log = _event(call), call.services.log
    made = proofs.of_position(call.services.ledger, event.position, log.heads.cosigned(log.signed_head()))
    name = f"{event.position:09d}.tlog-proof"
    return Answer(made, headers={"Content-Disposition": f'attachment; filename="{name}"'}, media_type=TEXT)


def _event(call: Call[Which, None]) -> Event:
    """The event asked for; another tenant's does not exist."""
    asked, ledger = call.query, call.services.ledger
    if bool(asked.position) == bool(asked.event_id):
        refuse("position", "give either position or event_id")
    missing = f"there is no event at position {asked.position}" if asked.position else proofs.missing(asked.event_id)
    found = ledger.event(asked.position or proofs.position_of(ledger, asked.event_id))
    if found.tenant not in {call.tenant, OWN_TENANT}:
        raise NotFoundError(missing)
    return found


@route("GET /v1/proofs/consistency", scopes=ANY_KEY, answers={200: Consistency}, problems=(404, 422, 503))
def consistency(call: Call[Between, None]) -> Answer:
    """Proof that one tree is the beginning of another: hold the two roots against heads you kept."""
    ledger, asked, signed = call.services.ledger, call.query, _newest(call).checkpoint.size
    new = asked.new or signed
    if new > signed:
        msg = f"there is no signed tree of {new} events; the newest has {signed}"
        raise NotFoundError(msg)
    if asked.old > new:
        refuse("old", f"it may be at most new, {new}")
    hashes = tuple(each.hex() for each in ledger.consistency_proof(asked.old, new))
    return Answer(Consistency(asked.old, ledger.root_at(asked.old).hex(), new, ledger.root_at(new).hex(), hashes))
