"""GET /inbox: finds the e-mails of the mailbox that were not read yet, and reads each.

The numbers of e-mails move when one is deleted, so a row is known by what it says, and compared again with what was then read.
A page shows no text and says nothing that the e-mail itself does not: only the e-mails are kept. Leaves out: searching (`q`).
"""

from __future__ import annotations

import base64
import hashlib
import re

from adapters.providers.calling import Answer, CallFailedError, Desk, Request
from adapters.providers.pec_massiva import rows
from adapters.providers.pec_massiva.answers import fields_of
from adapters.providers.pec_massiva.rows import Row
from adapters.providers.reading import text
from ledger.observations import UnreadableError

MAX_PAGES = 4_000
"""100,000 e-mails; a service that goes on after that does not count its pages."""

NUMBER = re.compile(r"\d{1,15}", re.ASCII)
_STOP = frozenset({401, 403, 429})


def sweep(desk: Desk) -> None:
    """Read every e-mail of the mailbox that is not in `desk.state["seen"]`.

    E-mails that look alike in the list (deliveries of one second) are read together, or all again: which is which nobody can tell.

    Raises:
        CallFailedError: the service did not answer, or e-mails are left for the next time.
    """
    listed = {_name(row, len(numbers)): (row, numbers) for row, numbers in _listed(desk).items()}
    seen: list[str] = [name for name in desk.state.get("seen", ()) if name in listed]
    desk.state["seen"] = seen
    known, left = set(seen), 0
    for name, (row, numbers) in listed.items():
        if name in known:
            continue
        missed = sum(not _read(desk, number, row) for number in numbers)
        left += missed
        if not missed:
            seen.append(name)
    if left:
        msg = f"{left} e-mails of the mailbox could not be read, or moved meanwhile"
        raise CallFailedError(msg)


def _listed(desk: Desk) -> dict[Row, list[str]]:
    """The rows of all pages with their numbers, until a page is empty: the stated number of pages does not fit its own example.

    Whether the first page is 0 or 1 is not said, so it is asked for without a number; page 1 is then the first again, or the second.
    """
    found: dict[Row, list[str]] = {}
    before: list[tuple[str, Row]] = []
    for page in range(MAX_PAGES):
        here = _page(desk.call(_page_request(page)))
        if not here or (here == before and page > 1):
            return found
        for number, row in here:
            numbers = found.setdefault(row, [])
            numbers += [] if number in numbers else [number]
        before = here
    msg = f"GET /inbox: no end after {MAX_PAGES} pages"
    raise CallFailedError(msg)


def _page_request(page: int) -> Request:
    url = f"/inbox?page={page}" if page else "/inbox"
    return Request(operation="inbox", method="GET", url=url, may_send=False)


def _page(answer: Answer) -> list[tuple[str, Row]]:
    """The rows of a page with their numbers."""
    said = fields_of(answer.body)
    data = said.get("data")
    if answer.failure or answer.status != 200 or said.get("success") is False or not isinstance(data, list):
        msg = f"GET /inbox: {answer.failure or answer.status}"
        raise CallFailedError(msg)
    numbers = [text(each.get("id")) if isinstance(each, dict) else "" for each in data]
    return list(zip(numbers, rows.rows(said), strict=True))


def _name(row: Row, alike: int) -> str:
    """What is remembered of a row: a digest of what it says, and how many there are of its like."""
    said = "\0".join((row.subject, row.sender, row.mailbox, row.written, str(alike)))
    return base64.urlsafe_b64encode(hashlib.sha256(said.encode()).digest()[:12]).decode()


def _read(desk: Desk, number: str, row: Row) -> bool:
    """Read one e-mail into the ledger; False when this number has none, or another one by now.

    Raises:
        CallFailedError: the service does not answer us at all.
    """
    if not NUMBER.fullmatch(number):
        return False
    request = message_request(number)
    answer = desk.call(request)
    if answer.failure or answer.status in _STOP:
        msg = f"GET /inbox/…: {answer.failure or answer.status}"
        raise CallFailedError(msg)
    if not is_same(read_message(answer), row):
        return False
    desk.admit(request, answer)
    return True


def message_request(number: str) -> Request:
    """The call that reads one e-mail."""
    return Request(operation="inbox", method="GET", url=f"/inbox/{number}", may_send=False)


def read_message(answer: Answer) -> Row | None:
    """The e-mail in an answer, if there is one."""
    said = fields_of(answer.body)
    if answer.failure or answer.status != 200 or said.get("success") is False or not isinstance(said.get("data"), dict):
        return None
    try:
        return rows.rows(said)[0]
    except UnreadableError:
        return None


def is_same(one: Row | None, other: Row) -> bool:
    """Whether two rows show the same e-mail: by subject and time, because the lists spell senders in their own way."""
    return one is not None and (one.subject.split(), one.written) == (other.subject.split(), other.written)
