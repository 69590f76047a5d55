"""Who the log is: its origin, its keys and their history, all of it written in the log's own first stream.

The first event names the log key and the offline recovery key. Keys overlap while they rotate: from `key.added` to
`key.retired` every head carries the signatures of all active keys. `key.revoked` counts only under the recovery key's signature.
`log.succeeded` opens the next epoch after a database was lost or rolled back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger import notes
from ledger.appender import Item
from ledger.application import Ledger
from ledger.checkpoints import Checkpoint, HeadFile, SignedHead, compare
from ledger.commitments import from_text, to_text
from ledger.errors import ConfigurationError, CorruptError, ForkError, LedgerError
from ledger.events import Event
from ledger.notes import NoteKey, parse_vkey
from ledger.recorders import Head

STREAM = "ledger"
TENANT = "ledger"


class NotLeaderError(LedgerError):
    """Another process signs heads for this ledger."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the log says of itself.

    Attributes:
        base: the name it was begun with; the origin of epoch 1.
        epoch: 1, 2, 3 …
        keys: active log keys, oldest first, under today's origin.
        revoked: keys that must not be trusted any more.
        recovery: the offline key that alone may revoke.
    """

    base: str
    epoch: int
    keys: tuple[NoteKey, ...]
    revoked: tuple[NoteKey, ...]
    recovery: NoteKey

    @property
    def origin(self) -> str:
        return self.base if self.epoch == 1 else f"{self.base}/{self.epoch}"

    def epoch_of(self, origin: str) -> int:
        """The epoch of this log that an origin names; 0 when it is another log's."""
        if origin == self.base:
            return 1
        base, _, last = origin.rpartition("/")
        return int(last) if base == self.base and last.isascii() and last.isdigit() else 0


def read(ledger: Ledger) -> Identity | None:
    """The identity as the log tells it; None before it was begun."""
    return fold(ledger.stream(STREAM))


def fold(events: Iterable[Event], identity: Identity | None = None) -> Identity | None:
    """The identity after more events of the log's own stream, in their order."""
    for event in events:
        identity = _after(identity, event)
    return identity


def _after(identity: Identity | None, event: Event) -> Identity | None:
    f = event.fields
    if identity is None:
        if event.type != "key.added":
            return None
        key = parse_vkey(f["log_key"])
        return Identity(key.name, 1, (key,), (), parse_vkey(f["recovery_key"]))
    keys = list(identity.keys)
    if event.type == "key.added":
        keys.append(NoteKey(identity.origin, parse_vkey(f["log_key"]).public))
    elif event.type in {"key.retired", "key.revoked"}:
        gone = parse_vkey(f["log_key"])
        if event.type == "key.revoked" and not _is_signed_by_recovery(identity, gone, f["signature"]):
            return identity
        keys = [key for key in keys if key.public != gone.public]
        if event.type == "key.revoked":
            return Identity(identity.base, identity.epoch, tuple(keys), (*identity.revoked, gone), identity.recovery)
    elif event.type == "log.succeeded":
        origin = str(f["origin"])
        epoch = int(origin.rpartition("/")[2])
        renamed = tuple(NoteKey(origin, key.public) for key in keys)
        return Identity(identity.base, epoch, renamed, identity.revoked, identity.recovery)
    return Identity(identity.base, identity.epoch, tuple(keys), identity.revoked, identity.recovery)


def _append(ledger: Ledger, kind: str, clear: Mapping[str, object]) -> int:
    """Append to the log's own stream; returns the position."""
    return ledger.append(Item([ledger.draft(kind, TENANT, STREAM, clear)])).positions[0]


def begin(
    ledger: Ledger,
    base: str,
    log_key: Ed25519PrivateKey,
    recovery_public: bytes,
    also: Mapping[str, object] | None = None,
) -> Identity:
    """Write the first event: the origin's log key and the recovery key.

    Args:
        also: further clear fields of it: what else is so from the beginning.

    Raises:
        ConfigurationError: the name cannot be an origin.
        VersionTakenError: another process was faster; read it.
    """
    key = NoteKey(base, notes.public_of(log_key))
    if not base or any(c.isspace() or c == "+" for c in base):
        msg = f"log name {base!r}: an origin has no white space and no '+'; write for example ledger.example.org/main"
        raise ConfigurationError(msg)
    recovery = NoteKey(f"{base}-recovery", recovery_public)
    clear = {"log_key": key.vkey(), "recovery_key": recovery.vkey(), **(also or {})}
    draft = ledger.draft("key.added", TENANT, STREAM, clear)
    ledger.append(Item([draft], expect={STREAM: ledger.versions([STREAM]).get(STREAM, 0)}))
    return Identity(base, 1, (key,), (), recovery)


def add_key(ledger: Ledger, identity: Identity, log_key: Ed25519PrivateKey) -> NoteKey:
    """Bring a key into use beside those in use; every head carries both signatures until one is retired."""
    key = NoteKey(identity.origin, notes.public_of(log_key))
    _append(ledger, "key.added", {"log_key": key.vkey()})
    return key


def retire_key(ledger: Ledger, identity: Identity, key: NoteKey) -> None:
    """Take a key out of use; what it signed stays good.

    Raises:
        ConfigurationError: it is the only one.
    """
    _require_another(identity, key)
    _append(ledger, "key.retired", {"log_key": key.vkey()})


def _require_another(identity: Identity, key: NoteKey) -> None:
    if [k.public for k in identity.keys] == [key.public]:
        msg = "without its only log key this log could sign nothing; first add another: delivery-ledger keys log rotate"
        raise ConfigurationError(msg)


def revocation_text(identity: Identity, key: NoteKey) -> bytes:
    """What the recovery key signs to revoke a log key."""
    return f"delivery-ledger revokes a log key\n{identity.base}\n{key.public.hex()}\n".encode()


def revoke_key(ledger: Ledger, identity: Identity, key: NoteKey, recovery_key: Ed25519PrivateKey) -> None:
    """End a compromised key under the offline recovery key.

    Raises:
        ConfigurationError: that is not the recovery key the first event named, or it is the only log key.
    """
    _require_another(identity, key)
    if notes.public_of(recovery_key) != identity.recovery.public:
        msg = "that is not the recovery key which the first event of this log names"
        raise ConfigurationError(msg)
    signature = to_text(recovery_key.sign(revocation_text(identity, key)))
    _append(ledger, "key.revoked", {"log_key": key.vkey(), "signature": signature})


def _is_signed_by_recovery(identity: Identity, key: NoteKey, signature: str) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(identity.recovery.public)
        public.verify(from_text(signature), revocation_text(identity, key))
    except (InvalidSignature, ValueError):
        return False
    return True


def sign_head(
    ledger: Ledger, heads: HeadFile, identity: Identity, private_keys: Sequence[Ed25519PrivateKey], head: Head
) -> SignedHead:
    """A committed head, signed by every key that was active at its size and durable outside the database.

    Only the leader may call this. When it is signed already, that is the answer.

    Args:
        identity: as of `head`.

    Raises:
        ForkError: the tree contradicts a head that was signed before.
        CorruptError: the head is not the root over the stored leaves.
        ConfigurationError: the private half of an active key is missing.
    """
    latest = heads.latest()
    compare(ledger, latest)
    if latest is not None and (latest.checkpoint.origin, latest.checkpoint.size) == (identity.origin, head.size):
        known = {s.key_id for s in notes.parse(latest.note).signatures}
        if known == {key.key_id for key in identity.keys}:
            return latest
    root = ledger.root_at(head.size)
    if root != head.root:
        msg = f"root mismatch at tree size {head.size}: head {head.root.hex()}, computed {root.hex()}; run `delivery-ledger fsck`"
        raise CorruptError(msg)
    return _signed(heads, identity, private_keys, head)


def _signed(heads: HeadFile, identity: Identity, private_keys: Sequence[Ed25519PrivateKey], head: Head) -> SignedHead:
    checkpoint = Checkpoint(identity.origin, head.size, head.root)
    signed = SignedHead(checkpoint, sign_text(identity, private_keys, checkpoint.text()))
    heads.append(signed)
    return signed


def sign_text(identity: Identity, private_keys: Sequence[Ed25519PrivateKey], text: str) -> bytes:
    """A note signed by every active log key.

    Raises:
        ConfigurationError: the private half of an active key is missing.
    """
    privates = {notes.public_of(private): private for private in private_keys}
    missing = [key.vkey() for key in identity.keys if key.public not in privates]
    if missing:
        msg = f"the private half of log key {missing[0]} is missing from the key folder; restore it or revoke the key"
        raise ConfigurationError(msg)
    return notes.sign(text, [(key.name, privates[key.public]) for key in identity.keys])


def succeed(
    ledger: Ledger, heads: HeadFile, identity: Identity, private_keys: Sequence[Ed25519PrivateKey]
) -> SignedHead:
    """Open the next epoch over this database's leaves, naming the last signed head and what was lost.

    Only the leader may call this. Every other process that has the ledger open must be started anew.

    Raises:
        ConfigurationError: nothing contradicts, so there is nothing to recover from; or a private key is missing.
    """
    latest = heads.latest()
    contradiction = _contradiction(ledger, latest)
    if latest is None or not contradiction:
        msg = "this database fits every signed head; there is nothing to recover from"
        raise ConfigurationError(msg)
    sign_text(identity, private_keys, "the keys are here\n")
    size = ledger.head().size
    # The lost part of the log may have opened an epoch that this database never saw.
    origin = f"{identity.base}/{max(identity.epoch, identity.epoch_of(latest.checkpoint.origin)) + 1}"
    clear = {"origin": origin, "tree_size": latest.checkpoint.size, "root": latest.checkpoint.root.hex()}
    lost = {"lost": max(0, latest.checkpoint.size - size), "kept": size, "fits": last_fitting(ledger, heads)}
    ledger.thaw()
    try:
        _append(ledger, "log.succeeded", {**clear, "numbers": lost})
    except BaseException:
        ledger.freeze(contradiction)
        raise
    following = read(ledger)
    if following is None:
        raise NotLeaderError
    return _signed(heads, following, private_keys, ledger.head())


def last_fitting(ledger: Ledger, heads: HeadFile) -> int:
    """The size of the highest signed head of the last epoch that this database's tree still fits; 0 when it fits none.

    By bisection: a tree that fits a head fits every one before it.
    """
    signed: dict[int, bytes] = {}
    origin = ""
    for head in heads:
        if head.checkpoint.origin != origin:
            signed, origin = {}, head.checkpoint.origin
        signed[head.checkpoint.size] = head.checkpoint.root
    size = ledger.head().size
    sizes = [each for each in signed if each <= size]
    found = bisect_left(sizes, True, key=lambda each: ledger.root_at(each) != signed[each])  # noqa: FBT003  the key's value
    return sizes[found - 1] if found else 0


def _contradiction(ledger: Ledger, head: SignedHead | None) -> str:
    try:
        compare(ledger, head)
    except ForkError as error:
        return str(error)
    return ""
