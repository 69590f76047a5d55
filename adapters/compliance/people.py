"""Everything that is held about one person, found by an address, as a folder of plain files: what a data-subject request asks for.

What of a message may be seen is judged as for an evidence pack of that one recipient: nobody else is shown, and an original that names
others stays out and is listed as such. Leaves out whom messages name by something else than a recipient's address, and what waits in lanes.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from adapters.accounts import CONSOLE, Accounts
from adapters.compliance.person_readme import WORDS, Told, readme
from adapters.evidence.originals import WITHHELD
from adapters.evidence.pack import MAX_RECORDED, Ask, Disclosure, disclose
from ledger.errors import ConfigurationError
from ledger.events import message_of, time_text
from projections.queries import MAX_PAGE, Queries, entry_of
from projections.searching import Filters
from projections.views import DeliveryView

FORMAT = "delivery-ledger-person/1"
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Whose package is asked for.

    Attributes:
        address: in any spelling.
        kind: of the address; "" tries what it may be.
        language: of the README.
        reason: why; recorded.
        actor: who asked: id of an API key, or `console`.
    """

    tenant: str
    address: str
    kind: str = ""
    language: str = "en"
    reason: str
    actor: str = CONSOLE


class Package(msgspec.Struct, frozen=True):
    """What was written; also the package's own person.json, where `address` is the one that was asked about.

    Attributes:
        position: the log position that it reflects; `root` is the tree's there.
        messages: their ids, in the order of the folders.
        withheld: reason -> how many originals were left out for it; `adapters.evidence.originals.WITHHELD` says what each means.
    """

    format: str
    tenant: str
    address: str
    asked_at: str
    position: int
    root: str
    messages: tuple[str, ...]
    deliveries: int
    originals: int
    withheld: dict[str, int]


class _Written(NamedTuple):
    """What went into the folder of one message."""

    message: str
    recipients: int
    events: int
    artifacts: tuple[str, ...]
    withheld: tuple[str, ...]


class Access(msgspec.Struct, frozen=True):
    """Somebody looked at a message, or exported it; `actor` is the id of an API key, `console`, or "" for what is done by the clock."""

    at: str
    actor: str
    kind: str
    looks: int


def export(
    queries: Queries, accounts: Accounts, asked: Request, out: Path, progress: Progress = lambda _done, _total: None
) -> Package:
    """Write the package; that it was made is recorded before the folder is there.

    Args:
        out: where; must not exist, or be empty.

    Raises:
        ConfigurationError: an unknown language, no address, no reason, or a folder that is not empty; nothing was written.
    """
    _check(asked, out)
    with _hidden(out) as folder:
        with queries.snapshot() as snapshot:
            found = []
            for number, (message, views) in enumerate(_messages(snapshot, asked), 1):
                found.append(_write(snapshot, asked, message, views, folder / "messages" / f"{number:04}"))
                progress(number, None)
            package = _package(snapshot, asked, found)
        _put(folder / "person.json", package)
        (folder / "README.txt").write_bytes(_readme(asked, package))
        sums = _sums(folder)
        (folder / "SHA256SUMS").write_bytes(sums)
        _record(accounts, asked, package, found, hashlib.sha256(sums).hexdigest())
        folder.rename(out)
    return package


def _check(asked: Request, out: Path) -> None:
    if asked.language not in WORDS:
        msg = f"there is no package in {asked.language!r}; there are {', '.join(WORDS)}"
        raise ConfigurationError(msg)
    if not asked.address.strip():
        msg = "say whose (--recipient ADDRESS); without an address it would be everybody's"
        raise ConfigurationError(msg)
    if not asked.reason.strip():
        msg = "what is held about a person leaves only with a reason (--reason TEXT), which is recorded"
        raise ConfigurationError(msg)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out} is there already; name a folder that is not"
        raise ConfigurationError(msg)


@contextmanager
def _hidden(out: Path) -> Iterator[Path]:
    """A folder beside the one that is wanted, which only we can read; gone at the end, unless it was renamed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- what is held


def _messages(queries: Queries, asked: Request) -> Iterator[tuple[str, list[DeliveryView]]]:
    """The person's deliveries, by message, newest first."""
    for message, views in groupby(_deliveries(queries, asked), key=lambda view: view.message):
        yield message, list(views)


def _deliveries(queries: Queries, asked: Request) -> Iterator[DeliveryView]:
    filters, cursor = Filters(recipient=asked.address, address_kind=asked.kind), ""
    while True:
        page, cursor = queries.found(asked.tenant, filters, cursor, MAX_PAGE)
        yield from (view for view, _ in page)
        if not cursor:
            return


def _write(queries: Queries, asked: Request, message: str, views: Sequence[DeliveryView], folder: Path) -> _Written:
    """The folder of one message."""
    folder.mkdir(parents=True)
    ask = Ask(tenant=asked.tenant, message=message, recipients=tuple(view.recipient for view in views))
    shown = disclose(queries.ledger, ask, queries.position())
    row = queries.message_row(asked.tenant, message)
    labels = queries.message(asked.tenant, message).labels if row.recipients == 1 else ()
    _put(folder / "status.json", {"message": message, "labels": labels, "deliveries": views})
    _put(folder / "trail.json", _trail(shown, views))
    _put(folder / "originals.json", _originals(shown, folder))
    _put(folder / "access.json", _accesses(queries, asked.tenant, shown))
    out = tuple(o.artifact for o in shown.originals if o.body is not None)
    withheld = tuple(o.withheld for o in shown.originals if o.withheld)
    return _Written(message, len(views), len(shown.trail.events), out, withheld)


def _trail(shown: Disclosure, views: Sequence[DeliveryView]) -> list[Any]:
    judged = {r.event_id: (r.rule, r.effect) for view in views for r in view.reasons}
    values = {position: {path: each.value for path, each in said.items()} for position, said in shown.shown.items()}
    return [entry_of(e, values.get(e.position, {}), judged.get(e.id, ("", ""))) for e in shown.trail.events]


def _originals(shown: Disclosure, folder: Path) -> list[dict[str, Any]]:
    """Write the originals that may leave; returns what is said of all of them."""
    told = []
    for original in shown.originals:
        said = {
            "artifact": original.artifact,
            "events": [event.id for event in original.resting],
            "role": original.role,
        }
        if original.body is None:
            said |= {"withheld": original.withheld, "why": WITHHELD[original.withheld]}
        else:
            path = folder / shown.path(original)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(original.body)
            said["path"] = shown.path(original)
        told.append(said)
    return told


def _accesses(queries: Queries, tenant: str, shown: Disclosure) -> list[Access]:
    """Who looked at the message, or at one that was joined into it."""
    sql = (
        "SELECT at, actor, kind, looks FROM read_accesses WHERE tenant = ? AND message = ? AND message > '' "
        "ORDER BY position"
    )
    messages = sorted({message_of(s) for s in shown.trail.streams if not s.startswith("batch/")})
    rows = [row for each in messages for row in queries.ledger.database.read(sql, (tenant, each))]
    return [Access(*row) for row in sorted(rows)]


# --- the package


def _package(queries: Queries, asked: Request, found: Sequence[_Written]) -> Package:
    position = queries.position()
    withheld = Counter(why for each in found for why in each.withheld)
    return Package(
        format=FORMAT,
        tenant=asked.tenant,
        address=asked.address,
        asked_at=time_text(queries.ledger.clock()),
        position=position,
        root=queries.ledger.root_at(position).hex(),
        messages=tuple(each.message for each in found),
        deliveries=sum(each.recipients for each in found),
        originals=sum(len(each.artifacts) for each in found),
        withheld=dict(sorted(withheld.items())),
    )


def _readme(asked: Request, package: Package) -> bytes:
    said = msgspec.structs.asdict(package) | {"messages": len(package.messages)}
    return readme(asked.language, Told(**{name: said[name] for name in Told._fields}))


def _put(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def _sums(folder: Path) -> bytes:
    """As `sha256sum -c` reads it."""
    lines = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    return "".join(lines).encode()


def _record(accounts: Accounts, asked: Request, package: Package, found: Sequence[_Written], digest: str) -> None:
    """Write that it leaves: one event for some hundred messages, and one also when nothing was found."""
    parts = [found[i : i + MAX_RECORDED] for i in range(0, len(found), MAX_RECORDED)] or [[]]
    for part in parts:
        artifacts = [artifact for each in part for artifact in each.artifacts]
        numbers = {
            "messages": len(part),
            "recipients": sum(each.recipients for each in part),
            "events": sum(each.events for each in part),
            "originals": len(artifacts),
        }
        clear: dict[str, Any] = {"rule": "export.person", "tree_size": package.position, "numbers": numbers}
        clear |= {"streams": [each.message for each in part]} if part else {}
        clear |= {"artifacts": artifacts[:MAX_RECORDED]} if artifacts else {}
        whose = (asked.tenant, asked.actor, asked.actor)
        accounts.record("evidence.exported", *whose, clear, asked.reason.strip(), {"manifest": digest})
