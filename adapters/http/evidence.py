"""Evidence packs over HTTP: everything that proves one message's story, in one file; that it leaves is recorded first."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from adapters.evidence.pack import Ask
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import Given
from adapters.strictjson import refuse
from ledger.errors import NotFoundError

ASICE = "application/vnd.etsi.asic-e+zip"


class NewEvidence(Given):
    """What a pack is to show.

    Attributes:
        recipients: indexes of the recipients it is about; nobody else is shown. Absent: all.
        fields: show only these fields (`subject`, `reference`, `artifact` for the originals …). Empty: all that may be shown.
        at: the log's size at an earlier signed head; gives the pack as it was then.
        include_shared: also originals that name others; needs `reason`, which is recorded.
    """

    recipients: (
        Annotated[tuple[Annotated[int, Meta(ge=0, le=999_999)], ...], Meta(min_length=1, max_length=10_000)] | None
    ) = None
    fields: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.]{0,79}$(?!\n)")], ...], Meta(max_length=100)
    ] = ()
    at: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None
    language: Literal["en", "it", "nl", "sv"] = "en"
    include_shared: bool = False
    reason: Annotated[str, Meta(max_length=1_000)] = ""


@route(
    "POST /v1/messages/{message}/evidence",
    scopes=("evidence",),
    answers={200: {ASICE: bytes}},
    problems=(422,),
    reads_only=True,
    demands="evidence",
)
def evidence(call: Call[NoQuery, NewEvidence]) -> Answer:
    """The evidence pack of a message (ASiC-E); check it with the verify.py inside and the log's key from elsewhere."""
    desk = call.services.evidence
    if desk is None:
        msg = "this server hands out no evidence; ask the one that holds the log's keys"
        raise NotFoundError(msg)
    if call.body.include_shared and not call.reason:
        refuse("reason", "originals that name others leave only with a reason, which is recorded")
    ask = Ask(
        tenant=call.tenant,
        message=call.path["message"],
        recipients=call.body.recipients,
        fields=call.body.fields,
        language=call.body.language,
        include_shared=call.body.include_shared,
        reason=call.reason,
    )
    pack = desk.issue(ask, call.body.at, call.actor)
    return Answer(pack.data, headers={"Content-Disposition": f'attachment; filename="{pack.name}"'}, media_type=ASICE)
