"""How KPN Registered E-mail is called: sends and users at KPN, status documents at Aangetekend Mailen itself.

KPN takes a token, Aangetekend Mailen HTTP Basic. The provider has no list of what was sent: each ticket is asked about by itself, and
what the ledger does not know of cannot be found.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

from adapters.providers import kpn_calling
from adapters.providers.calling import (
    DEFAULT_CADENCE,
    Access,
    Answer,
    CallFailedError,
    Client,
    Desk,
    Request,
    Sweep,
    Watched,
)
from adapters.providers.kpn_registered_email import dispatch, mails
from adapters.providers.kpn_registered_email.settings import SECRETS, Settings, needs
from adapters.providers.kpn_registered_email.wire import PRODUCT
from adapters.providers.mailbox import collect
from adapters.providers.mailbox_settings import login_of
from adapters.providers.reconciling import reconcile

USERS = "/api/user/"
TICKET = "/webservice/dashboard/"
"""The published address of a ticket's page is this with `action=ticket_html`; that its XML is there too is assumed."""

KIND = "ticket_token"
GONE = "the status document of a ticket: 404"
WINDOW = timedelta(days=8)
PASSED_OVER = "skipped"
MOST_AHEAD = 100
"""Documents fetched for the e-mails of one run: whoever writes many of them does not make us ask without end."""

_REFUSED = frozenset({400, 405, 409, 412, 422})
"""Answers to the creation of a user that would be the same the next time."""


def poll(desk: Desk, watched: Watched) -> None:
    """Fetch the status document of each ticket of a message, where the account says where tickets are.

    Raises:
        CallFailedError: one of them could not be had.
    """
    failed = [why for token in watched.references.get(KIND, ()) if (why := _fetch(desk, token))]
    if failed:
        raise CallFailedError(failed[-1])


def _fetch(desk: Desk, token: str) -> str:
    """Fetch the status document of a ticket into the ledger; why it could not be had, or ""."""
    settings: Settings = desk.access.settings
    if not settings.environment_url:
        return ""
    request = ticket_request(settings, token)
    answer = desk.call(request)
    if answer.status == 404:
        return GONE
    if not _is_document(answer):
        return f"the status document of a ticket: {answer.failure or answer.status}"
    desk.admit(request, answer)
    return ""


def read_mails(desk: Desk) -> None:
    """Read what is new in the mailbox; for each e-mail the document of the ticket it names, which proves more, is fetched first.

    Raises:
        CallFailedError: the mailbox or one of the documents could not be had.
    """
    asked: dict[str, str] = {}

    def before(body: bytes) -> None:
        tokens = mails.tickets_in(body)
        if len(tokens) == 1 and tokens[0] not in asked and len(asked) < MOST_AHEAD:
            asked[tokens[0]] = _fetch(desk, tokens[0])

    collect(desk, mails.OPERATION, PASSED_OVER, login_of(desk.access.secrets), before)
    _check(asked)


def _check(asked: Mapping[str, str]) -> None:
    """Refuse to go on when a ticket could not be asked for; one that is not there was."""
    failed = [why for why in asked.values() if why not in {"", GONE}]
    if failed:
        raise CallFailedError(failed[-1])


def reconcile_tickets(desk: Desk) -> None:
    """Ask for the tickets of the last days once more, settled ones too: whether the provider still has them, and what it says now.

    Raises:
        CallFailedError: one of them could not be asked for; then nothing is compared.
    """
    until = desk.access.now
    since = until - WINDOW
    asked = {token: _fetch(desk, token) for token in sorted(desk.known(KIND, since, until))}
    _check(asked)
    there = {token: since for token, why in asked.items() if not why}  # the provider does not say when it was sent
    reconcile(desk, KIND, there, since, until, is_secret=True)


def ticket_request(settings: Settings, token: str) -> Request:
    """The call that shows a ticket's status document; its address is as secret as the ticket, and is not kept."""
    query = {"ticket_token": token, "action": "ticket_xml"}
    return Request(
        operation="biljet",
        needs_token=False,
        method="GET",
        url=f"{settings.environment_url.rstrip('/')}{TICKET}?{urlencode(query)}",
        name=f"{TICKET}?action=ticket_xml",
        headers={"accept": "application/xml"},
        may_send=False,
    )


def _is_document(answer: Answer) -> bool:
    """Whether this is what was asked for; a page to log in, which is another one each time, is not."""
    is_page = answer.body.lstrip()[:20].lower().startswith((b"<html", b"<!doctype html"))
    return not answer.failure and answer.status == 200 and not is_page


def create_users(desk: Desk) -> None:
    """Create the senders that the account wants, each at most once; from there on a person follows the provider's e-mail.

    Raises:
        CallFailedError: one could not be created now. What became of an unclear call nobody can be asked: it is not repeated.
    """
    settings: Settings = desk.access.settings
    failed = ""
    for address, who in settings.senders.items():
        made = desk.state.setdefault("users", {})
        if who.state != "wanted" or made.get(address):
            continue
        request = user_request(address)
        answer = desk.call(request)
        if answer.failure == "unreachable" or (
            answer.status not in {200, 201, *_REFUSED} and 400 <= answer.status < 500
        ):
            failed = f"POST {USERS}: {answer.failure or answer.status}"
            continue
        desk.state["users"] = made | {
            address: "created" if answer.status in {200, 201} else str(answer.status or answer.failure)
        }
        desk.admit(request, answer)
    if failed:
        raise CallFailedError(failed)


def user_request(address: str) -> Request:
    """The call that creates a sender."""
    body = json.dumps({"email_address": address}).encode()
    return Request(operation="user_create", url=USERS, headers=dispatch.HEADERS, body=body)


def authorise(asked: Request, access: Access) -> Request:
    """The request with the token of KPN, or for a status document with the user of Aangetekend Mailen."""
    if asked.operation != "biljet":
        return kpn_calling.authorise(asked, access)
    login = f"{access.secrets.get('web_user', '')}:{access.secrets.get('web_password', '')}"
    basic = base64.b64encode(login.encode()).decode()
    return replace(asked, headers={**asked.headers, "authorization": f"Basic {basic}"})


CLIENT = Client(
    settings=Settings,
    secrets=SECRETS,
    needs=needs,
    options=dispatch.Options,
    check=dispatch.check,
    next_request=dispatch.next_request,
    answers=dispatch.ANSWERS,
    code=kpn_calling.code(PRODUCT),
    poll=poll,
    cadence=(*DEFAULT_CADENCE, (timedelta(days=120), timedelta(days=1))),
    sweeps=(
        Sweep("users", 3600, create_users, "creates the senders that the account wants", "senders"),
        Sweep(
            "reconcile", 86_400, reconcile_tickets, "asks for recent tickets again, settled ones too", "environment_url"
        ),
        Sweep("mailbox", 60, read_mails, "reads new delivery e-mails from the mailbox", "imap_host"),
    ),
    token_request=kpn_calling.token_request,
    read_token=kpn_calling.read_token,
    authorise=authorise,
)
