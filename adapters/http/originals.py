"""Original bytes, as they came: one by one, or all of a message in one archive. Handing them out is recorded before they leave.

Always as an attachment under a name of our own: what a stranger once sent is never shown inline by a browser.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from adapters.http.errors import ErasedPersonError, MissingOriginalError, SecretBodyError
from adapters.http.lookups import require_few_recipients
from adapters.http.routes import Answer, Call, route
from adapters.http.types import Reading
from adapters.providers import registry
from ledger.application import PAGE, Artifact, Ledger
from ledger.errors import ErasedError, NotFoundError
from ledger.events import Event
from projections.discretion import ProtectedError
from projections.originals import is_told_of, of_erased

BINARY = "application/octet-stream"
ZIP = "application/zip"
EXTENSIONS = {
    "message/rfc822": "eml",
    "application/json": "json",
    "application/xml": "xml",
    "text/xml": "xml",
    "text/plain": "txt",
    "application/pdf": "pdf",
}
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time a zip entry can have; the same originals give the same archive."""


class _Original(NamedTuple):
    """An original and the event that first named it."""

    artifact_id: str
    event: Event

    @property
    def is_secret(self) -> bool:
        """Whether it is a body that carries a secret by contract (a request of ours never does)."""
        provider = registry().get(str(self.event.fields.get("provider", "")))
        is_body = self.event.fields.get("artifacts", [self.artifact_id])[0] == self.artifact_id
        return provider is not None and is_body and self.event.fields.get("operation") in provider.secret_bodies

    def name(self, media_type: str) -> str:
        """A safe file name: nothing in it comes from outside but a token of our tables."""
        operation = str(self.event.fields.get("operation", "original"))
        return f"{self.event.position:09d}-{operation}-{self.artifact_id[-12:]}.{EXTENSIONS.get(media_type, 'bin')}"


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@route(
    "GET /v1/artifacts/{artifact}",
    scopes=("evidence",),
    answers={200: {"*/*": bytes}},
    problems=(403, 410),
    access="original",
)
def artifact(call: Call[Reading, None]) -> Answer:
    """One original, byte for byte; the header Repr-Digest holds its SHA-256."""
    original = _original(call.services.ledger, call.tenant, call.path["artifact"])
    found = _opened(call.services.queries.ledger, original, _withheld(call, [original.artifact_id]))
    media_type = found.media_type if re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+-]+", found.media_type) else BINARY
    digest = b64encode(hashlib.sha256(found.body).digest()).decode()
    headers = _attachment(original.name(media_type)) | {"Repr-Digest": f"sha-256=:{digest}:"}
    return Answer(found.body, headers=headers, media_type=media_type)


def _original(ledger: Ledger, tenant: str, artifact_id: str) -> _Original:
    rows = ledger.database.read("SELECT position FROM artifacts WHERE artifact_id = ?", (artifact_id,))
    if not rows and is_told_of(ledger.database, tenant, artifact_id):
        raise ErasedError
    item = ledger.between(rows[0][0] - 1, rows[0][0] - 1 + PAGE) if rows else []
    if not item or item[0].position != rows[0][0] or item[0].tenant != tenant:
        msg = f"there is no artifact {artifact_id}"
        raise NotFoundError(msg)
    # Stored with the first event of its item, which may be one that declares recipients and names no original.
    return _Original(artifact_id, next((e for e in item if artifact_id in e.fields.get("artifacts", ())), item[0]))


# --- all of a message


@route(
    "GET /v1/messages/{message}/receipts.zip",
    scopes=("evidence",),
    answers={200: {ZIP: bytes}},
    problems=(422,),
    access="archive",
)
def archive(call: Call[Reading, None]) -> Answer:
    """All originals of a message, with SHA256SUMS; for up to 500 recipients, else delivery by delivery."""
    require_few_recipients(call)
    return _zip(call, None)


@route(
    "GET /v1/messages/{message}/deliveries/{recipient}/receipts.zip",
    scopes=("evidence",),
    answers={200: {ZIP: bytes}},
    access="archive",
)
def delivery_archive(call: Call[Reading, None]) -> Answer:
    """All originals that tell the story of one delivery, with SHA256SUMS."""
    found = call.services.queries.delivery(call.tenant, call.path["message"], int(call.path["recipient"]))
    return _zip(call, found.recipient)


def _zip(call: Call[Any, Any], recipient: int | None) -> Answer:
    ledger, message = call.services.queries.ledger, call.path["message"]
    first: dict[str, int] = {}
    for entry in call.services.queries.trail(call.tenant, message, recipient).entries:
        for artifact_id in entry.artifacts:
            first.setdefault(artifact_id, entry.position)
    originals = [_Original(artifact_id, ledger.event(position)) for artifact_id, position in first.items()]
    name = f"{message}.zip" if recipient is None else f"{message}-{recipient}.zip"
    withheld = _withheld(call, first)
    return Answer(zipped(ledger, originals, withheld), headers=_attachment(name), media_type=ZIP)


def _withheld(call: Call[Any, Any], artifacts: Iterable[str]) -> set[str]:
    """Those that tell of somebody who was erased; with a reason, which is recorded, they are handed out all the same."""
    return set() if call.reason else of_erased(call.services.ledger.database, artifacts)


class _Pipe:
    """A file that can only be written; what was written is taken out again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def zipped(ledger: Ledger, originals: list[_Original], withheld: AbstractSet[str] = frozenset()) -> Iterator[bytes]:
    """A zip archive in parts, never empty ones; at most one original is in memory.

    SHA256SUMS names all that is inside, NOTE.txt what is not, and why.
    """
    pipe, sums, left_out = _Pipe(), list[str](), list[str]()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # a file that cannot seek
        for original in originals:
            try:
                found = _opened(ledger, original, withheld)
            except WITHHELD as error:
                left_out.append(f"{original.name(BINARY)}: {error}\n")
                continue
            name = original.name(found.media_type)
            archive.writestr(_entry(name), found.body)
            sums.append(f"{hashlib.sha256(found.body).hexdigest()}  {name}\n")
            yield pipe.taken()
        archive.writestr(_entry("SHA256SUMS"), "".join(sums))
        if left_out:
            archive.writestr(_entry("NOTE.txt"), "Held as evidence, and not in this archive:\n" + "".join(left_out))
    yield pipe.taken()


WITHHELD = (ErasedError, ProtectedError, SecretBodyError, ErasedPersonError, MissingOriginalError)


def _opened(ledger: Ledger, original: _Original, withheld: AbstractSet[str]) -> Artifact:
    """The original of an event.

    Raises:
        WITHHELD: why it is not handed out.
    """
    if original.is_secret:
        raise SecretBodyError
    if original.artifact_id in withheld:
        raise ErasedPersonError
    try:
        return ledger.artifact(original.artifact_id)
    except NotFoundError as error:
        raise ErasedError from error
    except FileNotFoundError as error:
        raise MissingOriginalError from error


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
