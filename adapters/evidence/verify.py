"""Checks evidence packs, exports and reports of a delivery ledger: one file, Python 3.9 or later, nothing but its standard library.

    python3 verify.py [PACK.asice, REPORT.zip or FOLDER …] --log-key KEY [--checkpoint FILE] [--seal-root PEM] [--tsa-root PEM] [--json]

Without a path it checks the folder it lies in. A pack never vouches for itself: the keys, policy and roots inside it are
copies, and whoever makes up a whole ledger can make up a pack, an export or a report. So the exit code is

    0  all holds, and a key, policy or checkpoint that you have from elsewhere vouched for it
    1  something is broken; the text names the file and both sides
    2  the command is wrong
    3  consistent in itself; who keeps this ledger is not established

It reads files and starts `openssl`, where that is installed, for the X.509 seal and time-stamps. It never uses the network,
and takes the words of events for what they are: it checks that they were recorded, not that they are true.
"""

# Read by strangers and run by old Pythons: an error and its text stand in one line, and nothing here needs more than 3.9.
# ruff: noqa: EM101, EM102, TRY003, TRY301

from __future__ import annotations

import argparse
import base64
import binascii
import csv
import gc
import hashlib
import hmac
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
import zipfile
import zlib
from calendar import timegm
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import strptime
from typing import Any, NamedTuple

EXIT_VOUCHED, EXIT_BROKEN, EXIT_USAGE, EXIT_OPEN = 0, 1, 2, 3

MAX_MEMBERS = 500_000
MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
MAX_MEMBER_BYTES = 128 * 1024 * 1024
MAX_TOTAL_BYTES = 2 * 1024 * 1024 * 1024
MAX_LEAF_BYTES = 65_535
MAX_NOTE_BYTES = 16 * 1024 * 1024  # a trail head has a line per stream
MAX_SIGNATURES = 64
MAX_DECLARED = 1_000_000
MAX_INT = 2**53 - 1
OPENSSL_TIMEOUT_S = 60

MIME_TYPE = b"application/vnd.etsi.asic-e+zip"
COMMITMENT_PREFIX = b"delivery-ledger/1\0"
TRAIL_FORMAT = "delivery-ledger-trail/1"
TRAIL_HEAD = "delivery-ledger trail head v1"
DISCLOSURES_FORMAT = "delivery-ledger-disclosures/1"
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
MANIFEST, SEAL = "META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s"

SINGLE = frozenset({
    *("mimetype", "README.txt", "SHA256SUMS", "artifacts.json", "disclosures.json", "trail.json", "report.pdf", "verify.py"),
    *("log/checkpoint", "log/trail-head", "log/policy", MANIFEST, SEAL),
})  # fmt: skip
REQUIRED = SINGLE - {"report.pdf", MANIFEST, SEAL}
NUMBERED = re.compile(r"(?:events/([0-9]{4,7})\.json|proofs/([0-9]{4,7})\.tlog-proof)")
ORIGINAL = re.compile(r"(?:receipts|webhooks)/[A-Za-z0-9._-]+")
OTHER = re.compile(r"trust/[A-Za-z0-9._-]+\.(?:pem|crl|ocsp)|log/checkpoint\.tst")
COUNT = re.compile(r"0|[1-9][0-9]{0,15}")
ARTIFACT_PATHS = ("receipts/", "webhooks/")


class BrokenError(Exception):
    """Something does not hold.

    Args:
        member: the file of the pack that shows it.
        why: both sides, in words.
    """

    def __init__(self, member: str, why: str) -> None:
        super().__init__(f"{member}: {why}")
        self.member = member
        self.why = why


class UsageError(Exception):
    """What was given on the command line cannot be used."""


class Finding(NamedTuple):
    """One check: whether it `holds` or stays `open`, what that establishes, and who has to be trusted for it."""

    result: str
    text: str
    rests_on: str


# --- Ed25519 (RFC 8032), verification only


P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _multiply(factor: int, point: Point) -> Point:
    product = NEUTRAL
    while factor:
        if factor & 1:
            product = _add(product, point)
        point = _add(point, point)
        factor >>= 1
    return product


def _decode_point(data: bytes) -> Point | None:
    """The point behind 32 bytes; None when they are not the one canonical form of a point of the curve."""
    sign, y = data[31] >> 7, int.from_bytes(data, "little") & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _encode_point(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = _decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or NEUTRAL


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is good.

    Stricter than RFC 8032 asks: S must be below the group's order, and keys and R must be the canonical form of points that
    are not of small order.
    """
    if len(public) != 32 or len(signature) != 64:
        return False
    key, scalar = _decode_point(public), int.from_bytes(signature[32:], "little")
    point = _decode_point(signature[:32])
    if key is None or point is None or scalar >= ORDER:
        return False
    if any(_encode_point(_multiply(8, each)) == _encode_point(NEUTRAL) for each in (key, point)):
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    negated = (P - key[0], key[1], key[2], P - key[3])
    return _encode_point(_add(_multiply(scalar, BASE), _multiply(challenge, negated))) == signature[:32]


# --- the tree (RFC 6962)


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of_proof(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2); None when it is no proof for these numbers."""
    if not 0 <= index < size:
        return None
    fn, sn, node = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            node = node_hash(sibling, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = node_hash(node, sibling)
        fn, sn = fn >> 1, sn >> 1
    return node if sn == 0 else None


def is_consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the larger tree continues the smaller (RFC 9162 section 2.1.4.2)."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new_node = node_hash(new_node, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and old_node == old_root and new_node == root


# --- signed notes, checkpoints, policies (C2SP signed-note, tlog-checkpoint, tlog-policy, tlog-cosignature)


ED25519, COSIGNATURE = 1, 4


class Key(NamedTuple):
    """A verifier key."""

    name: str
    kind: int
    public: bytes

    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def text(self) -> str:
        return f"{self.name}+{self.id().hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.text().encode()).hexdigest()
        return " ".join(digest[i : i + 4] for i in range(0, 64, 4))


class Note(NamedTuple):
    """A note's text, and its signatures as (key name, key id, signature)."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes
    note: Note
    raw: bytes


class Policy(NamedTuple):
    """Whose checkpoints are accepted, and which witnesses must have cosigned them.

    Attributes:
        groups: name -> (how many, of which names); a witness is a name in `witnesses`.
    """

    logs: list[Key]
    witnesses: dict[str, Key]
    groups: dict[str, tuple[int, list[str]]]
    quorum: str


def _base64(text: str) -> bytes:
    """Strict base64: what `text` decodes to encodes to `text` again."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 that is not canonical")
    return data


def parse_key(text: str) -> Key:
    """A verifier key of the form name+id+base64.

    Raises:
        ValueError: not one, or of a kind that is not known here.
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, data = rest.partition("+")
    decoded = _base64(data)
    if not name or len(decoded) != 33 or decoded[0] not in (ED25519, COSIGNATURE):
        raise ValueError("not an Ed25519 verifier key")
    key = Key(name, decoded[0], decoded[1:])
    if key.id().hex() != key_id:
        raise ValueError(f"its id is {key.id().hex()}, not {key_id[:8]}")
    return key


def parse_note(member: str, data: bytes) -> Note:
    try:
        whole = data.decode()
        text, blank, signatures = whole.rpartition("\n\n")
        if (
            len(data) > MAX_NOTE_BYTES
            or not blank
            or not whole.endswith("\n")
            or re.search(r"[\x00-\x09\x0b-\x1f]", whole)
        ):
            raise ValueError
        lines = signatures[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise ValueError
        found = []
        for line in lines:
            dash, name, encoded = line.split(" ")
            decoded = _base64(encoded)
            if dash != "\u2014" or not name or "+" in name or len(decoded) < 5:
                raise ValueError
            found.append((name, decoded[:4], decoded[4:]))
    except ValueError:
        raise BrokenError(member, "not a signed note: text, an empty line, signature lines") from None
    return Note(text + "\n", found)


def parse_checkpoint(member: str, data: bytes) -> Checkpoint:
    note = parse_note(member, data)
    lines = note.text.split("\n")
    try:
        origin, size, root = lines[0], lines[1], _base64(lines[2])
        if not origin or not COUNT.fullmatch(size) or len(root) != 32:
            raise ValueError
    except (IndexError, ValueError):
        raise BrokenError(member, "not a checkpoint: origin, size and root, a line each") from None
    return Checkpoint(origin, int(size), root, note, data)


def parse_policy(text: str) -> Policy:
    """A C2SP tlog-policy.

    Raises:
        ValueError: names the line.
    """
    policy, quorum = Policy([], {}, {}, ""), ""
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            if words[0] == "log" and len(words) in (2, 3):
                policy.logs.append(parse_key(words[1]))
            elif words[0] == "witness" and len(words) in (3, 4) and words[1] not in _names(policy):
                policy.witnesses[words[1]] = parse_key(words[2])
            elif words[0] == "group" and len(words) > 3 and words[1] not in _names(policy):
                policy.groups[words[1]] = _group(words[2], words[3:], policy)
            elif words[0] == "quorum" and len(words) == 2 and not quorum and words[1] in {"none", *_names(policy)}:
                quorum = words[1]
            else:
                raise ValueError("not a line of a policy")
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    if not policy.logs or not quorum:
        raise ValueError("a policy names at least one log and a quorum")
    return policy._replace(quorum=quorum)


def _names(policy: Policy) -> list[str]:
    return [*policy.witnesses, *policy.groups]


def _group(count: str, members: list[str], policy: Policy) -> tuple[int, list[str]]:
    needed = {"all": str(len(members)), "any": "1"}.get(count, count)
    if not set(members) <= set(_names(policy)) or len(set(members)) != len(members):
        raise ValueError("a group of names that are not defined above")
    if not COUNT.fullmatch(needed) or not 1 <= int(needed) <= len(members):
        raise ValueError("a group that asks for more than it has")
    return int(needed), members


def signers(member: str, note: Note, keys: Sequence[Key]) -> list[Key]:
    """Those of the keys that signed; a signature under one of them that is not good spoils the note."""
    known = {(key.name, key.id()): key for key in keys}
    good = []
    for name, key_id, signature in note.signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        message = note.text.encode()
        if key.kind == COSIGNATURE:
            stamp = int.from_bytes(signature[:8], "big")
            message = f"cosignature/v1\ntime {stamp}\n".encode() + message
        if not ed25519_verifies(key.public, message, signature[8 * (key.kind == COSIGNATURE) :]):
            raise BrokenError(member, f"the signature of {name} (key id {key_id.hex()}) does not verify")
        good.append(key)
    return good


def _is_met(policy: Policy, name: str, cosigners: Sequence[Key]) -> bool:
    if name == "none":
        return True
    if name in policy.witnesses:
        return policy.witnesses[name] in cosigners
    needed, members = policy.groups[name]
    return sum(_is_met(policy, each, cosigners) for each in members) >= needed


# --- what the reader has from elsewhere


class Trust(NamedTuple):
    """Given on the command line; nothing of it comes from the pack.

    Attributes:
        keys: log keys.
        consistency: proof between the checkpoint kept and the pack's.
        seal_root, tsa_root: paths of PEM files, or "".
    """

    keys: Sequence[Key] = ()
    policy: Policy | None = None
    kept: Checkpoint | None = None
    consistency: Sequence[bytes] = ()
    seal_root: str = ""
    tsa_root: str = ""

    def is_empty(self) -> bool:
        return not self.keys and self.policy is None and self.kept is None


class Vouched(NamedTuple):
    """Which keys may be believed for this log, and why.

    Attributes:
        keys: with them the trail head is checked.
        by: in words, what from outside vouched; empty when nothing did.
    """

    keys: list[Key]
    by: list[str]


def vouch(member: str, head: Checkpoint, trust: Trust, copies: Sequence[Key]) -> Vouched:
    """Hold a checkpoint against everything that was given from outside; each of it must agree.

    Args:
        copies: keys that lie beside the checkpoint and count for nothing by themselves.
    """
    found = Vouched([], [])
    if trust.keys:
        found.keys.extend(_signers_or_refuse(member, head, trust.keys, "the log key you gave"))
        found.by.append("the log key you gave")
    if trust.policy is not None:
        found.keys.extend(_signers_or_refuse(member, head, trust.policy.logs, "a log of the policy you gave"))
        cosigners = signers(member, head.note, list(trust.policy.witnesses.values()))
        if not _is_met(trust.policy, trust.policy.quorum, cosigners):
            raise BrokenError(
                member, f"the witnesses that the policy's quorum {trust.policy.quorum} asks for have not cosigned"
            )
        found.by.append("the policy you gave")
    if trust.kept is not None:
        _compare(member, head, trust.kept, trust.consistency)
        # Whose signature on the checkpoint you kept is good is the key of the log you kept it of.
        found.keys.extend(signers("the checkpoint you gave", trust.kept.note, copies))
        found.by.append("the checkpoint you kept")
    return found


def _signers_or_refuse(member: str, head: Checkpoint, keys: Sequence[Key], whose: str) -> list[Key]:
    good = [key for key in signers(member, head.note, keys) if key.name == head.origin]
    if not good:
        carried = ", ".join(f"{name} ({key_id.hex()})" for name, key_id, _ in head.note.signatures)
        asked = ", ".join(f"{key.name} ({key.id().hex()})" for key in keys)
        raise BrokenError(
            member, f"not signed by {whose}, {asked}; it says to be of {head.origin} and is signed by {carried}"
        )
    return good


def _compare(member: str, head: Checkpoint, kept: Checkpoint, proof: Sequence[bytes]) -> None:
    if head.origin != kept.origin:
        raise BrokenError(member, f"of the log {head.origin}; the checkpoint you kept is of {kept.origin}")
    if head.size == kept.size:
        if head.root != kept.root:
            sides = f"root {head.root.hex()}; the checkpoint you kept has {kept.root.hex()}"
            raise BrokenError(member, f"at {head.size} events {sides}: its history was rewritten")
        return
    old, new = sorted((kept, head), key=lambda each: each.size)
    sizes = f"the checkpoint you kept is of {kept.size} events, this one of {head.size}"
    if not proof and old.size:
        raise UsageError(f"{sizes}: add --consistency FILE with the consistency proof from {old.size} to {new.size}")
    if old.size and not is_consistent(old.size, old.root, new.size, new.root, proof):
        raise BrokenError(member, f"{sizes}, and the consistency proof does not lead from one to the other")


# --- JSON, strictly


def read_json(member: str, data: bytes) -> Any:
    """JSON without doubled names, fractions and huge numbers."""
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_no_doubles, parse_int=_small, parse_float=_refuse, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise BrokenError(member, f"not JSON as the format has it ({str(error)[:100]})") from None


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _small(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INT:
        raise ValueError("a number beyond 2**53")
    return int(text)


def _refuse(text: str) -> Any:
    raise ValueError(f"the number {text[:20]}")


encode_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
quoted = json.encoder.encode_basestring


def canonical(value: Any) -> str:
    """RFC 8785 for what the ledger writes: no fractions, ASCII names."""
    if type(value) is dict and set(map(type, value.values())) == {str}:  # as below, twice as fast
        return "{" + ",".join([f"{quoted(name)}:{quoted(value[name])}" for name in sorted(value)]) + "}"
    return encode_json(value)


def shaped(member: str, value: Any, kind: Any, what: str) -> Any:
    """The value, if it is of that kind."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BrokenError(member, f"{what} is missing or has another form")
    return value


# --- commitments


URL_SAFE, STANDARD = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")
SALT = re.compile(
    "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
)  # 32 bytes: of the last letter four bits count, the other two are 0


def commitment(salt: bytes, event_id: str, path: str, value: Any) -> str:
    """HMAC-SHA-256(salt, prefix, event id, field path, 0x00, canonical value) in unpadded base64url."""
    message = COMMITMENT_PREFIX + f"{event_id}{path}\0{canonical(value)}".encode()
    digest = binascii.b2a_base64(hmac.digest(salt, message, "sha256"), newline=False)
    return digest.translate(URL_SAFE).decode()[:-1]


def _salt(text: Any) -> bytes:
    """32 bytes in unpadded base64url, in their one canonical form."""
    if not isinstance(text, str) or not SALT.fullmatch(text):
        raise ValueError("a salt is 32 bytes in base64url")
    return binascii.a2b_base64(text.encode().translate(STANDARD) + b"=")


INNER, OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
INNER_REST, OUTER_REST = INNER[:1] * 32 + COMMITMENT_PREFIX, OUTER[:1] * 32
OPENED = 100
"""Events whose values are opened together: no more than fit into a processor's cache."""
Shown = tuple[str, dict[str, str], dict[str, Any]]


def all_open(shown: Sequence[Shown]) -> bool:
    """Whether salts and values are those of what events commit to: as `_salt` and `commitment` of each, in half of the time.

    Args:
        shown: of each event its id, field path -> commitment, and field path -> salt and value.
    """
    try:
        return all(_are_open(shown[at : at + OPENED]) for at in range(0, len(shown), OPENED))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return False  # what is wrong is told by who opens them one by one


def _are_open(shown: Sequence[Shown]) -> bool:
    texts = [said["salt"] for _, _, fields in shown for said in fields.values()]
    expected = [commitments[path] for _, commitments, fields in shown for path in fields]
    # 43 letters are 32 bytes and two bits more, which are 0; together with an A they are 33 bytes, of which the last is 0.
    salts = "A".join([*texts, ""])
    keys = binascii.a2b_base64(salts.encode("ascii").translate(STANDARD))
    if not texts:
        return True
    if {*map(len, texts), *map(len, expected)} != {43} or len(keys) != 33 * len(texts) or any(keys[32::33]):
        return False
    inner, outer, at, found, digest = keys.translate(INNER), keys.translate(OUTER), 0, [], hashlib.sha256
    for event_id, _, fields in shown:
        for path, said in fields.items():
            message = f"{event_id}{path}\0{canonical(said['value'])}".encode()
            within = digest(inner[at : at + 32] + INNER_REST + message).digest()
            found.append(digest(outer[at : at + 32] + OUTER_REST + within).digest())
            at += 33
    made = binascii.b2a_base64(b"\0".join([*found, b""]), newline=False).translate(URL_SAFE).decode()
    is_plain = (
        all(len(said) == 2 for _, _, fields in shown for said in fields.values())
        and "+" not in salts
        and "/" not in salts
    )
    return is_plain and made == "A".join([*expected, ""])


# --- the members of a pack


Members = dict[str, bytes]


def read_members(path: str) -> Members:
    """All files of a pack, zipped or unpacked, by name.

    Raises:
        BrokenError: a container that different programs could read differently, or that is too large.
        UsageError: there is no such file.
    """
    if Path(path).is_dir():
        return _read_folder(Path(path))
    try:
        with Path(path).open("rb") as file:
            return _read_zip(file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise BrokenError(Path(path).name, f"not a readable zip file ({error})") from None


def _check_directory(file: Any) -> None:
    """Refuse a central directory that would fill memory: the library reads it whole, an object for each entry.

    Source: APPNOTE.TXT 6.3.10, 4.3.14 (zip64) and 4.3.16.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(-min(size, 64 * 1024 + 200), io.SEEK_END)  # the last records, and the longest comment
    end, said = file.read(), []
    for mark, offset, width in ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8)):
        at = end.rfind(mark)
        said.append(int.from_bytes(end[at + offset : at + offset + width], "little") if at >= 0 else 0)
    file.seek(0)
    short, wide = said
    found = wide if wide and short == 0xFFFFFFFF else max(said)
    if found > MAX_DIRECTORY_BYTES:
        raise BrokenError("the container", f"a directory of {found} bytes; at most {MAX_DIRECTORY_BYTES} are read")


def _read_zip(file: Any) -> Members:
    members: Members = {}
    _check_directory(file)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise BrokenError("the container", f"{len(infos)} members; at most {MAX_MEMBERS} are read")
        _check_layout(file, archive, infos)
        total = 0
        for info in infos:
            _check_name(info.orig_filename)
            if info.filename in members:
                raise BrokenError(info.filename, "stands twice in the container")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BrokenError(info.filename, "encrypted, or compressed in an unusual way")
            with archive.open(info) as member:
                data = member.read(min(MAX_MEMBER_BYTES, MAX_TOTAL_BYTES - total) + 1)
            total += len(data)
            if len(data) > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
                raise BrokenError(
                    info.filename, f"too large; at most {MAX_MEMBER_BYTES} bytes, {MAX_TOTAL_BYTES} in all"
                )
            members[info.filename] = data
    if infos[:1] and (infos[0].filename != "mimetype" or infos[0].compress_type != zipfile.ZIP_STORED):
        raise BrokenError("mimetype", "must be the first member, uncompressed")
    return members


def _check_layout(file: Any, archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Members lie one after another and nothing between: what one program shows, every other shows too."""
    offset = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        file.seek(info.header_offset)
        header = file.read(30)
        if info.header_offset != offset or header[:4] != b"PK\3\4":
            raise BrokenError(info.filename, "hidden bytes lie before it, or it overlaps another member")
        name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
        offset += 30 + name + extra + info.compress_size
        if info.flag_bits & 8:  # a descriptor follows the data: 12 or 20 bytes, and 4 of signature
            file.seek(offset)
            offset += (4 if file.read(4) == b"PK\7\10" else 0) + (20 if info.compress_size > 0xFFFFFFFF else 12)
    if offset != archive.start_dir or archive.comment:
        raise BrokenError("the container", "bytes that belong to no member")


def _check_name(name: str) -> None:
    parts = name.split("/")
    is_plain = re.fullmatch(r"[A-Za-z0-9._/-]{1,200}", name)
    if not is_plain or any(part in ("", ".", "..") for part in parts):
        raise BrokenError(plain(name)[:200], "a name that may lead outside the pack or cannot stand in one")


def _read_folder(folder: Path) -> Members:
    """The members of an unpacked pack; what else lies in its top folder is no part of it."""
    members: Members = {}
    total = 0
    for path in sorted(folder.rglob("*")):
        member = path.relative_to(folder).as_posix()
        if ("/" not in member and member not in SINGLE) or (path.is_dir() and not path.is_symlink()):
            continue
        _check_name(member)
        if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_MEMBER_BYTES:
            raise BrokenError(member, f"a link, or more than {MAX_MEMBER_BYTES} bytes")
        members[member] = path.read_bytes()
        total += len(members[member])
        if total > MAX_TOTAL_BYTES or len(members) > MAX_MEMBERS:
            raise BrokenError(member, "the folder is too large for a pack")
    return members


# --- the checks, in the order in which they rest on each other


class Event(NamedTuple):
    """An event of the pack and its leaf_index in the log."""

    number: str
    member: str
    leaf_index: int
    fields: dict[str, Any]


class Check:
    """The checks of one pack.

    Attributes:
        findings: what was established so far, in order.
        about: what the pack says it is, in a line.
        is_vouched: a key from outside signed both the checkpoint and the trail head.
    """

    def __init__(self, members: Members, trust: Trust, openssl: str) -> None:
        self.members = members
        self.trust = trust
        self.openssl = openssl
        self.findings: list[Finding] = []
        self.about = ""
        self.fingerprints: list[str] = []
        self.is_vouched = False
        self.events: list[Event] = []
        self.disclosed: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Every check.

        Raises:
            BrokenError: the first thing that does not hold.
        """
        self._check_members()
        self._check_sums()
        self._check_head()
        self._check_events()
        self._check_trail()
        self._check_disclosures()
        self._check_artifacts()
        self._check_manifest()
        self._check_tokens()

    def _holds(self, text: str, rests_on: str) -> None:
        self.findings.append(Finding("holds", text, rests_on))

    def _open(self, text: str, rests_on: str) -> None:
        self.findings.append(Finding("open", text, rests_on))

    def _check_members(self) -> None:
        for member in sorted(REQUIRED - self.members.keys()):
            raise BrokenError(member, "is missing")
        matches = {member: NUMBERED.fullmatch(member) for member in self.members}
        numbers = sorted({int(m[1] or m[2]) for m in matches.values() if m})
        wanted = range(1, max(1, len(numbers)) + 1)
        for number, found in zip(wanted, [*numbers, 0]):  # noqa: B905  strict needs 3.10
            if number != found:
                raise BrokenError(f"events/{number:04d}.json", "is missing")
        known = {name for n in wanted for name in (f"events/{n:04d}.json", f"proofs/{n:04d}.tlog-proof")} | SINGLE
        for member in sorted(known - SINGLE - self.members.keys()):
            raise BrokenError(member, "is missing")
        for member in sorted(self.members.keys() - known):
            if not ORIGINAL.fullmatch(member) and not OTHER.fullmatch(member):
                raise BrokenError(member, "is no part of this format; nothing vouches for it")
        if self.members["mimetype"] != MIME_TYPE:
            raise BrokenError("mimetype", f"{self.members['mimetype'][:60]!r}, not {MIME_TYPE.decode()}")

    def _check_sums(self) -> None:
        listed: dict[str, str] = {}
        for line in self.members["SHA256SUMS"].decode("ascii", "replace").splitlines():
            digest, separator, member = line[:64], line[64:66], line[66:]
            if separator != "  " or not re.fullmatch("[0-9a-f]{64}", digest) or member in listed:
                raise BrokenError("SHA256SUMS", f"the line {plain(line)[:100]!r} is not a digest and a name, once each")
            listed[member] = digest
        own = {m for m in self.members if m != "SHA256SUMS" and not m.startswith("META-INF/")}
        for member in sorted(own ^ listed.keys()):
            raise BrokenError(
                member, "is listed in SHA256SUMS but missing" if member in listed else "is not listed in SHA256SUMS"
            )
        for member, digest in listed.items():
            found = hashlib.sha256(self.members[member]).hexdigest()
            if found != digest:
                raise BrokenError(member, f"has SHA-256 {found}, SHA256SUMS says {digest}")
        self._holds(
            f"The {len(listed)} files are the ones SHA256SUMS lists: nothing was damaged on the way.",
            "nobody, and it proves no origin",
        )

    def _check_head(self) -> None:
        self.head = parse_checkpoint("log/checkpoint", self.members["log/checkpoint"])
        try:
            copies = parse_policy(self.members["log/policy"].decode("utf-8", "surrogateescape")).logs
        except ValueError as error:
            raise BrokenError("log/policy", str(error)) from None
        own = _signers_or_refuse("log/checkpoint", self.head, copies, "a key of log/policy")
        self.vouched = vouch("log/checkpoint", self.head, self.trust, own)
        self.fingerprints = [key.fingerprint() for key in self.vouched.keys or own]
        told = f"The head of the log {self.head.origin} at {self.head.size} events (root {self.head.root.hex()})"
        if self.vouched.by:
            self._holds(
                f"{told} is vouched for by {' and '.join(self.vouched.by)}.",
                "that you have this from the log's keeper or a witness, not from whoever gave you the pack",
            )
        else:
            self._open(
                f"{told} is signed by a key of which this pack holds a copy. Give --log-key, or compare its fingerprint by another way.",
                "whoever made the pack",
            )
        self.keys = self.vouched.keys or own

    def _check_events(self) -> None:
        before = -1
        recorded = ""
        for n in range(1, sum(m.startswith("events/") for m in self.members) + 1):
            member, proof = f"events/{n:04d}.json", f"proofs/{n:04d}.tlog-proof"
            leaf = self.members[member]
            if len(leaf) > MAX_LEAF_BYTES:
                raise BrokenError(member, f"{len(leaf)} bytes; an event has at most {MAX_LEAF_BYTES}")
            index, hashes = self._read_proof(proof)
            root = root_of_proof(leaf_hash(leaf), index, self.head.size, hashes)
            if root != self.head.root:
                led = root.hex() if root else "no root"
                raise BrokenError(
                    member,
                    f"with {proof} it leads to {led}, the checkpoint says {self.head.root.hex()}: the event or its proof was altered",
                )
            if index <= before:
                raise BrokenError(proof, f"index {index} after {before}: events stand in the order of the log")
            event = Event(f"{n:04d}", member, index, self._read_event(member, leaf))
            if event.fields["recorded_at"] < recorded:
                raise BrokenError(
                    member, f"recorded at {event.fields['recorded_at']}, before the one in front of it ({recorded})"
                )
            before, recorded = index, event.fields["recorded_at"]
            self.events.append(event)
        first = self.events[0].fields["recorded_at"]
        self._holds(
            f"{len(self.events)} events, recorded from {first} to {recorded}, stand unaltered in the log under that head (RFC 6962).",
            "SHA-256, and for the times the keeper's clock",
        )

    def _read_proof(self, member: str) -> tuple[int, list[bytes]]:
        head, _, note = self.members[member].partition(b"\n\n")
        if note != self.head.raw:
            raise BrokenError(member, "carries another checkpoint than log/checkpoint")
        try:
            lines = head.decode("ascii").split("\n")
            if lines[0] != PROOF_HEADER:
                raise ValueError
            if lines[1].startswith("extra "):
                del lines[1]
            word, _, index = lines[1].partition(" ")
            hashes = [_base64(line) for line in lines[2:]]
            if (
                word != "index"
                or not COUNT.fullmatch(index)
                or any(len(each) != 32 for each in hashes)
                or len(hashes) > 64
            ):
                raise ValueError
        except (IndexError, ValueError):
            raise BrokenError(member, "not a C2SP tlog-proof") from None
        return int(index), hashes

    def _read_event(self, member: str, leaf: bytes) -> dict[str, Any]:
        fields = shaped(member, read_json(member, leaf), dict, "the event")
        if fields.get("v") != 1:
            raise BrokenError(member, "of a later format version; use a later verifier")
        for name, kind in (("id", str), ("stream", str), ("type", str), ("recorded_at", str), ("version", int)):
            shaped(member, fields.get(name), kind, f"its field {name!r}")
        shaped(member, fields.get("commit", {}), dict, "its field 'commit'")
        for artifact in shaped(member, fields.get("artifacts", []), list, "its field 'artifacts'"):
            shaped(member, artifact, str, "an id in its field 'artifacts'")
        return dict(fields)

    # --- the trail

    def _check_trail(self) -> None:
        trail = shaped("trail.json", read_json("trail.json", self.members["trail.json"]), dict, "the trail")
        if trail.get("format") != TRAIL_FORMAT:
            raise BrokenError("trail.json", f"its format is not {TRAIL_FORMAT}")
        message = shaped("trail.json", trail.get("message"), str, "message")
        streams = shaped("trail.json", trail.get("streams"), dict, "streams")
        if trail.get("tree_size") != self.head.size:
            raise BrokenError(
                "trail.json", f"tree_size {trail.get('tree_size')!r}, the checkpoint says {self.head.size}"
            )
        self._check_trail_head(streams)
        self._check_versions(streams, shaped("trail.json", trail.get("beside", []), list, "beside"))
        chosen = self._check_recipients(message, trail.get("recipients"), streams)
        self.about = f"Evidence of message {message}, {chosen}: {len(self.events)} events of the log {self.head.origin}"

    def _check_trail_head(self, streams: dict[str, Any]) -> None:
        note = parse_note("log/trail-head", self.members["log/trail-head"])
        lines = [TRAIL_HEAD, self.head.origin, str(self.head.size)]
        lines += [f"{stream} {version}" for stream, version in sorted(streams.items())]
        said = note.text[:-1].split("\n")
        for number, (expected, found) in enumerate(zip(lines + [""] * len(said), said + [""] * len(lines)), 1):  # noqa: B905  strict needs 3.10
            if expected != found:
                raise BrokenError(
                    "log/trail-head",
                    f"line {number} is {plain(found)[:80]!r}, trail.json and the checkpoint say {plain(expected)[:80]!r}",
                )
        good = [key for key in signers("log/trail-head", note, self.keys) if key.name == self.head.origin]
        if not good and (self.trust.keys or self.trust.policy):
            raise BrokenError("log/trail-head", "not signed by the key you gave, though the checkpoint is")
        if not good:
            raise BrokenError("log/trail-head", "not signed by a key that signed the checkpoint")
        self.is_vouched = bool(self.vouched.by and self.vouched.keys)
        text = "The log's key also signed that nothing followed in these streams at that size: the trail is complete up to there."
        rests = "the keeper of the ledger; this line alone rests on its word, so ask for a later pack when in doubt"
        if self.is_vouched or not self.vouched.by:
            self._holds(text, rests)
        else:
            self._open(
                "That nothing followed is signed by a key that nothing from outside vouches for: give --log-key.",
                "whoever made the pack",
            )

    def _check_versions(self, streams: dict[str, Any], beside: list[Any]) -> None:
        """Versions 1…n of each stream, and nothing else but events that are there to commit to an original."""
        seen: dict[str, int] = {}
        for event in self.events:
            stream, version = event.fields["stream"], event.fields["version"]
            if stream not in streams and event.number in beside:
                continue
            if stream not in streams:
                raise BrokenError(event.member, f"stands in stream {plain(stream)}, which is not one of this trail")
            if version != seen.get(stream, 0) + 1:
                raise BrokenError(
                    event.member,
                    f"version {version} of stream {plain(stream)} where {seen.get(stream, 0) + 1} belongs: an event is missing or doubled",
                )
            seen[stream] = version
        for stream, last in streams.items():
            shaped("trail.json", last, int, "a stream's last version")
            if seen.get(stream, 0) != last:
                raise BrokenError(
                    "trail.json",
                    f"stream {plain(stream)} ends at version {last}; the events here end at {seen.get(stream, 0)}",
                )
        self._holds(
            f"In each of the {len(streams)} streams of this trail the versions run 1, 2, 3 … without a hole.",
            "nobody but the log's head",
        )

    def _check_recipients(self, message: str, recipients: Any, streams: dict[str, Any]) -> str:
        """That the streams of all recipients asked for are there; of all that were declared, when no choice was made."""
        if recipients is None:
            declared = 0
            for event in self.events:
                first, count = event.fields.get("first"), event.fields.get("count")
                if event.fields["stream"] == message and isinstance(first, int) and isinstance(count, int):
                    declared = max(declared, first + count)
            if declared > MAX_DECLARED:
                raise BrokenError("trail.json", f"{declared} recipients; at most {MAX_DECLARED} are read")
            recipients, chosen = list(range(declared)), f"all of its {declared} recipients"
        else:
            shaped("trail.json", recipients, list, "recipients")
            chosen = (
                f"recipients {', '.join(str(shaped('trail.json', r, int, 'a recipient')) for r in recipients)} only"
            )
        for stream in [message, *(f"{message}/{index}" for index in recipients)]:
            if stream not in streams:
                raise BrokenError("trail.json", f"lacks stream {stream}, though the pack is to be about {chosen}")
        return chosen

    # --- values and originals

    def _check_disclosures(self) -> None:
        found = shaped(
            "disclosures.json", read_json("disclosures.json", self.members["disclosures.json"]), dict, "the disclosures"
        )
        if found.get("format") != DISCLOSURES_FORMAT:
            raise BrokenError("disclosures.json", f"its format is not {DISCLOSURES_FORMAT}")
        events = {event.number: event for event in self.events}
        shown: dict[str, dict[str, Any]] = shaped("disclosures.json", found.get("events"), dict, "events")
        for number, fields in shown.items():
            if number not in events:
                raise BrokenError("disclosures.json", f"tells of event {plain(number)}, which is not here")
            shaped("disclosures.json", fields, dict, f"event {number}")
        is_open = all_open([(events[n].fields["id"], events[n].fields.get("commit", {}), shown[n]) for n in shown])
        for number, fields in () if is_open else shown.items():
            for path, said in fields.items():
                self._check_value(events[number], path, said)
        self.disclosed = shown
        opened = sum(map(len, shown.values()))
        committed = sum(len(event.fields.get("commit", {})) for event in self.events)
        self._holds(
            f"{opened} of {committed} committed values are shown, each exactly as it was recorded; the others are withheld or erased.",
            "SHA-256; a value says what was recorded, not that it is true",
        )

    def _check_value(self, event: Event, path: str, said: Any) -> None:
        expected = event.fields.get("commit", {}).get(path)
        if not isinstance(said, dict) or said.keys() != {"salt", "value"} or not isinstance(expected, str):
            where = plain(f"{path} of event {event.number}")
            raise BrokenError("disclosures.json", f"{where} is not a salt and a value of a field committed to")
        try:
            found = commitment(_salt(said["salt"]), event.fields["id"], path, said["value"])
        except (ValueError, RecursionError):
            raise BrokenError("disclosures.json", f"{plain(path)} of event {event.number} cannot be read") from None
        if found != expected:
            raise BrokenError(
                "disclosures.json",
                f"{plain(path)} of event {event.number} gives commitment {found}, "
                f"the event has {plain(expected)}: salt or value was altered",
            )

    def _check_artifacts(self) -> None:
        entries = shaped(
            "artifacts.json", read_json("artifacts.json", self.members["artifacts.json"]), list, "the list"
        )
        events = {event.number: event for event in self.events}
        named, withheld, seen = set(), 0, set()
        for entry in entries:
            shaped("artifacts.json", entry, dict, "an entry")
            artifact = shaped("artifacts.json", entry.get("artifact"), str, "'artifact'")
            event = events.get(shaped("artifacts.json", entry.get("event"), str, "'event'"))
            if event is None or artifact not in event.fields.get("artifacts", []) or artifact in seen:
                raise BrokenError(
                    "artifacts.json",
                    f"original {plain(str(artifact))[:60]} is not one of the event it names, or stands twice",
                )
            seen.add(artifact)
            if "path" in entry:
                named.add(self._check_original(event, entry))
            else:
                shaped("artifacts.json", entry.get("withheld"), str, "'path' or 'withheld'")
                withheld += 1
        for event in self.events:
            for artifact in event.fields.get("artifacts", []):
                if artifact not in seen:
                    raise BrokenError(
                        "artifacts.json",
                        f"says nothing of original {plain(str(artifact))[:60]} of event {event.number}",
                    )
        for member in sorted(self.members):
            if member.startswith(ARTIFACT_PATHS) and member not in named and member[:-4] not in named:
                raise BrokenError(member, "artifacts.json does not name it; no event vouches for it")
        rest = f" {withheld} others are left out; artifacts.json says why." if withheld else ""
        self._holds(
            f"{len(named)} originals are, byte for byte, the ones recorded in the log.{rest}",
            "the provider, for what its originals say",
        )

    def _check_original(self, event: Event, entry: dict[str, Any]) -> str:
        path = shaped("artifacts.json", entry["path"], str, "a path")
        field = f"artifact.{event.fields['artifacts'].index(entry['artifact'])}"
        value = self.disclosed.get(event.number, {}).get(field, {}).get("value")
        if path not in self.members or not ORIGINAL.fullmatch(path):
            raise BrokenError(plain(path)[:200], "is named by artifacts.json but missing")
        if not isinstance(value, dict):
            raise BrokenError(
                path, f"its digest ({field} of event {event.number}) is not disclosed, so nothing ties it to the log"
            )
        found = hashlib.sha256(self.members[path]).hexdigest()
        if found != value.get("sha256"):
            raise BrokenError(
                path, f"has SHA-256 {found}, event {event.number} committed to {plain(str(value.get('sha256')))[:64]}"
            )
        return str(path)

    # --- seal and time

    def _check_manifest(self) -> None:
        loose = "The README, the report, this list of files and verify.py are texts beside the evidence"
        if MANIFEST not in self.members:
            if SEAL in self.members:
                raise BrokenError(MANIFEST, "is missing, though there is a signature over it")
            self._open(f"{loose}; this pack carries no seal over them.", "whoever made the pack")
            return
        listed = _read_manifest(self.members[MANIFEST])
        own = {m for m in self.members if not m.startswith("META-INF/") and m != "mimetype"}
        for member in sorted(own ^ (listed.keys() - {"mimetype"})):
            raise BrokenError(
                member,
                f"is listed in {MANIFEST} but missing"
                if member in listed
                else f"is not covered by the seal: {MANIFEST} does not list it",
            )
        for member, digest in listed.items():
            found = hashlib.sha256(self.members[member]).digest()
            if found != digest:
                raise BrokenError(member, f"has SHA-256 {found.hex()}, {MANIFEST} says {digest.hex()}")
        self._check_seal(loose)

    def _check_seal(self, loose: str) -> None:
        if SEAL not in self.members:
            raise BrokenError(SEAL, f"is missing, though there is {MANIFEST}")
        if not self.openssl:
            self._open(
                f"{loose}. All agree with {MANIFEST}; its signature was not checked: `openssl` 3 or later is not installed here.",
                "whoever made the pack",
            )
            return
        root = self.trust.seal_root
        anchor = _read_file(root) if root else self.members.get("trust/seal-root.pem", b"")
        arguments = (
            "cms",
            "-verify",
            "-cades",
            "-binary",
            "-inform",
            "DER",
            "-in",
            "p7s",
            "-content",
            "xml",
            "-CAfile",
            "root",
        )
        files = {"p7s": self.members[SEAL], "xml": self.members[MANIFEST], "root": anchor}
        error = self._openssl(files, *arguments, "-purpose", "any", "-out", "out")
        if error:
            raise BrokenError(
                SEAL, f"openssl does not accept the seal under {root or 'the copy of its root in the pack'}: {error}"
            )
        if root:
            self._holds(
                f"{loose}; they are sealed under the root you gave.",
                "that root, for who sealed; the seal says nothing about the log",
            )
        else:
            self._open(
                f"{loose}. The seal over them is intact, but its root is a copy out of this pack: give --seal-root.",
                "whoever made the pack",
            )

    def _check_tokens(self) -> None:
        tokens = sorted(m for m in self.members if m.endswith(".tst"))
        if not tokens:
            self._open(
                "No time-stamp of an independent authority: the times rest on the keeper's and the providers' clocks.",
                "the keeper and the providers",
            )
            return
        if not self.openssl:
            self._open(
                f"{len(tokens)} time-stamps were not checked: `openssl` 3 or later is not installed here.",
                "whoever made the pack",
            )
            return
        root = self.trust.tsa_root
        anchor = _read_file(root) if root else self.members.get("trust/tsa-root.pem", b"")
        times = [f"{token[:-4]} at {self._check_token(token, anchor, root)}" for token in tokens]
        text = f"Time-stamps show that these existed: {'; '.join(times)}"
        if root:
            self._holds(f"{text}.", "the time-stamp authority whose root you gave")
        else:
            self._open(
                f"{text}; the authority's root is a copy out of this pack: give --tsa-root.", "whoever made the pack"
            )

    def _check_token(self, token: str, anchor: bytes, root: str) -> str:
        subject = token[:-4]
        if subject not in self.members:
            raise BrokenError(token, f"a time-stamp of {subject}, which is not here")
        files = {"tst": self.members[token], "data": self.members[subject], "root": anchor}
        output: list[str] = []
        error = self._openssl(files, "ts", "-reply", "-token_in", "-in", "tst", "-text", output=output)
        said = re.search(r"^Time stamp: (.*)$", "".join(output), re.MULTILINE)
        if error or not said:
            raise BrokenError(token, f"openssl cannot read it: {error or 'it names no time'}")
        moment = re.sub(r"\.[0-9]+", "", said[1]).strip()
        at = str(timegm(strptime(moment, "%b %d %H:%M:%S %Y GMT")))
        error = self._openssl(
            files, "ts", "-verify", "-data", "data", "-token_in", "-in", "tst", "-CAfile", "root", "-attime", at
        )
        if error:
            raise BrokenError(
                token, f"openssl does not accept it under {root or 'the copy of the root in the pack'}: {error}"
            )
        return moment

    def _openssl(self, files: dict[str, bytes], *arguments: str, output: list[str] | None = None) -> str:
        """Run openssl in a folder of its own; returns "" or what it complains of."""
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            try:
                done = subprocess.run(
                    [self.openssl, *arguments],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=OPENSSL_TIMEOUT_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                return f"it did not run ({type(error).__name__})"
        if output is not None:
            output.append(done.stdout.decode("utf-8", "replace"))
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return "" if done.returncode == 0 else plain("; ".join(lines[-3:]))[:400] or f"exit {done.returncode}"


# --- exports of the log


EXPORT_FORMAT = "delivery-ledger export v1"
EXPORT_EVENTS, EXPORT_LEFT_OUT = "events.jsonl", "left-out.txt"
BLOCK_BYTES = 2 * 1024 * 1024
SERIAL_BYTES = 64 * 1024 * 1024
Lines = tuple[list[bytes], list[str], list[int], str]
decode_json = json.JSONDecoder().raw_decode


def _read_block(path: str, begin: int, size: int) -> Lines:
    """The leaf hashes of some lines of a file, their streams and versions, and what is wrong with one of them."""
    with Path(path).open("rb") as file:
        file.seek(begin)
        data = file.read(size)
    return (data.isascii() and _read_together(data)) or _read_one_by_one(data[:-1].split(b"\n"))


def _read_together(data: bytes) -> Lines | None:
    """As `_read_one_by_one`, twice as fast, if each line is an event and nothing else; a character of the text is one byte."""
    hashes: list[bytes] = []
    streams: list[str] = []
    versions: list[int] = []
    text, view, begun, at = data.decode("ascii"), memoryview(data), hashlib.sha256(b"\0"), 0
    try:
        while at < len(text):
            fields, end = decode_json(text, at)
            if text[end] != "\n":
                return None
            stream, version = fields["stream"], fields["version"]
            streams.append(stream)
            versions.append(version)
            leaf = begun.copy()
            leaf.update(view[at:end])
            hashes.append(leaf.digest())
            at = end + 1
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None  # the line is told by who reads them one by one
    if len(hashes) != data.count(b"\n") or set(map(type, streams)) != {str} or set(map(type, versions)) != {int}:
        return None
    return hashes, streams, versions, ""


def _read_one_by_one(lines: list[bytes]) -> Lines:
    hashes, streams, versions, wrong = [], [], [], ""
    for line in lines:
        hashes.append(leaf_hash(line))
        try:
            fields = json.loads(line)
            streams.append(str(fields["stream"]))
            versions.append(int(fields["version"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            wrong = f"the line {plain(line[:60].decode('utf-8', 'replace'))}… is not an event"
            break
    return hashes, streams, versions, wrong


def _blocks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """The file in pieces that end with a line, each as two that belong together: so nothing of it is copied."""
    with path.open("rb") as file:
        while piece := file.read(BLOCK_BYTES):
            rest = b"" if piece.endswith(b"\n") else file.readline(MAX_LEAF_BYTES + 1)
            if len(rest) > MAX_LEAF_BYTES:
                raise BrokenError(path.name, f"a line of more than {MAX_LEAF_BYTES} bytes")
            if not (rest or piece).endswith(b"\n"):
                raise BrokenError(path.name, "its last line has no end")
            yield piece, rest


def _read_lines(path: Path, digest: Any) -> Iterator[Lines]:
    """All lines in order, while their bytes are digested; large files are read by all processors."""
    begin = 0
    is_large = path.stat().st_size >= SERIAL_BYTES
    workers = os.cpu_count() or 1
    pool = ProcessPoolExecutor(workers, get_context("spawn"), gc.disable) if is_large else None
    waiting: deque[Future[Lines]] = deque()
    try:
        for piece, rest in _blocks(path):
            size = len(piece) + len(rest)
            if pool is None:
                yield _read_block(str(path), begin, size)
            else:
                waiting.append(pool.submit(_read_block, str(path), begin, size))
            digest.update(piece)
            digest.update(rest)
            begin += size
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        if pool is not None:
            pool.shutdown()


class Export(NamedTuple):
    """The manifest of an export.

    Attributes:
        after: the position before its first.
        events, left_out: how many stand in either file.
        choice: in words.
        digests: SHA-256 of the two files, hex.
        peaks: roots of the perfect subtrees over what came before.
    """

    head: list[str]
    after: int
    events: int
    left_out: int
    choice: str
    digests: tuple[str, str]
    peaks: list[bytes]


def _read_export(text: str) -> Export:
    lines = text.split("\n")[:-1]
    try:
        positions = re.fullmatch(r"positions ([1-9][0-9]{0,15}) to ([1-9][0-9]{0,15})", lines[4])
        counts = [
            re.fullmatch(rf"{word} ({COUNT.pattern})", line)
            for word, line in (("events", lines[5]), ("left out", lines[6]))
        ]
        names = ((EXPORT_EVENTS, lines[8]), (EXPORT_LEFT_OUT, lines[9]))
        digests = [re.fullmatch(rf"([0-9a-f]{{64}})  {name}", line) for name, line in names]
        peaks = [_base64(line[len("before ") :]) for line in lines[10:] if line.startswith("before ")]
        if (
            lines[0] != EXPORT_FORMAT
            or not positions
            or positions[2] != lines[2]
            or not all(counts)
            or not all(digests)
        ):
            raise ValueError
        if (
            len(peaks) != len(lines) - 10
            or any(len(peak) != 32 for peak in peaks)
            or not lines[7].startswith("choice ")
        ):
            raise ValueError
    except (IndexError, ValueError):
        raise BrokenError("manifest", "not the manifest of an export of this format") from None
    said = [int(match[1]) for match in counts if match], [match[1] for match in digests if match]
    return Export(
        lines[1:4], int(positions[1]) - 1, said[0][0], said[0][1], lines[7][7:], (said[1][0], said[1][1]), peaks
    )


def vouch_both(head: Checkpoint, manifest: Note, trust: Trust, what: str) -> tuple[Vouched, Finding]:
    """As `vouch`, for a checkpoint and a manifest beside it that the same keys sign, and what came of it in words."""
    vouched = vouch("checkpoint", head, trust, ())
    if vouched.keys and not signers("manifest", manifest, vouched.keys):
        raise BrokenError("manifest", "not signed by the key you gave, though the checkpoint is")
    told = f"The head at {head.size} events (root {head.root.hex()})"
    if vouched.by:
        text = f"{told} is vouched for by {' and '.join(vouched.by)}."
        return vouched, Finding("holds", text, f"that you have this from elsewhere than the {what}")
    text = f"{told} is signed by somebody; beside the {what} lie no keys, so give --log-key or --checkpoint."
    return vouched, Finding("open", text, f"whoever made the {what}")


class ExportCheck:
    """The checks of one export; `findings`, `about`, `fingerprints` and `is_vouched` are as those of `Check`."""

    def __init__(self, folder: Path, trust: Trust) -> None:
        self.folder = folder
        self.trust = trust
        self.findings: list[Finding] = []
        self.about = ""
        self.fingerprints: list[str] = []
        self.is_vouched = False
        self.peaks: list[bytes] = []
        self.size = 0

    def run(self) -> None:
        """Every check.

        Raises:
            BrokenError: the first thing that does not hold.
        """
        for name in ("manifest", "checkpoint", EXPORT_EVENTS, EXPORT_LEFT_OUT):
            path = self.folder / name
            if not path.is_file() or path.is_symlink():
                raise BrokenError(name, "is missing, or is no plain file")
        head = parse_checkpoint("checkpoint", _read_file(str(self.folder / "checkpoint")))
        note = parse_note("manifest", _read_file(str(self.folder / "manifest")))
        said = _read_export(note.text)
        if said.head != head.note.text.split("\n")[:3]:
            raise BrokenError("manifest", "is about another head than the checkpoint beside it")
        self.about = f"Export of the log {head.origin}, positions {said.after + 1} to {head.size}, {said.choice}"
        self._check_vouched(head, note)
        self._check_digest(EXPORT_LEFT_OUT, said.digests[1], _sha256_of(self.folder / EXPORT_LEFT_OUT))
        try:
            events, dropped = self._check_lines(head, said)
        except BrokenError:
            # That the file is another one says more than what is wrong in it.
            self._check_digest(EXPORT_EVENTS, said.digests[0], _sha256_of(self.folder / EXPORT_EVENTS))
            raise
        self._compare_root(head, said, events, dropped)

    @staticmethod
    def _check_digest(name: str, said: str, found: str) -> None:
        if found != said:
            raise BrokenError(name, f"has SHA-256 {found}, the manifest says {said}")

    def _check_vouched(self, head: Checkpoint, manifest: Note) -> None:
        vouched, finding = vouch_both(head, manifest, self.trust, "export")
        self.is_vouched = bool(vouched.by)
        self.fingerprints = [key.fingerprint() for key in vouched.keys]
        self.findings.append(finding)

    def _add(self, leaves: Iterable[bytes]) -> None:
        peaks, size, digest = self.peaks, self.size, hashlib.sha256
        for leaf in leaves:
            node, rest = leaf, size
            while rest & 1:
                node = digest(b"\1" + peaks.pop() + node).digest()
                rest >>= 1
            peaks.append(node)
            size += 1
        self.size = size

    def _check_lines(self, head: Checkpoint, said: Export) -> tuple[int, int]:
        """Every position of the range stands in one of the files; versions have no holes. Returns how many stand in either."""
        if len(said.peaks) != bin(said.after).count("1") or said.after >= head.size:  # noqa: FURB161  bit_count needs 3.10
            raise BrokenError("manifest", f"{len(said.peaks)} subtrees do not stand for {said.after} events before")
        self.size, self.peaks = said.after, list(said.peaks)
        is_complete = said.choice.endswith(" types *")
        left_out = _read_left_out(self.folder / EXPORT_LEFT_OUT)
        due = next(left_out, None)
        last: dict[str, int] = {}
        digest, events, dropped = hashlib.sha256(), 0, 0
        for hashes, streams, versions, wrong in _read_lines(self.folder / EXPORT_EVENTS, digest):
            done = 0
            while due is not None and due[0] <= self.size + len(hashes) - done + 1:
                between = due[0] - self.size - 1
                if between < 0:
                    break
                self._add(hashes[done : done + between])
                self._add([due[1]])
                done, due, dropped = done + between, next(left_out, None), dropped + 1
            self._add(hashes[done:])
            for stream, version in zip(streams, versions):  # noqa: B905  strict needs 3.10
                before = last.get(stream, version - 1 if said.after or not is_complete else 0)
                if version <= before or (is_complete and version != before + 1):
                    why = f"version {version} of stream {plain(stream)} after {before}: an event is missing or doubled"
                    raise BrokenError(EXPORT_EVENTS, why)
                last[stream] = version
            if wrong:
                raise BrokenError(EXPORT_EVENTS, wrong)
            events += len(hashes)
        while due is not None and due[0] == self.size + 1:
            self._add([due[1]])
            due, dropped = next(left_out, None), dropped + 1
        if due is not None:
            raise BrokenError(EXPORT_LEFT_OUT, f"position {due[0]} where {self.size + 1} belongs")
        self._check_digest(EXPORT_EVENTS, said.digests[0], digest.hexdigest())
        return events, dropped

    def _compare_root(self, head: Checkpoint, said: Export, events: int, dropped: int) -> None:
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        if (self.size, root) != (head.size, head.root):
            sides = (
                f"give root {root.hex()} at {self.size} events, the checkpoint says {head.root.hex()} at {head.size}"
            )
            raise BrokenError(EXPORT_EVENTS, f"with {EXPORT_LEFT_OUT} the events {sides}")
        if (events, dropped) != (said.events, said.left_out):
            sides = f"{events} events and {dropped} left out; it says {said.events} and {said.left_out}"
            raise BrokenError("manifest", sides)
        text = f"{events} events stand unaltered and in order in the log under that head; {dropped} were left out, each by its leaf hash."
        self.findings.append(Finding("holds", text, "SHA-256"))


def _read_left_out(path: Path) -> Iterator[tuple[int, bytes]]:
    for block in _blocks(path):
        for line in b"".join(block)[:-1].split(b"\n"):
            match = re.fullmatch(rb"([1-9][0-9]{0,15}) ([0-9a-f]{64})", line)
            if not match:
                raise BrokenError(path.name, "a line that is not a position and a leaf hash")
            yield int(match[1]), bytes.fromhex(match[2].decode())


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(BLOCK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _read_manifest(data: bytes) -> dict[str, bytes]:
    """Member -> SHA-256, as the ASiCManifest (EN 319 162-1) lists them."""
    asic, ds = "{http://uri.etsi.org/02918/v1.2.1#}", "{http://www.w3.org/2000/09/xmldsig#}"
    listed: dict[str, bytes] = {}
    try:
        text = data.decode("utf-8")
        if "<!" in text or "\0" in text:
            raise ValueError("declarations are refused")
        for reference in ET.fromstring(text).iter(f"{asic}DataObjectReference"):  # noqa: S314  a document without declarations expands nothing
            method, value = reference.find(f"{ds}DigestMethod"), reference.find(f"{ds}DigestValue")
            member = reference.get("URI", "")
            if (
                method is None
                or value is None
                or method.get("Algorithm") != "http://www.w3.org/2001/04/xmlenc#sha256"
                or member in listed
            ):
                raise ValueError(f"{plain(member)[:80]} has no SHA-256, or two")
            listed[member] = _base64((value.text or "").strip())
    except (ValueError, ET.ParseError) as error:
        raise BrokenError(MANIFEST, f"cannot be read ({error})") from None
    return listed


# --- reports


REPORT_FORMAT = "delivery-ledger report v1"
REPORT_HEADER = "header.json"
REPORT_LINE = re.compile(r"([0-9a-f]{64})  (0|[1-9][0-9]{0,15})  ([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
MAX_LINE_BYTES = 64 * 1024 * 1024
NOT_PROVEN = (
    "That the question was answered rightly, with nothing left out or added, is not shown by any of this: it is what the signer says. "
    "Whoever may read the ledger can ask it again: delivery-ledger report make {query}, with the parameters in header.json."
)


class Report(NamedTuple):
    """The manifest of a report.

    Attributes:
        position, root: of the log, as the rows reflect it.
        files: name -> (SHA-256, bytes); the one with the rows is the first.
        consistency: proof from that root to the checkpoint's.
    """

    head: list[str]
    tenant: str
    query: str
    asked_at: str
    position: int
    root: bytes
    rows: int
    files: dict[str, tuple[str, int]]
    consistency: list[bytes]


REPORT_WORDS = ("tenant ", "query ", "asked at ", "position ", "root ", "rows ")


def _read_report(text: str) -> Report:
    lines = text.split("\n")[:-1]
    try:
        if lines[0] != REPORT_FORMAT or not all(map(str.startswith, lines[4:10], REPORT_WORDS)) or len(lines) < 12:
            raise ValueError
        tenant, query, asked_at, position, root, rows = (
            line[len(word) :]
            for line, word in zip(lines[4:10], REPORT_WORDS)  # noqa: B905  strict needs 3.10
        )
        proof = [line for line in lines[10:] if line.startswith("consistency ")]
        listed = [REPORT_LINE.fullmatch(line) for line in lines[10 : len(lines) - len(proof)]]
        files = {match[3]: (match[1], int(match[2])) for match in listed if match}
        consistency = [_base64(line[len("consistency ") :]) for line in proof]
        if not COUNT.fullmatch(position) or not COUNT.fullmatch(rows) or len(files) != len(listed):
            raise ValueError
        found = Report(lines[1:4], tenant, query, asked_at, int(position), _base64(root), int(rows), files, consistency)
        if REPORT_HEADER not in files or {"manifest", "checkpoint"} & files.keys() or len(found.root) != 32:
            raise ValueError
    except (IndexError, ValueError):
        raise BrokenError("manifest", "not the manifest of a report of this format") from None
    return found


class ReportCheck:
    """The checks of one report; `findings`, `about`, `fingerprints` and `is_vouched` are as those of `Check`.

    Args:
        opened: name -> its bytes; memory does not grow with the file.
        present: the names of all that lies there.
    """

    def __init__(self, opened: Callable[[str], Any], present: Sequence[str], trust: Trust) -> None:
        self.opened = opened
        self.present = present
        self.trust = trust
        self.findings: list[Finding] = []
        self.about = ""
        self.fingerprints: list[str] = []
        self.is_vouched = False

    def run(self) -> None:
        """Every check.

        Raises:
            BrokenError: the first thing that does not hold.
        """
        head = parse_checkpoint("checkpoint", self._read("checkpoint", MAX_NOTE_BYTES))
        note = parse_note("manifest", self._read("manifest", MAX_NOTE_BYTES))
        said = _read_report(note.text)
        if said.head != head.note.text.split("\n")[:3]:
            raise BrokenError("manifest", "is about another head than the checkpoint beside it")
        self.about = f"Report of {said.tenant}: {said.query} asked at {said.asked_at}, as of position {said.position} of {head.origin}"
        self._check_vouched(head, note)
        self._check_position(head, said)
        for name, (digest, size) in said.files.items():
            self._check_file(name, digest, size)
        text = f"The {len(said.files)} files are the ones that the manifest lists: nothing was changed since it was signed."
        self.findings.append(Finding("holds", text, "the signature of the manifest, and SHA-256"))
        beside = sorted(set(self.present) - {"manifest", "checkpoint", *said.files})
        if beside:
            text = f"Beside them lies what is no part of the report: {', '.join(beside[:10])}{', …' if beside[10:] else ''}."
            self.findings.append(Finding("open", text, "whoever put it there"))
        self._check_rows(said, self._check_header(said))
        self.findings.append(Finding("open", NOT_PROVEN.format(query=said.query), "whoever keeps the ledger"))

    def _read(self, name: str, limit: int) -> bytes:
        with self.opened(name) as file:
            data: bytes = file.read(limit + 1)
        if len(data) > limit:
            raise BrokenError(name, f"more than {limit} bytes")
        return data

    def _check_vouched(self, head: Checkpoint, manifest: Note) -> None:
        vouched, finding = vouch_both(head, manifest, self.trust, "report")
        # A checkpoint you kept says what the log was, not what was answered: only a key vouches for the manifest.
        self.is_vouched = bool(vouched.keys)
        self.fingerprints = [key.fingerprint() for key in vouched.keys]
        self.findings.append(finding)
        if vouched.by and not vouched.keys:
            text = "The manifest is signed by somebody; give --log-key to know whether by the key of this log."
            self.findings.append(Finding("open", text, "whoever made the report"))

    def _check_position(self, head: Checkpoint, said: Report) -> None:
        is_in_log = (
            is_consistent(said.position, said.root, head.size, head.root, said.consistency)
            if said.position
            else said.root == hashlib.sha256(b"").digest() and not said.consistency
        )
        if not is_in_log:
            sides = f"position {said.position} with root {said.root.hex()}, the checkpoint {head.size} with {head.root.hex()}"
            raise BrokenError("manifest", f"the consistency proof does not lead from one to the other: it says {sides}")
        text = (
            f"The log as it was asked, up to position {said.position} (root {said.root.hex()}), lies under that head."
        )
        self.findings.append(Finding("holds", text, "SHA-256"))

    def _check_file(self, name: str, digest: str, size: int) -> None:
        found, read = hashlib.sha256(), 0
        with self.opened(name) as file:
            while read <= size:
                piece = file.read(BLOCK_BYTES)
                if not piece:
                    break
                found.update(piece)
                read += len(piece)
        if (found.hexdigest(), read) != (digest, size):
            told = f"has SHA-256 {found.hexdigest()}" if read <= size else "is longer"
            raise BrokenError(name, f"{told}, {read} bytes read; the manifest says {digest}, {size} bytes")

    def _check_header(self, said: Report) -> list[str]:
        """What the header says is what the manifest says; the names of the columns."""
        try:
            text = self._read(REPORT_HEADER, MAX_NOTE_BYTES).decode()
            header = json.loads(text, object_pairs_hook=_no_doubles)
            names = [column["name"] for column in header["columns"]]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BrokenError(REPORT_HEADER, f"not the header of a report ({str(error)[:100]})") from None
        mine = {"tenant": said.tenant, "query": said.query, "asked_at": said.asked_at, "position": said.position}
        for name, value in {**mine, "root": said.root.hex(), "rows": said.rows}.items():
            if header.get(name) != value:
                raise BrokenError(REPORT_HEADER, f"{name} is {str(header.get(name))[:100]}; the manifest says {value}")
        return names

    def _check_rows(self, said: Report, names: list[str]) -> None:
        member = next(iter(said.files))
        count = {".csv": _count_csv, ".jsonl": _count_jsonl}.get(Path(member).suffix)
        if count is None:
            text = f"{member} has {said.rows} rows, the manifest says; they are not counted in this format."
            self.findings.append(Finding("open", text, "the signature of the manifest"))
            return
        with self.opened(member) as file:
            rows = count(member, file, names)
        if rows != said.rows:
            raise BrokenError(member, f"has {rows} rows, the manifest says {said.rows}")
        text = f"{member} has {rows} rows of {len(names)} columns, as the manifest and header.json say."
        self.findings.append(Finding("holds", text, "counting them"))


def _count_csv(member: str, file: Any, names: list[str]) -> int:
    limit = csv.field_size_limit(MAX_LINE_BYTES)  # of the whole process, so it is put back
    rows = -1
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        try:
            for rows, cells in enumerate(csv.reader(text, strict=True)):
                if len(cells) != len(names) or (not rows and cells != names):
                    raise BrokenError(member, f"row {rows} has other columns than header.json")
        except csv.Error as error:
            raise BrokenError(member, f"not CSV after row {rows} ({error})") from None
        finally:
            csv.field_size_limit(limit)
    if rows < 0:
        raise BrokenError(member, "has no row with the names of the columns")
    return rows


def _count_jsonl(member: str, file: Any, names: list[str]) -> int:
    rows = 0
    while line := file.readline(MAX_LINE_BYTES):
        rows += 1
        row = json.loads(line.decode(), object_pairs_hook=_no_doubles) if line.endswith(b"\n") else None
        if not isinstance(row, dict) or list(row) != names:
            raise BrokenError(member, f"line {rows} is not a whole object with the columns of header.json")
    return rows


def _in_folder(folder: Path) -> Callable[[str], Any]:
    def opened(name: str) -> Any:
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise BrokenError(name, "is missing, or is no plain file")
        return path.open("rb")

    return opened


def _in_zip(archive: zipfile.ZipFile) -> Callable[[str], Any]:
    """The members of a zip file that no two programs can read differently."""
    infos = archive.infolist()
    _check_layout(archive.fp, archive, infos)
    for info in infos:
        _check_name(info.orig_filename)
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BrokenError(info.filename, "encrypted, or compressed in an unusual way")
    if len({info.filename for info in infos}) != len(infos):
        raise BrokenError("the container", "a name stands twice in it")

    def opened(name: str) -> Any:
        if name not in archive.NameToInfo:
            raise BrokenError(name, "is missing")
        return archive.open(name)

    return opened


# --- the command


def plain(text: str) -> str:
    """Text from outside, harmless to a terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "\u00b7", text)


def _read_file(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_MEMBER_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _read_keys(given: str) -> list[Key]:
    """Verifier keys from the text itself, or from the lines of a file."""
    texts = (
        [given]
        if given.count("+") >= 2 and not Path(given).is_file()
        else _read_file(given).decode("utf-8", "replace").split("\n")
    )
    try:
        keys = [parse_key(text) for text in texts if text.strip() and not text.startswith("#")]
    except ValueError as error:
        raise UsageError(f"--log-key {plain(given)[:80]}: {error}") from None
    if not keys:
        raise UsageError(f"--log-key {plain(given)[:80]}: there is no key in it")
    return keys


def _read_hashes(path: str) -> list[bytes]:
    """The hashes of a consistency proof: base64, one a line; other lines (`old 123`, a checkpoint after an empty line) are passed over."""
    found = []
    for line in _read_file(path).decode("utf-8", "replace").partition("\n\n")[0].split("\n"):
        try:
            decoded = _base64(line.strip())
        except ValueError:
            continue
        if len(decoded) == 32:
            found.append(decoded)
    if not found:
        raise UsageError(f"--consistency {path}: no hashes in it; one a line, in base64")
    return found


def read_trust(options: argparse.Namespace) -> Trust:
    """What was given on the command line."""
    policy = kept = None
    if options.policy:
        try:
            policy = parse_policy(_read_file(options.policy).decode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise UsageError(f"--policy {options.policy}: {error}") from None
    if options.checkpoint:
        try:
            kept = parse_checkpoint(options.checkpoint, _read_file(options.checkpoint))
        except BrokenError as error:
            raise UsageError(f"--checkpoint {error}") from None
    for path in (options.seal_root, options.tsa_root):
        if path:
            _read_file(path)
    return Trust(
        keys=[key for given in options.log_key for key in _read_keys(given)],
        policy=policy,
        kept=kept,
        consistency=_read_hashes(options.consistency) if options.consistency else (),
        seal_root=options.seal_root,
        tsa_root=options.tsa_root,
    )


class Outcome(NamedTuple):
    """What became of one path."""

    path: str
    exit_code: int
    verdict: str
    about: str
    fingerprints: list[str]
    findings: list[Finding]


VERDICTS = {
    EXIT_VOUCHED: "It holds, and what you gave from elsewhere vouches for it.",
    EXIT_OPEN: "Consistent in itself; who keeps this ledger is not established.",
}


def _find_openssl() -> str:
    """The program, if it is one that knows CAdES and times to verify at; others, LibreSSL among them, would refuse good seals."""
    program = shutil.which("openssl")
    try:
        told = (
            subprocess.run([program, "version"], capture_output=True, timeout=OPENSSL_TIMEOUT_S, check=False)
            if program
            else None
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return program if program and told and re.match(rb"OpenSSL ([3-9]|[1-9][0-9])\.", told.stdout) else ""


def verify(path: str, trust: Trust, openssl: str | None = None) -> Outcome:
    """Check one pack, export or report.

    Args:
        openssl: the program; "" for none. Default: the one installed.

    Raises:
        UsageError: what was given cannot be used for this pack.
    """
    check: Check | ExportCheck | ReportCheck | None = None
    container = None
    try:
        if Path(path, "manifest").is_file():
            with Path(path, "manifest").open("rb") as file:
                is_report = file.readline(100) == f"{REPORT_FORMAT}\n".encode()
            inside = [each.name for each in Path(path).iterdir()]
            check = ReportCheck(_in_folder(Path(path)), inside, trust) if is_report else ExportCheck(Path(path), trust)
        elif container := _report_container(path):
            check = ReportCheck(_in_zip(container), container.namelist(), trust)
        else:
            check = Check(read_members(path), trust, _find_openssl() if openssl is None else openssl)
        check.run()
    except (BrokenError, ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError) as error:
        # Whatever else a forger finds to trip over is no worse than any other thing that does not hold.
        why = (
            str(error)
            if isinstance(error, BrokenError)
            else f"a file that cannot be read ({type(error).__name__}: {error})"
        )
        findings = check.findings if check else []
        return Outcome(path, EXIT_BROKEN, f"BROKEN: {plain(why)}", check.about if check else "", [], findings)
    finally:
        if container:
            container.close()
    code = EXIT_VOUCHED if check.is_vouched else EXIT_OPEN
    return Outcome(path, code, VERDICTS[code], check.about, check.fingerprints, check.findings)


def _report_container(path: str) -> zipfile.ZipFile | None:
    """A zip file that holds a report and not a pack; None for everything else."""
    try:
        with Path(path).open("rb") as file:
            _check_directory(file)
        container = zipfile.ZipFile(path)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile, BrokenError):
        return None  # whatever is wrong with it is told where packs are read
    if "manifest" in container.NameToInfo and "mimetype" not in container.NameToInfo:
        return container
    container.close()
    return None


def show(outcome: Outcome, write: Callable[[str], Any]) -> None:
    """An outcome in plain words."""
    write(f"{plain(outcome.path)}\n")
    if outcome.about:
        write(f"{plain(outcome.about)}.\n")
    for finding in outcome.findings:
        write(f"\n  {finding.result:<5}  {plain(finding.text)}\n         Rests on: {plain(finding.rests_on)}.\n")
    for fingerprint in outcome.fingerprints:
        write(f"\n  Fingerprint of the log's key: {fingerprint}\n")
    write(f"\n{outcome.verdict}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit code, of several paths the worst (1, then 3, then 0)."""
    parser = argparse.ArgumentParser(
        description="Checks packs, exports and reports of a delivery ledger. "
        "Exit: 0 vouched for, 1 broken, 2 wrong command, 3 consistent only."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a pack (.asice), a report (.zip), or a folder with either or an export; default: where this file lies",
    )
    parser.add_argument(
        "--log-key",
        action="append",
        default=[],
        metavar="KEY|FILE",
        help="the log's verifier key, from elsewhere than the pack; may be given more than once",
    )
    parser.add_argument(
        "--policy", default="", metavar="FILE", help="a C2SP tlog-policy of logs and witnesses you trust"
    )
    parser.add_argument("--checkpoint", default="", metavar="FILE", help="a checkpoint of the log that you kept")
    parser.add_argument(
        "--consistency", default="", metavar="FILE", help="consistency proof between it and the pack's checkpoint"
    )
    parser.add_argument(
        "--seal-root", default="", metavar="PEM", help="root certificate of the operator's seal, from elsewhere"
    )
    parser.add_argument(
        "--tsa-root", default="", metavar="PEM", help="root certificate of the time-stamp authority, from elsewhere"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    options = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        trust = read_trust(options)
        paths = options.paths or [str(Path(__file__).resolve().parent)]
        outcomes = [verify(path, trust) for path in paths]
    except UsageError as error:
        sys.stderr.write(f"verify: {error}\n")
        return EXIT_USAGE
    if options.json:
        told = [{**each._asdict(), "findings": [finding._asdict() for finding in each.findings]} for each in outcomes]
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        for outcome in outcomes:
            show(outcome, sys.stdout.write)
    return max((each.exit_code for each in outcomes), key=(EXIT_VOUCHED, EXIT_OPEN, EXIT_BROKEN).index)


if __name__ == "__main__":
    gc.disable()  # nothing here refers to itself; looking for that would be a third of the time
    sys.exit(main())
