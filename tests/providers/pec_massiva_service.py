"""A mailbox of PEC Massiva that answers calls in this process, at the desk of a real ledger: `Service` takes the caller's place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote_plus, urlsplit

from adapters.desk import AccountDesk
from adapters.providers.calling import Access, Answer, Client, Request
from adapters.providers.contract import Provider
from adapters.providers.pec_massiva import PROVIDER
from adapters.providers.pec_massiva.client import CLIENT
from adapters.providers.pec_massiva.settings import Settings
from tests.world import TENANT, World, world

ACCOUNT = "massiva"
SECRETS = {"email": "hush-e@x.example", "api_key": "hush-k", "username": "hush-u", "password": "hush-p"}
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PAGE = 25


@dataclass(frozen=True)
class Email:
    """One e-mail of the mailbox."""

    subject: str
    text: str = ""
    written: str = "Mon, 02 Mar 2026 10:15:36 +0100"
    sender: str = "posta-certificata@pec.example"


def delivered(message_id: str, to: str, written: str = "Mon, 02 Mar 2026 10:15:36 +0100") -> Email:
    return Email(f"CONSEGNA: Prova {message_id}", f'Il messaggio ed indirizzato a "{to}" è stato consegnato', written)


@dataclass
class Service:
    """Answers as the published document says; e-mails are numbered from 1, the newest has the highest number and comes first.

    Attributes:
        first_page: 0 or 1; the document does not say.
        faults: path -> answer in place of the usual one.
        between: called before each answer, to change the mailbox at the worst moment.
        calls: paths that were asked for, in order.
    """

    emails: list[Email] = field(default_factory=list)
    first_page: int = 1
    usage: tuple[float, float] = (171012, 1048576)
    faults: dict[str, Answer] = field(default_factory=dict)
    between: Callable[[str], None] = lambda _path: None
    at: datetime = NOW
    calls: list[str] = field(default_factory=list)

    def call(
        self, client: Client, _provider: Provider, request: Request, access: Access, *, key: tuple[str, str]
    ) -> Answer:
        assert (TENANT, ACCOUNT) == key
        asked = client.authorise(request, replace(access, token="hush-t"))
        assert "Bearer hush-t" == asked.headers["authorization"]
        assert ("hush-u", "hush-p") == (asked.headers["x-username"], asked.headers["x-password"])
        self.between(request.url)
        self.calls.append(f"{request.method} {request.url}")
        if request.url in self.faults:
            return self.faults[request.url]
        parts = urlsplit(request.url)
        status, said = self._answer(request.method, parts.path, parse_qs(parts.query))
        return Answer(at=self.at, status=status, body=json.dumps(said).encode())

    def _answer(self, method: str, path: str, query: dict[str, list[str]]) -> tuple[int, object]:
        _, folder, *rest = path.split("/")
        if folder == "quota":
            return 200, {"data": {"usage": self.usage[0], "limit": self.usage[1]}, "success": True, "message": ""}
        if folder == "send":
            return self._of_sending(method, rest[0])
        return self._message(method, int(rest[0])) if rest else self._list(query)

    def _of_sending(self, method: str, message_id: str) -> tuple[int, object]:
        mine = [each for each in self.emails if each.subject.endswith(f" {message_id}")]
        if not mine:
            return 404, {"success": False, "message": "Email not found" if method == "DELETE" else "Result empty"}
        if method == "DELETE":
            self.emails = [each for each in self.emails if each not in mine]
            return 200, {"success": True, "message": "Operation succefull"}
        return 200, {"data": [_shown(each) | {"body": each.text} for each in mine], "success": True, "message": ""}

    def _message(self, method: str, number: int) -> tuple[int, object]:
        if not 1 <= number <= len(self.emails):
            return 404, {"success": False, "message": "Message not found"}
        if method == "DELETE":
            del self.emails[number - 1]
            return 200, {"success": True, "message": "Message deleted"}
        email = self.emails[number - 1]
        return 200, {"data": _shown(email) | {"body": quote_plus(email.text)}, "success": True, "message": ""}

    def _list(self, query: dict[str, list[str]]) -> tuple[int, object]:
        page = int(query.get("page", [str(self.first_page)])[0])
        start = (page - self.first_page) * PAGE
        numbered = [_shown(each) | {"id": number} for number, each in enumerate(self.emails, 1)][::-1]
        here = numbered[max(start, 0) : max(start, 0) + PAGE]
        counts = {"total": len(numbered), "page": page, "n_of_pages": len(numbered) // PAGE}
        return 200, {"data": here, "success": True, "message": ""} | counts


def _shown(email: Email) -> dict[str, object]:
    return {"sender": email.sender, "recipient": "ufficio@pec.example", "date": email.written, "object": email.subject}


def failed(status: int = 0, message: str = "", *, failure: str = "") -> Answer:
    body = json.dumps({"success": False, "message": message}).encode() if status else b""
    return Answer(at=NOW, status=status, body=body, failure=failure)  # type: ignore[arg-type]


@contextmanager
def desk(folder: Path, service: Service) -> Iterator[tuple[AccountDesk, World]]:
    """A desk at an account of a fresh ledger, whose calls the service answers."""
    with world(f"sqlite:///{folder}/ledger.db", folder) as found:
        found.accounts.add(TENANT, ACCOUNT, "pec_massiva")
        access = Access(settings=Settings(mailbox="ufficio@pec.example"), secrets=SECRETS, now=NOW)
        yield (
            AccountDesk(
                TENANT, ACCOUNT, PROVIDER, CLIENT, access, found.accounts, found.intake, calls=service, state={}
            ),
            found,
        )


def later(days: float) -> datetime:
    return NOW + timedelta(days=days)
