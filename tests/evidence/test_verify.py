"""The verifier against forgers: whatever is changed in a pack is refused, and for the right reason."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import shutil
import subprocess
import sys
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.evidence import verify
from adapters.evidence.verify import EXIT_BROKEN, EXIT_OPEN, EXIT_USAGE, EXIT_VOUCHED, MANIFEST, SEAL, Trust
from ledger import notes, tree
from tests.evidence.packs import Story, flipped, forged, replaced, tell, unpacked, written

EVENT, PROOF, RECEIPT = "events/0003.json", "proofs/0003.tlog-proof", "receipts/0003-receipt-body.eml"
SOURCE = Path(verify.__file__)
NEEDS_OPENSSL = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("story"))


def outcome(folder: Path, members: dict[str, bytes], trust: Trust, openssl: str | None = None) -> verify.Outcome:
    return verify.verify(written(folder, members), trust, openssl)


def command(*arguments: object) -> int:
    return verify.main([str(each) for each in arguments])


# --- who vouches


def test_a_pack_never_vouches_for_itself(story: Story, tmp_path: Path) -> None:
    """Without a key from elsewhere it is consistent and no more; with it, it is vouched for."""
    members = dict(story.members)
    assert EXIT_OPEN == outcome(tmp_path, members, Trust()).exit_code
    vouched = outcome(tmp_path, members, story.trust())
    assert (EXIT_VOUCHED, [notes.parse_vkey(story.key).fingerprint()]) == (vouched.exit_code, vouched.fingerprints)


@NEEDS_OPENSSL
def test_a_pack_made_up_completely_is_refused_under_the_true_key(story: Story, tmp_path: Path) -> None:
    """An attacker's own ledger of the same name, with own keys and own seal, is consistent, and still not the ledger."""
    lie = tell(tmp_path, notes.parse_vkey(story.key).name)
    assert EXIT_OPEN == outcome(tmp_path, dict(lie.members), Trust()).exit_code
    refused = outcome(tmp_path, dict(lie.members), story.trust())
    assert EXIT_BROKEN == refused.exit_code
    assert "log/checkpoint: not signed by the log key you gave" in refused.verdict
    sealed = outcome(tmp_path, dict(lie.members), Trust(seal_root=str(story.root)))
    assert SEAL in sealed.verdict


def test_a_key_of_another_log_does_not_vouch(story: Story, tmp_path: Path) -> None:
    """A good key is good for its own log only."""
    other = notes.NoteKey("other.example", notes.parse_vkey(story.key).public).vkey()
    refused = outcome(tmp_path, dict(story.members), Trust(keys=[verify.parse_key(other)]))
    assert "not signed by the log key you gave, other.example" in refused.verdict


@NEEDS_OPENSSL
def test_the_right_seal_root_closes_the_seal(story: Story, tmp_path: Path) -> None:
    """With the operator's root from elsewhere the texts beside the evidence are vouched for too."""
    trust = story.trust()._replace(seal_root=str(story.root))
    found = outcome(tmp_path, dict(story.members), trust)
    assert EXIT_VOUCHED == found.exit_code
    assert any(f.result == "holds" and "sealed under the root you gave" in f.text for f in found.findings)


def test_without_openssl_the_seal_is_said_not_to_be_checked(story: Story, tmp_path: Path) -> None:
    """What cannot be checked here is never passed over in silence."""
    found = outcome(tmp_path, dict(story.members), story.trust(), openssl="")
    assert any(f.result == "open" and "was not checked" in f.text for f in found.findings)


@pytest.mark.parametrize("version", ["LibreSSL 3.3.6", "OpenSSL 1.0.2u  20 Dec 2019", ""])
def test_an_openssl_that_cannot_judge_is_not_asked(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """A program without CAdES would call a good seal broken; the seal is said to be unchecked instead."""
    program = tmp_path / "openssl"
    program.write_text(f"#!/bin/sh\necho '{version}'\n[ $1 = version ]\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = outcome(tmp_path, dict(story.members), story.trust())
    assert EXIT_VOUCHED == found.exit_code
    assert any(f.result == "open" and "`openssl` 3 or later is not installed" in f.text for f in found.findings)


# --- a checkpoint that the reader kept


def keep(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def proof_file(hashes: Iterable[bytes]) -> bytes:
    return "".join(f"{b64encode(each).decode()}\n" for each in hashes).encode()


def test_a_kept_checkpoint_vouches_with_a_consistency_proof(story: Story, tmp_path: Path) -> None:
    """An older head proves that the pack's log continues it; without the proof the command says what is missing."""
    pack = written(tmp_path, story.members)
    kept = keep(tmp_path, "kept", story.checkpoint)
    proof = keep(tmp_path, "proof", proof_file(story.consistency))
    assert EXIT_VOUCHED == command(pack, "--checkpoint", kept, "--consistency", proof)
    assert EXIT_USAGE == command(pack, "--checkpoint", kept)


def test_a_kept_checkpoint_of_the_same_size_must_have_the_same_root(story: Story, tmp_path: Path) -> None:
    """A rewritten history is caught by any head that was handed out before, whoever signed the new one."""
    pack = written(tmp_path, story.members)
    same = story.members["log/checkpoint"]
    assert EXIT_VOUCHED == command(pack, "--checkpoint", keep(tmp_path, "same", same))
    root = same.split(b"\n")[2]
    other = same.replace(root, b64encode(hashlib.sha256(b"another history").digest()))
    assert EXIT_BROKEN == command(pack, "--checkpoint", keep(tmp_path, "other", other))


def test_a_consistency_proof_of_something_else_is_refused(story: Story, tmp_path: Path) -> None:
    """A proof must lead from one head to the other."""
    pack, kept = written(tmp_path, story.members), keep(tmp_path, "kept", story.checkpoint)
    wrong = keep(tmp_path, "wrong", proof_file([flipped(story.consistency[0]), *story.consistency[1:]]))
    assert EXIT_BROKEN == command(pack, "--checkpoint", kept, "--consistency", wrong)


def test_a_kept_checkpoint_does_not_lend_its_trust_to_another_trail_head(story: Story, tmp_path: Path) -> None:
    """Who dropped the last event and signed a trail head of his own is refused, though every event left is genuine."""
    forger = Ed25519PrivateKey.generate()
    members = without_the_last_event(story, forger)
    kept = keep(tmp_path, "kept", story.members["log/checkpoint"])
    assert EXIT_BROKEN == outcome(tmp_path, members, story.trust()).exit_code
    assert EXIT_BROKEN == command(written(tmp_path, members), "--checkpoint", kept)


def without_the_last_event(story: Story, forger: Ed25519PrivateKey) -> dict[str, bytes]:
    trail = json.loads(story.members["trail.json"])
    gone = json.loads(story.members["events/0005.json"])
    trail["streams"][gone["stream"]] -= 1
    lines = [verify.TRAIL_HEAD, *story.members["log/checkpoint"].decode().split("\n")[:2]]
    lines += [f"{stream} {last}" for stream, last in sorted(trail["streams"].items())]
    disclosed = json.loads(story.members["disclosures.json"])
    del disclosed["events"]["0005"]
    listed = [entry for entry in json.loads(story.members["artifacts.json"]) if entry["event"] != "0005"]
    key = notes.parse_vkey(story.key)
    copy = f"log {notes.NoteKey(key.name, notes.public_of(forger)).vkey()}\n".encode()
    changes: dict[str, bytes | None] = {
        "events/0005.json": None,
        "proofs/0005.tlog-proof": None,
        "receipts/0005-receipt-body.eml": None,
        "trail.json": json.dumps(trail).encode(),
        "disclosures.json": json.dumps(disclosed).encode(),
        "artifacts.json": json.dumps(listed).encode(),
        "log/policy": copy + story.members["log/policy"],
        "log/trail-head": notes.sign("\n".join(lines) + "\n", [(key.name, forger)]),
    }
    return forged(story.members, changes)


# --- policies with witnesses


def cosigned(note: bytes, name: str, witness: Ed25519PrivateKey, at: int = 1_780_000_000) -> bytes:
    """A note with a timestamped cosignature (c2sp.org/tlog-cosignature)."""
    text = note.rpartition(b"\n\n")[0] + b"\n"
    public = notes.public_of(witness)
    key_id = hashlib.sha256(f"{name}\n".encode() + b"\x04" + public).digest()[:4]
    signature = witness.sign(f"cosignature/v1\ntime {at}\n".encode() + text)
    line = b64encode(key_id + at.to_bytes(8, "big") + signature).decode()
    return note + f"\u2014 {name} {line}\n".encode()


def witness_vkey(name: str, witness: Ed25519PrivateKey) -> str:
    public = notes.public_of(witness)
    key_id = hashlib.sha256(f"{name}\n".encode() + b"\x04" + public).hexdigest()[:8]
    return f"{name}+{key_id}+{b64encode(bytes([4]) + public).decode()}"


@pytest.mark.parametrize(
    ("quorum", "code"),
    [
        ("quorum none", EXIT_VOUCHED),
        ("quorum w1", EXIT_VOUCHED),
        ("group both all w1 w2\nquorum both", EXIT_BROKEN),
        ("group one any w1 w2\nquorum one", EXIT_VOUCHED),
        ("group two 2 w1 w2\nquorum two", EXIT_BROKEN),
        ("quorum w2", EXIT_BROKEN),
        ("group two 3 w1 w2\nquorum two", EXIT_USAGE),
        ("quorum nobody", EXIT_USAGE),
        ("", EXIT_USAGE),
    ],
)
def test_a_policy_wants_its_quorum_of_cosignatures(story: Story, tmp_path: Path, quorum: str, code: int) -> None:
    """The log's own signature is not enough where the reader's policy asks for witnesses."""
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    note = cosigned(story.members["log/checkpoint"], "w1.example", first)
    changes: dict[str, bytes | None] = {"log/checkpoint": note}
    changes |= {
        name: data.replace(story.members["log/checkpoint"], note)
        for name, data in story.members.items()
        if name.startswith("proofs/")
    }
    members = {k: v for k, v in forged(story.members, changes).items() if not k.startswith("META-INF/")}
    witnesses = [("w1", "w1.example", first), ("w2", "w2.example", second)]
    lines = [
        f"log {story.key}",
        *(f"witness {name} {witness_vkey(full, key)}" for name, full, key in witnesses),
        quorum,
    ]
    policy = keep(tmp_path, "policy", "\n".join(lines).encode() + b"\n")
    assert code == command(written(tmp_path, members), "--policy", policy)


# --- every kind of byte

CHANGES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    (EVENT, flipped, "the event or its proof was altered"),
    (EVENT, replaced(b'"version":1', b'"version":2'), "the event or its proof was altered"),
    (PROOF, replaced(b"index 4", b"index 3"), "the event or its proof was altered"),
    (PROOF, lambda data: flipped(data, data.index(b"\n\n") - 8), "proofs/0003.tlog-proof"),
    (PROOF, lambda data: flipped(data, len(data) - 10), "carries another checkpoint"),
    (PROOF, lambda data: flipped(data, 0), "not a C2SP tlog-proof"),
    ("log/checkpoint", replaced(b"\n7\n", b"\n8\n"), "does not verify"),
    ("log/checkpoint", lambda data: flipped(data, len(data) - 20), "log/checkpoint"),
    ("log/trail-head", lambda data: flipped(data, len(data) - 20), "log/trail-head"),
    ("log/trail-head", replaced(b" 1\n", b" 2\n"), "log/trail-head"),
    ("log/policy", lambda data: flipped(data, 40), "log/policy"),
    ("disclosures.json", replaced(b'"Lettera"', b'"Lettere"'), "salt or value was altered"),
    ("disclosures.json", replaced(b'"salt": "', b'"salt": "A'), "cannot be read"),
    ("disclosures.json", replaced(b'"0002"', b'"0009"'), "tells of event 0009, which is not here"),
    ("disclosures.json", replaced(b'"subject"', b'"object"'), "is not a salt and a value of a field committed to"),
    ("disclosures.json", replaced(b'"bytes": 1', b'"bytes": 99999999999999999999'), "not JSON as the format has it"),
    (RECEIPT, flipped, "event 0003 committed to"),
    ("artifacts.json", replaced(b"receipts/0003", b"receipts/0004"), "event 0003 committed to"),
    ("artifacts.json", replaced(b'"0003"', b'"0002"'), "is not one of the event it names"),
    ("artifacts.json", lambda _: b"[]\n", "says nothing of original"),
    ("trail.json", replaced(b'"tree_size": 7', b'"tree_size": 8'), "the checkpoint says 7"),
    ("trail.json", replaced(b": 1\n }", b": 2\n }"), "log/trail-head"),
    ("trail.json", replaced(b'"recipients": null', b'"recipients": [7]'), "lacks stream"),
    ("trail.json", lambda _: b"{}", "its format is not"),
    ("mimetype", flipped, "mimetype"),
    ("README.txt", flipped, SEAL),
    ("report.pdf", flipped, SEAL),
    ("verify.py", flipped, SEAL),
    ("trust/seal-root.pem", flipped, SEAL),
]  # fmt: skip


SALTED = "_-" + "A" * 40 + "A"
VALUES: list[object] = ["Lettera", '\u00e8 "\u2028', 7, [1, "a"], {"b": "1", "a": "2"}, {"a": {"b": "c"}}, {}]
Change = Callable[[dict[str, str], dict[str, Any]], object]
ALTERED: dict[str, Change] = {
    "another value": lambda _, said: said.update(value="other"),
    "another salt": lambda _, said: said.update(salt="B" + SALTED[1:]),
    "bits after the salt's last": lambda _, said: said.update(salt=SALTED[:-1] + "B"),
    "the other alphabet": lambda _, said: said.update(salt="/+" + SALTED[2:]),
    "a letter of none": lambda _, said: said.update(salt="_-!" + SALTED[3:]),
    "an end amid the salt": lambda _, said: said.update(salt="_-" + "=" * 41),
    "a longer salt": lambda _, said: said.update(salt=SALTED + "A"),
    "something beside it": lambda _, said: said.update(more=1),
    "another commitment": lambda commitments, _: commitments.update(path="A" + commitments["path"][1:]),
    "a longer commitment": lambda commitments, _: commitments.update(path=commitments["path"] + "A"),
}


def shown(value: object) -> verify.Shown:
    salt = urlsafe_b64decode(SALTED + "=")
    return (
        "an event",
        {"path": verify.commitment(salt, "an event", "path", value)},
        {"path": {"salt": SALTED, "value": value}},
    )


@pytest.mark.parametrize("what", ALTERED)
def test_values_that_are_opened_together_are_refused_as_one_by_one(what: str) -> None:
    """What is wrong with one of many is not passed for the others' sake."""
    fine, (event_id, commitments, fields) = [shown(value) for value in VALUES], shown("Lettera")
    assert verify.all_open(fine)
    ALTERED[what](commitments, fields["path"])
    assert not verify.all_open([*fine, (event_id, commitments, fields), *fine])


@pytest.mark.parametrize(
    ("member", "change", "reason"),
    [
        pytest.param(*row, id=f"{n}-{row[0]}", marks=[NEEDS_OPENSSL] if row[2] == SEAL else [])
        for n, row in enumerate(CHANGES)
    ],
)
def test_every_changed_byte_is_refused_though_all_lists_were_made_to_fit(
    story: Story, tmp_path: Path, member: str, change: Callable[[bytes], bytes], reason: str
) -> None:
    """A forger who recomputes SHA256SUMS and the manifest is caught by what he cannot recompute."""
    members = forged(story.members, {member: change(story.members[member])})
    found = outcome(tmp_path, members, story.trust())
    assert EXIT_BROKEN == found.exit_code
    assert reason in found.verdict


@NEEDS_OPENSSL
@pytest.mark.parametrize("member", [SEAL, MANIFEST, "SHA256SUMS"])
def test_a_changed_list_or_seal_is_refused(story: Story, tmp_path: Path, member: str) -> None:
    """The lists and the seal over them are themselves covered."""
    data = story.members[member]
    at = (
        300 if member == MANIFEST else len(data) - 20
    )  # of the seal, its signature; copies of certificates in it count for nothing
    members = forged(story.members, {member: flipped(data, at)})
    found = outcome(tmp_path, members, story.trust())
    assert EXIT_BROKEN == found.exit_code


def test_a_changed_file_is_named_when_the_lists_were_left_alone(story: Story, tmp_path: Path) -> None:
    """Plain damage is told by SHA256SUMS, with both digests."""
    found = outcome(tmp_path, {**story.members, "report.pdf": flipped(story.members["report.pdf"])}, story.trust())
    assert found.verdict.startswith("BROKEN: report.pdf: has SHA-256 ")


@pytest.mark.parametrize("number", range(1, 6))
def test_no_event_can_be_left_out(story: Story, tmp_path: Path, number: int) -> None:
    """Dropping an event, and closing the numbers behind it, leaves a hole in its stream."""
    kept = [n for n in range(1, 6) if n != number]
    changes: dict[str, bytes | None] = {}
    for new, old in enumerate(kept, 1):
        changes[f"events/{new:04d}.json"] = story.members[f"events/{old:04d}.json"]
        changes[f"proofs/{new:04d}.tlog-proof"] = story.members[f"proofs/{old:04d}.tlog-proof"]
    changes |= {"events/0005.json": None, "proofs/0005.tlog-proof": None}
    found = outcome(tmp_path, forged(story.members, changes), story.trust())
    assert EXIT_BROKEN == found.exit_code
    assert "stream" in found.verdict


def test_an_event_cannot_stand_twice(story: Story, tmp_path: Path) -> None:
    """A doubled event is out of the order of the log."""
    changes: dict[str, bytes | None] = {
        "events/0006.json": story.members["events/0005.json"],
        "proofs/0006.tlog-proof": story.members["proofs/0005.tlog-proof"],
    }
    assert (
        "events stand in the order of the log"
        in outcome(tmp_path, forged(story.members, changes), story.trust()).verdict
    )


@pytest.mark.parametrize(
    "member",
    [
        *("README.txt", "SHA256SUMS", EVENT, PROOF, "log/checkpoint", "log/trail-head", "log/policy", "trail.json"),
        *("artifacts.json", "disclosures.json", RECEIPT, "verify.py", SEAL, MANIFEST),
    ],
)
def test_a_missing_member_is_named(story: Story, tmp_path: Path, member: str) -> None:
    """What is not there cannot be passed over."""
    found = outcome(tmp_path, forged(story.members, {member: None}), story.trust())
    assert EXIT_BROKEN == found.exit_code
    assert member in found.verdict


@pytest.mark.parametrize(
    "member", ["confession.txt", "receipts/extra.eml", "events/00001.json", "log/other", "trust/x.exe"]
)
def test_an_extra_member_is_named(story: Story, tmp_path: Path, member: str) -> None:
    """Nothing may ride along in a pack that nothing vouches for."""
    found = outcome(tmp_path, forged(story.members, {member: b"I did it"}), story.trust())
    assert (EXIT_BROKEN, True) == (found.exit_code, member in found.verdict)


# --- the file alone


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    alone = [sys.executable, "-I", "-S", str(folder / "verify.py"), *arguments]
    return subprocess.run(alone, cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)


def test_verify_py_runs_alone_from_the_unpacked_pack(story: Story, tmp_path: Path) -> None:
    """Only Python and the pack: no packages, no site, no other folder; each exit code as promised."""
    folder = unpacked(tmp_path, story.members)
    (folder / "pack.asice").write_bytes(b"what the reader keeps beside it is no part of it")
    assert EXIT_OPEN == run(folder).returncode
    assert EXIT_VOUCHED == run(folder, "--log-key", story.key).returncode
    assert EXIT_USAGE == run(folder, "--log-key", "nothing").returncode
    (folder / "key").write_text(f"# from the keeper's letter\n{story.key}\n")
    told = run(folder, str(folder), "--log-key", str(folder / "key"), "--json")
    assert (EXIT_VOUCHED, EXIT_VOUCHED) == (told.returncode, json.loads(told.stdout)[0]["exit_code"])
    (folder / EVENT).write_bytes(flipped((folder / EVENT).read_bytes()))
    assert EXIT_BROKEN == run(folder, "--log-key", story.key).returncode
    assert EXIT_USAGE == run(folder, "/nothing/here").returncode


def test_of_several_packs_the_worst_decides(story: Story, tmp_path: Path) -> None:
    """One broken pack among good ones is an exit of 1."""
    good = written(tmp_path, story.members)
    bad = written(tmp_path, forged(story.members, {EVENT: flipped(story.members[EVENT])}))
    assert EXIT_BROKEN == command(good, bad, good, "--log-key", story.key)
    assert EXIT_OPEN == command(good, good)


def test_the_verifier_is_python_3_9_and_imports_the_standard_library_only() -> None:
    """It must run on what a court's computer has."""
    parsed = ast.parse(SOURCE.read_text(), feature_version=(3, 9))
    imported = {n.module or "" for n in ast.walk(parsed) if isinstance(n, ast.ImportFrom)}
    imported |= {alias.name for n in ast.walk(parsed) if isinstance(n, ast.Import) for alias in n.names}
    assert set() == {name.partition(".")[0] for name in imported} - sys.stdlib_module_names


# --- its own arithmetic

RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac",
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
"""Public key, message, the two halves of the signature. Source: RFC 8032 section 7.1, TEST 1 to 3."""


@pytest.mark.parametrize(("public", "message", "point", "scalar"), RFC_8032)
def test_ed25519_agrees_with_rfc_8032(public: str, message: str, point: str, scalar: str) -> None:
    """The published vectors verify, and nothing near them does."""
    key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(point + scalar)
    assert verify.ed25519_verifies(key, text, signed)
    assert not verify.ed25519_verifies(key, text + b"\0", signed)
    for at in range(64):
        assert not verify.ed25519_verifies(key, text, flipped(signed, at)), at


def test_ed25519_takes_one_signature_in_one_form_only() -> None:
    """No second S, no second spelling of a point, no point of small order."""
    key, message, point, scalar = (bytes.fromhex(each) for each in RFC_8032[1])
    larger = int.from_bytes(scalar, "little") + verify.ORDER
    assert not verify.ed25519_verifies(key, message, point + larger.to_bytes(32, "little"))
    neutral = (1).to_bytes(32, "little")
    assert not verify.ed25519_verifies(neutral, message, neutral + bytes(32))
    again = (verify.P + 1).to_bytes(32, "little")
    assert not verify.ed25519_verifies(again, message, again + bytes(32))
    negative_zero = ((1 << 255) | 1).to_bytes(32, "little")
    assert not verify.ed25519_verifies(negative_zero, message, negative_zero + bytes(32))


def test_ed25519_agrees_with_another_implementation() -> None:
    """Keys, lengths and messages at random."""
    chance = random.Random(7)  # noqa: S311  no secret
    for _ in range(20):
        private = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        message = chance.randbytes(chance.randrange(300))
        assert verify.ed25519_verifies(notes.public_of(private), message, private.sign(message))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 32, 33])
def test_the_tree_agrees_with_the_ledgers(size: int) -> None:
    """Inclusion and consistency proofs of every leaf and every older size, and none of them with a byte changed."""
    leaves = [tree.leaf_hash(bytes([n])) for n in range(size)]

    def node(height: int, index: int) -> bytes:
        return tree.root_of(leaves[index << height : (index + 1) << height])

    root = tree.root_of(leaves)
    for index, leaf in enumerate(leaves):
        proof = tree.inclusion_proof(index, size, node)
        assert root == verify.root_of_proof(leaf, index, size, proof)
        assert root != verify.root_of_proof(leaf, index, size, [*proof, leaf])
        assert root != verify.root_of_proof(flipped(leaf), index, size, proof)
    for old in range(1, size + 1):
        proof, before = tree.consistency_proof(old, size, node), tree.root_of(leaves[:old])
        assert verify.is_consistent(old, before, size, root, proof)
        assert not verify.is_consistent(old, flipped(before), size, root, proof)
        assert not verify.is_consistent(old, before, size, flipped(root), proof)
