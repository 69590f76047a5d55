"""What can be sent through Ekopost, and with which options; what cannot is refused before anything is written."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from adapters.providers.calling import Access, Document, Submission
from adapters.providers.ekopost.channels import CHANNELS, USUAL, address_object, is_elsewhere, too_long
from adapters.providers.ekopost.objects import fields_of
from adapters.providers.reading import time_iso
from ledger.observations import ZoneBasis

MAX_NUMBERS = 100_000
CONTENT_TYPES = {"application/pdf": "document", "application/xml": "markup"}

AddressType = Literal[
    "",
    "postal",
    "protected",
    "lookup",
    "email",
    "einbox",
    "einbox_kivra",
    "einbox_signer",
    "einvoice",
    "ebank",
    "einvoice_mastercard",
]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one send; what is not explained here is Ekopost's own field of that name.

    Attributes:
        address_type: "" = the usual one of the recipient's kind of address.
        address: fields of the address object, besides or in place of what follows from the recipient.
        campaign: name of the open campaign to join, made where none is open; "" = a campaign of its own.
        close: whether the campaign is closed after this envelope; nothing in it is printed before that.
        output_date: when to print and distribute, UTC; "" = as soon as possible.
        reply_mail: name of the document that is the template of a reply mail; "" = none.
        ask_reachable: ask first whether the recipient has such a mailbox.
        fallback: fields of the postal address that is used where that says no.
    """

    address_type: AddressType = ""
    address: dict[str, Any] = {}
    campaign: str = ""
    close: bool = True
    output_date: str = ""
    cost_center: str = ""
    postage: Literal["priority", "economy", "rek", "protected"] = "priority"
    plex: Literal["simplex", "duplex"] = "simplex"
    color: bool = False
    pu: bool = False
    kb: bool = False
    consignor_contact: str = ""
    agent: str = ""
    return_address: bool = False
    signer_emails: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    issuer: int | None = None
    reply_mail: str = ""
    ask_reachable: bool = False
    fallback: dict[str, Any] = {}


# --- what cannot be sent


def check(submission: Submission, access: Access) -> str:  # noqa: ARG001  the contract's
    """Why this cannot be sent, or ""."""
    held = _sms_faults(submission) if is_sms(submission) else _faults(submission, submission.options or Options())
    return next((why for why, holds in held.items() if holds), "")


def is_sms(submission: Submission) -> bool:
    """Whether it goes to telephones."""
    return bool(submission.recipients) and submission.recipients[0].kind == "phone"


def _sms_faults(submission: Submission) -> dict[str, object]:
    people = submission.recipients
    return {
        "an SMS goes to phone numbers only": any(each.kind != "phone" for each in people),
        "write phone numbers with their country (+46…): national ones would be taken for another country's": not all(
            each.value.strip().startswith(("+", "00")) for each in people
        ),
        f"an SMS goes to at most {MAX_NUMBERS} numbers": len(people) > MAX_NUMBERS,
        "an SMS needs a sender": not submission.sender.strip(),
        "an SMS needs a text, in text/plain": not submission.text or submission.text_type != "text/plain",
        "an SMS has no documents": submission.documents,
    }


def _faults(submission: Submission, options: Options) -> dict[str, object]:
    people, kind = submission.recipients, type_of(submission)
    types = [content_type(each, options) for each in submission.documents]
    is_rek, services = options.postage == "rek", options.pu or options.kb or bool(options.consignor_contact)
    is_alone = len(people) == 1 or kind == "einbox_signer"
    postal = fields_of(address_object(kind, people, options.address)) if is_alone and kind == "postal" else {}
    takes = CHANNELS[kind].takes if kind else frozenset()
    return {
        "there is no recipient": not people,
        "nothing of Ekopost goes to such an address": people and not kind,
        f"{kind} goes to {' or '.join(sorted(takes))} only": kind and any(each.kind not in takes for each in people),
        "an envelope has one recipient, except for signing": not is_alone,
        "an envelope needs one document, application/pdf, or application/xml for an e-invoice": types.count("document")
        + types.count("markup")
        < 1,
        "contents must be application/pdf or application/xml": "" in types,
        "an envelope has one markup": types.count("markup") > 1,
        "reply_mail names no document": options.reply_mail and "replymail" not in types,
        "pu, kb and consignor_contact are for registered letters (postage rek)": services and not is_rek,
        "address: name, street, postal_code and city must be those of the recipient": kind == "postal"
        and is_alone
        and is_elsewhere(people[0], options.address),
        "only a postal address can have a registered letter": is_rek and kind != "postal",
        too_long(postal): is_rek and too_long(postal),
        "protected is both the address_type and the postage, or neither": (kind == "protected")
        != (options.postage == "protected"),
        "signer_emails: one for each recipient": len(options.signer_emails) != (len(people) if signs(kind) else 0),
        "issuer: the index of a recipient who signs": options.issuer is not None
        and not (signs(kind) and 0 <= options.issuer < len(people)),
        "output_date: a time such as 2026-03-02T12:00:00, in UTC": options.output_date
        and time_iso(options.output_date, ZoneBasis.DOCUMENTED) is None,
        "ask_reachable decides between two ways: give the fields of the other as fallback": options.ask_reachable
        and kind
        and CHANNELS[kind].reachable
        and not options.fallback,
        "ask_reachable: nobody can be asked about this address_type": options.ask_reachable
        and kind
        and not CHANNELS[kind].reachable,
    }


def signs(kind: str) -> bool:
    return kind == "einbox_signer"


def type_of(submission: Submission) -> str:
    """The address type of a submission; "" when there is none for it."""
    options: Options = submission.options or Options()
    if options.address_type or not submission.recipients:
        return options.address_type
    return USUAL.get(submission.recipients[0].kind, "")


def content_type(document: Document, options: Options) -> str:
    if options.reply_mail and document.name == options.reply_mail:
        return "replymail"
    return CONTENT_TYPES.get(document.media_type.partition(";")[0].strip().lower(), "")
