"""What the tests of evidence share: a ledger with a story of three recipients, its packs, and packs put together by a forger.

The receipts are written after RFC 6109 section 4 (daticert.xml) with names and numbers of our own.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from adapters.evidence import container, seal, verify
from adapters.evidence.desk import Desk
from adapters.evidence.pack import Ask, Finish, Pack
from adapters.evidence.presenting import finish
from adapters.importing import Importer
from ops.settings import load
from ops.system import System, opened

TENANT = "acme"
ANNA, BRUNO, CARLA = "anna.rossi@pec.colle.example", "bruno.verdi@pec.valle.example", "carla.neri@pec.monte.example"
SENDER = "ufficio@pec.mittente.example"
MSGID = "lettera-1@client.mittente.example"

_RECEIPT = """\
X-Ricevuta: {kind}
Date: Mon, 2 Mar 2026 10:0{minute}:00 +0100
Subject: {subject}: Lettera
From: posta-certificata@pec.gestore.example
To: {sender}
Message-ID: <{kind}.{minute}.{consigned}@pec.gestore.example>
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: application/xml; name="daticert.xml"

<postacert tipo="{kind}" errore="nessuno">
  <intestazione>
    <mittente>{sender}</mittente>
{recipients}
    <risposte>{sender}</risposte>
    <oggetto>Lettera</oggetto>
  </intestazione>
  <dati>
    <gestore-emittente>Gestore Posta S.p.A.</gestore-emittente>
    <data zona="+0100">
      <giorno>02/03/2026</giorno>
      <ora>10:0{minute}:00</ora>
    </data>
    <identificativo>opec.{number}.20260302@pec.gestore.example</identificativo>
    <msgid>&lt;{msgid}&gt;</msgid>
{consegna}  </dati>
</postacert>
--m--
"""


def receipt(kind: str, listed: tuple[str, ...], *, minute: int, consigned: str = "", msgid: str = MSGID) -> bytes:
    """A receipt of certified mail.

    Args:
        listed: the recipients its certification data names.
        consigned: the one it is about, for a delivery receipt.
    """
    told = "".join(f'    <destinatari tipo="certificato">{address}</destinatari>\n' for address in listed)
    text = _RECEIPT.format(
        kind=kind,
        subject={"accettazione": "ACCETTAZIONE", "avvenuta-consegna": "CONSEGNA"}[kind],
        minute=minute,
        consigned=consigned.partition("@")[0],
        sender=SENDER,
        recipients=told.rstrip("\n"),
        number=msgid.partition("@")[0],
        msgid=msgid,
        consegna=f"    <consegna>{consigned}</consegna>\n" if consigned else "",
    )
    return text.replace("\n", "\r\n").encode()


ACCEPTED = receipt("accettazione", (ANNA, BRUNO, CARLA), minute=1)
TO_ANNA = receipt("avvenuta-consegna", (ANNA,), minute=2, consigned=ANNA)
TO_BRUNO = receipt("avvenuta-consegna", (ANNA, BRUNO, CARLA), minute=3, consigned=BRUNO)
TO_CARLA = receipt("avvenuta-consegna", (CARLA,), minute=4, consigned=CARLA)


@contextmanager
def a_ledger(folder: Path, url: str = "", name: str = "log.example/acme") -> Iterator[System]:
    """An empty ledger with its keys; signatures are not judged, so that a trail holds what was handed in and nothing else."""
    settings = load(
        database_url=url or f"sqlite:///{folder / 'ledger.db'}",
        key_folder=folder / "keys",
        head_folder=folder / "heads",
        artifact_folder=folder / "artifacts",
        tenant=TENANT,
        log_name=name,
    )
    with opened(settings) as system:
        system.intake.attest = lambda _arrival: None
        yield system


def hand_in(system: System, folder: Path, *receipts: bytes) -> None:
    """Import receipts, one after another."""
    for number, body in enumerate(receipts):
        path = folder / f"{os.urandom(4).hex()}-{number}.eml"
        path.write_bytes(body)
        importer = Importer(system.ledger, system.intake, system.accounts, system.quarantine, TENANT)
        assert [] == importer.run([path]).problems
    system.runner.run()


def message_of(system: System) -> str:
    """The one message of the story."""
    (message,) = {row[0] for row in system.ledger.database.read("SELECT message FROM read_messages")}
    return str(message)


def desk(system: System, finishing: Finish | None = None) -> Desk:
    return Desk(system.accounts, system.heads, system.signed_head, system.log_keys, finishing or Finish())


class Story(NamedTuple):
    """A finished pack, and what its reader has from elsewhere.

    Attributes:
        key: the log's verifier key.
        checkpoint: a signed head that was kept when the log was smaller.
        consistency: the proof from it to the pack's.
        root: PEM file of the seal's root.
    """

    pack: Pack
    members: Mapping[str, bytes]
    key: str
    checkpoint: bytes
    consistency: tuple[bytes, ...]
    root: Path

    def trust(self) -> verify.Trust:
        return verify.Trust(keys=[verify.parse_key(self.key)])


def tell(folder: Path, name: str = "log.example/acme") -> Story:
    """The whole story in a sealed pack with report."""
    with a_ledger(folder, name=name) as system:
        hand_in(system, folder, ACCEPTED, TO_ANNA)
        kept = system.signed_head()
        hand_in(system, folder, TO_BRUNO, TO_CARLA)
        sealer = seal.load_or_create(folder / "keys")
        pack = desk(system, finish(sealer)).issue(Ask(tenant=TENANT, message=message_of(system)))
        proof = system.ledger.consistency_proof(kept.checkpoint.size, pack.draft.head.checkpoint.size)
        (folder / "seal-root.pem").write_bytes(sealer.root_pem())
        key = system.identity.keys[0].vkey()
    return Story(pack, members_of(pack.data), key, kept.note, tuple(proof), folder / "seal-root.pem")


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(members: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """The members after a forger's work: some changed or (None) removed, SHA256SUMS and the manifest made to fit."""
    found = {name: data for name, data in {**members, **changes}.items() if data is not None}
    if "SHA256SUMS" not in changes and "SHA256SUMS" in found:
        found["SHA256SUMS"] = container.sums(found)
    if verify.MANIFEST not in changes and verify.MANIFEST in found:
        found[verify.MANIFEST] = seal.manifest(found)
    return found


def flipped(data: bytes, at: int = -1) -> bytes:
    """One bit changed; by default in the middle."""
    at = len(data) // 2 if at < 0 else at
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """A change of some bytes, which must be there."""

    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    return change


def written(folder: Path, members: Mapping[str, bytes]) -> str:
    """The path of a pack with these members."""
    path = folder / f"{os.urandom(6).hex()}.asice"
    path.write_bytes(container.write(members))
    return str(path)


def unpacked(folder: Path, members: Mapping[str, bytes]) -> Path:
    """A folder with these members as files."""
    top = folder / f"unpacked-{os.urandom(6).hex()}"
    for name, data in members.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return top
