"""The long work `delivery`: a report that was made leaves by one channel to one recipient, tried again until it is given up.

What left is said in the log with its digest, once; each failure too. A process that dies between handing over and saying so hands over
again: a folder is then found as it is, an e-mail has the same Message-ID, a webhook the same id.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from adapters.compliance.registry import find
from adapters.reports import mailing, webhooks
from adapters.reports.channels import Channels, Recipient
from adapters.reports.register import ACCOUNT
from adapters.reports.reporting import DELIVERY, record
from adapters.strictjson import InvalidError
from adapters.tasks.contract import GiveUpError, Kind, Made, TaskStoppedError, Work
from adapters.tasks.rows import Row
from adapters.tasks.store import File, Tasks
from ledger.errors import NotFoundError
from ledger.events import parse_time

PAUSES = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 180, 480, 720))
"""A day in all; results are kept for longer."""
GONE = (webhooks.GoneError, mailing.MailRefusedError)

LETTERS = {
    "en": (
        "Report: {title}, {first} to {last}",
        "attached",
        "Fetch it with an API key at {url}",
        "Digest (SHA-256) of the manifest",
    ),
    "it": (
        "Rapporto: {title}, dal {first} al {last}",
        "in allegato",
        "Scaricabile con una chiave API da {url}",
        "Impronta (SHA-256) del manifesto",
    ),
    "nl": (
        "Rapport: {title}, {first} tot en met {last}",
        "bijgevoegd",
        "Op te halen met een API-sleutel op {url}",
        "Hash (SHA-256) van het manifest",
    ),
    "sv": (
        "Rapport: {title}, {first} till {last}",
        "bifogad",
        "Hämtas med en API-nyckel från {url}",
        "Kontrollsumma (SHA-256) för manifestet",
    ),
}
"""Language -> subject, that it is attached, where it is, what the digest is of."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A report on its way to one recipient.

    Attributes:
        report: its task; `said` what that told.
        request: what is to be delivered, with the schedule, the period and the title.
    """

    work: Work
    tasks: Tasks
    channels: Channels
    report: Row
    said: Mapping[str, Any]
    files: tuple[File, ...]
    request: Mapping[str, Any]
    recipient: Recipient

    def parts(self, file: File) -> Iterator[bytes]:
        for part in self.tasks.file(self.report, file.name)[1]:
            if self.work.is_stopped():
                raise TaskStoppedError
            yield part

    def links(self) -> list[str]:
        base = f"{self.channels.public_url.rstrip('/')}/v1/tasks/{self.report.task}"
        return [f"{base}/files/{file.name}" for file in self.files]

    @property
    def name(self) -> str:
        """Of the folder or the attached file: the query, the period, and what tells it from another run."""
        query = find(self.said["query"]).name
        return f"{query}-{self.request['first']}-{self.last}-{self.report.task[-12:]}"

    @property
    def last(self) -> str:
        """The last day of the period."""
        return str(datetime.fromisoformat(self.request["next"]).date() - timedelta(days=1))

    @property
    def made_at(self) -> datetime:
        return parse_time(self.report.started_at)


# --- one function for each channel: hands over, and says the digest and the size of what left


def to_folder(parcel: Parcel) -> dict[str, Any]:
    """Write the files below the tenant's drop folder; whole, or not there."""
    drop = parcel.channels.drop_folder
    if drop is None:
        msg = "no folder is set aside for reports any more"
        raise GiveUpError(msg)
    folder = drop / parcel.work.tenant / parcel.recipient.folder
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / parcel.name, folder / f".{parcel.name}.part"
    if not target.exists():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for file in parcel.files:
            with (part / file.name).open("xb") as written:
                written.writelines(parcel.parts(file))
                written.flush()
                os.fsync(written.fileno())
        part.rename(target)
    return {"digest": parcel.said["digest"], "bytes": sum(file.bytes for file in parcel.files)}


def to_mailbox(parcel: Parcel) -> dict[str, Any]:
    """Send an e-mail, with the files in one zip file where they are small enough, else with where to fetch them."""
    mail = parcel.channels.mail
    if mail is None:
        msg = "no mail server is known any more"
        raise GiveUpError(msg)
    packed = _zipped(parcel)
    language = parcel.request["language"]
    subject, attached, where, digest = LETTERS[language]
    says = {
        "title": parcel.request["title"],
        "first": parcel.request["first"],
        "last": parcel.last,
        "url": parcel.links()[0],
    }
    lines = [subject.format(**says), "", f"{parcel.name}.zip: {attached}" if packed else where.format(**says)]
    letter = mailing.Letter(
        number=parcel.work.task,
        to=parcel.recipient.email,
        subject=subject.format(**says),
        text="\n".join([*lines, "", f"{digest}: {parcel.said['digest']}", ""]),
        language=language,
        at=parcel.made_at,
        attached=(f"{parcel.name}.zip", packed) if packed else None,
    )
    data = mailing.written(letter, mail.sender)
    mailing.send(mail, parcel.recipient.email, data)
    return {"digest": hashlib.sha256(data).hexdigest(), "bytes": len(data), "attached": bool(packed)}


def _zipped(parcel: Parcel) -> bytes:
    """The files as one zip file; empty when that is too large to be attached."""
    path = parcel.work.folder / "report.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in parcel.files:
            with packed.open(zipfile.ZipInfo(file.name), "w", force_zip64=True) as written:
                for part in parcel.parts(file):
                    written.write(part)
    return path.read_bytes() if path.stat().st_size <= parcel.channels.attach_bytes else b""


def to_webhook(parcel: Parcel) -> dict[str, Any]:
    """Tell an address that the report is there, and where; the rows themselves stay."""
    channels, tenant = parcel.channels, parcel.work.tenant
    keys = webhooks.keys(channels.accounts, tenant)
    if not keys:
        msg = "there is no key to sign webhooks with any more"
        raise GiveUpError(msg)
    told = {
        "schedule": parcel.request["schedule"],
        "period": {"first": parcel.request["first"], "last": parcel.last},
        "task": parcel.report.task,
        "query": parcel.said["query"],
        "rows": parcel.said["rows"],
        "position": parcel.said["position"],
        "root": parcel.said["root"],
        "digest": parcel.said["digest"],
        "digests": {file.name: file.sha256 for file in parcel.files},
        "links": parcel.links(),
    }
    body = msgspec.json.encode({"type": "report.made", "timestamp": parcel.report.started_at, "data": told})
    at_s = int(channels.accounts.ledger.clock().timestamp())
    headers = webhooks.signed(keys, parcel.work.task, at_s, body)
    webhooks.send(parcel.recipient.webhook, headers, body, channels.tls())
    return {"digest": hashlib.sha256(body).hexdigest(), "bytes": len(body)}


BY_CHANNEL: dict[str, Callable[[Parcel], dict[str, Any]]] = {
    "folder": to_folder,
    "email": to_mailbox,
    "webhook": to_webhook,
}


def kind(tasks: Tasks, channels: Channels) -> Kind:
    """The work `delivery`; its request names the task of the report and one recipient."""
    accounts = channels.accounts

    def run(work: Work) -> Made:
        recipient = _recipient(work)
        try:
            channels.check(work.tenant, recipient, "recipient")
            report = tasks.rows.get(work.tenant, work.request["report"])
        except (InvalidError, NotFoundError) as error:
            raise GiveUpError(str(error)) from error
        result = tasks.result(report)
        if result is None:
            msg = "the report is not kept any more"
            raise GiveUpError(msg)
        parcel = Parcel(work, tasks, channels, report, result.said, result.files, work.request, recipient)
        try:
            left = BY_CHANNEL[recipient.channel](parcel)
        except GONE as error:
            raise GiveUpError(str(error)) from error
        return Made((), {**left, "channel": recipient.channel, "report": {**result.said}})

    def finished(work: Work, said: Mapping[str, Any]) -> None:
        told = {**_told(work), "digest": said["digest"], "report_digest": said["report"]["digest"]}
        rule, once = f"report.{said['channel']}", ("report.delivered", work.task)
        record(accounts, "report.delivered", work, rule, said["report"], told, once, {"bytes": said["bytes"]})

    def failed(work: Work, why: str, is_last: bool) -> None:  # noqa: FBT001  the contract's order
        numbers = {"try": work.number, "given_up": int(is_last)}
        clear = {"rule": f"report.{_recipient(work).channel}", "numbers": numbers}
        once = ("report.undelivered", work.task, str(work.number))
        accounts.record(
            "report.failed", work.tenant, ACCOUNT, work.owner, clear, "", {**_told(work), "error": why}, once
        )

    title = "hands a report over"
    return Kind(name=DELIVERY, title=title, run=run, finished=finished, failed=failed, pauses=PAUSES)


def _recipient(work: Work) -> Recipient:
    return msgspec.convert(work.request["recipients"][0], Recipient)


def _told(work: Work) -> dict[str, Any]:
    """What is committed of every delivery: to whom, of which schedule, period and report."""
    recipient = _recipient(work)
    named = {name: work.request[name] for name in ("schedule", "first", "next")}
    whom = getattr(recipient, recipient.channel)
    return {"recipient": whom, "task": work.task, "report_task": work.request["report"], **named}
