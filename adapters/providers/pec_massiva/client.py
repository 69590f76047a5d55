"""How PEC Massiva is called: sends, the rows of one message, and what is done for the whole mailbox by the clock."""

from __future__ import annotations

import json
from datetime import timedelta

from adapters.providers.calling import CallFailedError, Client, Desk, Request, Sweep, Watched
from adapters.providers.mailbox import mailbox_sweep
from adapters.providers.pec_massiva import deletion, dispatch, inbox, quota, statuses, tokens
from adapters.providers.pec_massiva.answers import error_row, fields_of, is_success, value
from adapters.providers.pec_massiva.settings import SECRETS, Settings
from ledger.observations import Address

_STOP = frozenset({401, 403, 429})


def poll(desk: Desk, watched: Watched) -> None:
    """Ask for the receipts of each message_id of a message; an answer that says nothing yet is admitted too, and counted.

    Raises:
        CallFailedError: the service did not answer for one of them.
    """
    failed = ""
    for name in watched.references.get("message_id", ()):
        if not statuses.MESSAGE_ID.fullmatch(name):
            continue
        index = watched.named.get(name)
        request = rows_request(name, None if index is None else watched.recipients[index])
        answer = desk.call(request)
        said = fields_of(answer.body)
        nothing_yet = (row := error_row(value(said, "message"))) is not None and row.reason == "nothing_yet"
        if not answer.failure and (nothing_yet or (is_success(answer.status) and said.get("success") is not False)):
            desk.admit(request, answer)
            continue
        failed = f"GET /send/…: {answer.failure or answer.status}"
        if answer.failure or answer.status in _STOP:
            break
    if failed:
        raise CallFailedError(failed)


def rows_request(message_id: str, recipient: Address | None = None) -> Request:
    """The call that shows the receipts of one message_id.

    Args:
        recipient: whom alone the send was for; kept with the answer, because rows may name nobody.
    """
    kept = None if recipient is None else json.dumps({"recipient": recipient.value}).encode()
    return Request(operation="send_status", method="GET", url=f"/send/{message_id}", kept=kept, may_send=False)


CLIENT = Client(
    settings=Settings,
    secrets=SECRETS,
    options=dispatch.Options,
    check=dispatch.check,
    next_request=dispatch.next_request,
    answers=dispatch.ANSWERS,
    code=dispatch.code,
    poll=poll,
    cadence=(
        (timedelta(minutes=10), timedelta(minutes=1)),
        (timedelta(hours=2), timedelta(minutes=10)),
        (timedelta(hours=26), timedelta(hours=1)),
        (timedelta(days=30), timedelta(hours=12)),
    ),
    sweeps=(
        Sweep("inbox", 900, inbox.sweep, "e-mails of the mailbox that were not read yet"),
        mailbox_sweep(login=("username", "password")),
        Sweep("quota", 3600, quota.sweep, "how full the mailbox is, and when it will be"),
    ),
    token_request=tokens.request,
    read_token=tokens.read,
    authorise=tokens.authorise,
    delete=deletion.on_request,
    pace_s=1.0,
)
