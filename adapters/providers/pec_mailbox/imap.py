"""Looks in the mailbox for the trace of a message of ours, when it is not clear whether it was taken."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import date, timedelta

import msgspec

from adapters.providers.calling import Access, Answer, CallFailedError, Failure, Request
from adapters.providers.mailbox_imap import BrokenError, Session
from adapters.providers.mailbox_settings import login_of
from adapters.providers.pec_mailbox.smtp import Hit, Search

LOG = logging.getLogger(__name__)

TRACES = ("X-Riferimento-Message-ID", "Message-ID")
"""Header fields that name a message of ours: of its receipts, and of itself."""


def search(request: Request, access: Access) -> Answer:
    """Which messages of the mailbox name a message of ours, its copies in the folder of sent ones included.

    Returns:
        Status 200 and a JSON list of `smtp.Hit`; `unreachable` when not all folders could be looked through.
    """
    began, question = time.monotonic(), msgspec.json.decode(request.body, type=Search)
    failure: Failure = ""
    hits: list[Hit] = []
    try:
        with Session(access.settings, login_of(access.secrets)) as session:
            for folder in dict.fromkeys((*access.settings.imap_folders, *session.sent_folder())):
                hits += _hits(session, folder, question)
    except (CallFailedError, BrokenError) as error:
        LOG.warning("the mailbox could not be searched: %s", error)
        failure = "unreachable"
    at = access.now + timedelta(seconds=time.monotonic() - began)
    if failure:
        return Answer(at=at, failure=failure)
    return Answer(at=at, status=200, headers={"content-type": "application/json"}, body=msgspec.json.encode(hits))


def _hits(session: Session, folder: str, question: Search) -> Iterator[Hit]:
    session.examine(folder)
    since = date.fromisoformat(question.since)
    for header in TRACES:
        for uid in session.search("SINCE", since, "HEADER", header, question.msgid):
            yield Hit(folder, uid, header)
