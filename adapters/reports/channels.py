"""The ways a report leaves: a folder, an e-mail, a webhook. What each needs is checked as soon as a recipient is named."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters import reaching
from adapters.accounts import Accounts
from adapters.reports import mailing, webhooks
from adapters.reports.mailing import MailServer
from adapters.strictjson import refuse

FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Recipient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a report goes: exactly one of these.

    Attributes:
        folder: name of a folder below the one that the installation sets aside for this organisation.
        email: an address; the files are attached, or it is told where they are.
        webhook: an https address that is told where they are, signed as Standard Webhooks.
    """

    folder: Annotated[str, Meta(max_length=63)] = ""
    email: Annotated[str, Meta(max_length=254)] = ""
    webhook: Annotated[str, Meta(max_length=1_000)] = ""

    @property
    def channel(self) -> str:
        """Which of them it is; "" when it is not one."""
        given = [name for name in self.__struct_fields__ if getattr(self, name)]
        return given[0] if len(given) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """What this installation can deliver by.

    Attributes:
        drop_folder: under it each tenant has a folder; None: nothing is delivered to folders.
        mail: None: nothing is sent by e-mail.
        attach_bytes: what is larger is not attached to an e-mail.
        public_url: how people reach the API.
        tls: makes the context of a call.
    """

    accounts: Accounts
    drop_folder: Path | None = None
    mail: MailServer | None = None
    attach_bytes: int = mailing.ATTACH_BYTES
    public_url: str = ""
    tls: Callable[[], ssl.SSLContext] = reaching.context

    def check(self, tenant: str, recipient: Recipient, where: str) -> None:
        """Refuse a recipient that nothing could be delivered to.

        Raises:
            InvalidError: says why.
        """
        why = {"folder": self._folder, "email": self._email, "webhook": self._webhook}.get(recipient.channel)
        if why is None:
            refuse(where, "give one of folder, email and webhook")
        found = why(tenant, recipient)
        if found:
            refuse(f"{where}.{recipient.channel}", found)

    def _folder(self, _tenant: str, recipient: Recipient) -> str:
        if self.drop_folder is None:
            return "no folder is set aside for reports; set LEDGER_REPORT_DROP_FOLDER"
        is_name = FOLDER.fullmatch(recipient.folder)
        return "" if is_name else "letters, digits, '_' and '-' only, at most 63"

    def _email(self, _tenant: str, recipient: Recipient) -> str:
        if self.mail is None:
            return "no mail server is known; set LEDGER_SMTP_URL and LEDGER_SMTP_FROM"
        from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415  as in `ledger.addresses`

        try:
            validate_email(recipient.email, check_deliverability=False, globally_deliverable=False)
        except EmailNotValidError:
            return "not an e-mail address"
        return "" if recipient.email.isascii() else "an address of ASCII characters; write a domain in its xn-- form"

    def _webhook(self, tenant: str, recipient: Recipient) -> str:
        if not webhooks.keys(self.accounts, tenant):
            return "there is no key to sign with; make one with: delivery-ledger schedules add-key NAME"
        return webhooks.why_not(recipient.webhook)
