"""The operations of KPN Cloud Fax as the sandbox answers them. The bodies are the assumed ones of `statuses.py`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from adapters.providers.kpn_cloud_fax.sandbox.jobs import Job, Receipt
from adapters.providers.kpn_platform_sandbox import Gateway, answer, error

PDF = b"%PDF-1.7\n"
KINDS = frozenset({"Fax", "PCIFax", "SecureFax"})


@dataclass
class Manners:
    """How this KPN behaves where nothing is published.

    Attributes:
        offsets: times carry their offset; else they are those of the account's zone, and do not say so.
        disorder: pages of a history come shuffled, and with their first event twice.
        forms: an incoming fax comes as a file, not as JSON.
        custody: the Custody Service is on.
    """

    offsets: bool = False
    disorder: bool = False
    forms: bool = False
    custody: bool = True


def _settings() -> dict[str, Any]:
    return {
        "timezone": {"timeZone": "Europe/Amsterdam"},
        "language": {"language": "nl"},
        "callingcodes": {"internationalPrefix": "00", "countryCode": "31", "interprovincialPrefix": "0"},
        "customfaxnumber": {"customFaxNumber": "0201234500"},
        "retentionconfig": {"lifetime": 30, "JobType": "Fax", "secureAccessDays": 14},
        "reportconfig": [],
        "inbounddelivery": [{"did": "0201234500", "format": "pdf"}],
    }


@dataclass
class CloudFax:
    """KPN Cloud Fax of one account, in memory.

    Attributes:
        jobs: by jobid.
        accepted: digest of what was sent -> how often it was taken.
        settings: name -> value, as the account has them at KPN.
        history_pages: pages of histories that were asked for, in order.
        documents_asked: how often a document was asked for.
    """

    gateway: Gateway = field(default_factory=Gateway)
    manners: Manners = field(default_factory=Manners)
    jobs: dict[str, Job] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    settings: dict[str, Any] = field(default_factory=_settings)
    history_pages: list[int] = field(default_factory=list)
    documents_asked: int = 0

    # --- for tests and demos

    def receive(self, document: bytes = PDF, kind: str = "Fax") -> str:
        """Let a fax come in; its jobid."""
        return self._add(Job("", kind, (), self._now(), document, is_incoming=True, is_new=True))

    def send_elsewhere(self, target: str) -> str:
        """Let somebody send a fax by KPN's portal; its jobid."""
        return self._add(Job("", "Fax", (target,), self._now(), PDF))

    def times_accepted(self) -> int:
        """How many sends were taken in all."""
        return sum(self.accepted.values())

    # --- sends

    async def send(self, request: web.Request) -> web.Response:
        """POST /sendfax."""
        try:
            asked = await request.json()
            papers = [base64.b64decode(each["content"], validate=True) for each in asked["documents"]]
            return self._take(asked["targets"], papers, asked.get("jobType", "Fax"), asked.get("subject", ""))
        except (ValueError, KeyError, TypeError, binascii.Error):
            return error(400, "errorResponse")

    async def send_raw(self, request: web.Request) -> web.Response:
        """POST /sendfax/raw."""
        form = await request.post()
        papers = [each.file.read() for each in form.getall("document", []) if isinstance(each, web.FileField)]
        targets = [str(each) for each in form.getall("target", [])]
        return self._take(targets, papers, str(form.get("jobType", "Fax")), str(form.get("subject", "")))

    async def send_sms(self, request: web.Request) -> web.Response:
        """POST /sendsms."""
        try:
            asked = await request.json()
            return self._take(asked["targets"], [asked["text"].encode()], "SMS", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return error(400, "errorResponse")

    def _take(self, targets: Iterable[str], papers: list[bytes], kind: str, subject: str) -> web.Response:
        numbers = tuple(targets)
        if not numbers or not papers or not all(papers) or kind not in {*KINDS, "SMS"}:
            return error(400, "errorResponse")
        digest = hashlib.sha256(repr((sorted(numbers), papers, kind)).encode()).hexdigest()
        self.accepted[digest] += 1
        jobid = self._add(Job("", kind, numbers, self._now(), papers[0], subject))
        return answer({"jobid": jobid}, 201)

    async def ackreceipt(self, request: web.Request) -> web.Response:
        """POST /ackreceipt."""
        asked = await request.json()
        job = self.jobs.get(asked.get("jobid", ""))
        if job is None or asked.get("target") not in job.targets:
            return error(404, "errorResponse")
        if job.kind not in {"PCIFax", "SecureFax"}:
            return error(412, "errorResponse")
        job.receipts[asked["target"]] = Receipt(self._now(), int(asked.get("jobRemainder", 0)))
        return answer({}, 202)

    # --- questions about jobs

    async def jobstatus(self, request: web.Request) -> web.Response:
        """GET /jobstatus."""
        return self._about(request, "jobid", lambda job: answer({"jobid": job.jobid, "targets": self._targets(job)}))

    async def jobdetails(self, request: web.Request) -> web.Response:
        """GET /jobdetails."""

        def details(job: Job) -> web.Response:
            said = {"jobid": job.jobid, "jobType": job.kind, "subject": job.subject, "created": self._time(job.made_at)}
            return answer(said | {"targets": self._targets(job)})

        return self._about(request, "jobid", details)

    async def jobhistory(self, request: web.Request) -> web.Response:
        """GET /jobhistory."""

        def history(job: Job) -> web.Response:
            page, rows = _page(request)
            self.history_pages.append(page)
            told = job.events(self._now())
            events = [{**said, "timestamp": self._time(at)} for at, said in told[(page - 1) * rows : page * rows]]
            if self.manners.disorder and events:
                events.append(events[0])
                self.gateway.random.shuffle(events)
            pages = max(1, -(-len(told) // rows))
            return answer({"jobid": job.jobid, "page": page, "pagecount": pages, "events": events})

        return self._about(request, "jobid", history)

    async def document(self, request: web.Request) -> web.Response:
        """GET /document/{key}."""
        self.documents_asked += 1
        job = self.jobs.get(request.match_info["key"])
        lifetime = timedelta(days=self.settings["retentionconfig"]["lifetime"])
        if job is None or not job.content or job.made_at + lifetime < self._now():
            return error(404, "errorResponse")
        return web.Response(body=job.content, content_type="application/pdf")

    async def messages(self, request: web.Request) -> web.Response:
        """GET /messages."""
        since, until = (datetime.fromisoformat(request.query[name]) for name in ("startDate", "endDate"))
        page, rows = _page(request)
        found = [job for job in self.jobs.values() if since <= job.made_at <= until]
        return answer({"messages": [self._listed(job) for job in found[(page - 1) * rows : page * rows]]})

    def _listed(self, job: Job) -> dict[str, Any]:
        status = "Received" if job.is_incoming else "Sending" if job.is_open(self._now()) else "Completed"
        said = {"id": job.jobid, "type": job.kind, "status": status, "created": self._time(job.made_at)}
        return said | {"direction": "in" if job.is_incoming else "out"}

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /messages."""

        def deleted(job: Job) -> web.Response:
            job.content, job.deleted_at = b"", self._now()
            return answer({})

        return self._about(request, "id", deleted)

    # --- incoming

    async def injobs(self, _request: web.Request) -> web.Response:
        """GET /injobs."""
        new = [job for job in self.jobs.values() if job.is_new]
        rows = [{"jobid": job.jobid, "type": job.kind, "time": self._time(job.made_at), "pages": 1} for job in new]
        return answer({"jobs": rows})

    async def infax(self, request: web.Request) -> web.Response:
        """GET /infax: what is read is no longer new."""

        def fetched(job: Job) -> web.Response:
            if not job.is_new:
                return error(404, "errorResponse")
            job.is_new = False
            if self.manners.forms:
                return web.Response(body=job.content, content_type="application/pdf")
            said = {"jobid": job.jobid, "from": "+31301234567", "to": "0201234500", "pages": 1}
            return answer(said | {"name": "fax.pdf", "document": base64.b64encode(job.content).decode()})

        return self._about(request, "key", fetched)

    async def reset(self, request: web.Request) -> web.Response:
        """PATCH /resetincomingjob."""

        def renewed(job: Job) -> web.Response:
            if not self.manners.custody:
                return error(403, "errorResponse")
            job.is_new = True
            return answer({})

        return self._about(request, "key", renewed)

    async def setting(self, request: web.Request) -> web.Response:
        """GET of a setting."""
        return answer(self.settings[request.path.rpartition("/")[2]])

    # --- what they share

    def _now(self) -> datetime:
        return self.gateway.clock.now()

    def _add(self, job: Job) -> str:
        job.jobid = f"{job.made_at:%Y%m%d}-{len(self.jobs) + 1:06d}"
        self.jobs[job.jobid] = job
        return job.jobid

    def _about(self, request: web.Request, name: str, act: Callable[[Job], web.Response]) -> web.Response:
        job = self.jobs.get(request.query.get(name, ""))
        return error(404, "errorResponse") if job is None else act(job)

    def _targets(self, job: Job) -> list[dict[str, Any]]:
        """The last that was said of each target, with its time."""
        last = ((target, job.steps(target, self._now())[-1:]) for target in job.targets)
        return [
            {"target": target, "status": step.word, "timestamp": self._time(job.made_at + step.after), **step.members}
            for target, steps in last
            for step in steps
        ]

    def _time(self, at: datetime) -> str:
        if self.manners.offsets:
            return at.astimezone(UTC).isoformat(timespec="seconds")
        return f"{at.astimezone(ZoneInfo(self.settings['timezone']['timeZone'])):%Y-%m-%d %H:%M:%S}"


def _page(request: web.Request) -> tuple[int, int]:
    return int(request.query.get("page", "1")), int(request.query.get("pagecount", "50"))
