"""What an account says about KPN Registered E-mail; nothing secret."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.providers import kpn_calling, mailbox_settings
from adapters.providers.mailbox_settings import Mailbox

PRODUCT_PATH = "/data/registeredemail/registeredemail"

SECRETS = kpn_calling.SECRETS | {
    "web_user": "user name of the web service user at Aangetekend Mailen, for status documents",
    "web_password": "password of that user",
    "imap_user": "user name of the mailbox that delivery e-mails come to",
    "imap_password": "password of that mailbox",
}


class Sender(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person who may send.

    Attributes:
        name: as recipients see it.
        state: wanted = to be created at the provider by us; created = has yet to follow the link in the provider's e-mail;
            activated = may send; removed = may no longer. Only creation has an API: the others are told by a person.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    state: Literal["wanted", "created", "activated", "removed"] = "activated"


class Settings(Mailbox, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account at KPN Registered E-mail.

    The fields of `Mailbox` let delivery e-mails be read over IMAP. Everything in the folders is kept: let a rule of the mailbox move the
    provider's e-mails to one of their own, and name that.

    Attributes:
        base_url: of the product at KPN; the token service is on the same host.
        senders: e-mail address -> who it is; nobody else may send.
        environment_url: where the customer's tickets are (`https://<name>.aangetekendmailen.nl`); "" = no status documents are
            fetched: they are handed in as files, or the status is told by delivery e-mails or by a person.
        allow_plain_http: for tries on one's own network only.
    """

    base_url: str = kpn_calling.HOST + PRODUCT_PATH
    senders: dict[Annotated[str, Meta(pattern=r"^[^\s@]+@[^\s@]+$")], Sender] = {}
    environment_url: Annotated[str, Meta(pattern=r"^(https?://[^\s?#]+)?$")] = ""
    allow_plain_http: bool = False

    def sender(self, address: str) -> Sender | None:
        """Who has this address, whatever its case."""
        return next((who for known, who in self.senders.items() if known.casefold() == address.casefold()), None)


def needs(settings: Settings) -> set[str]:
    """The credentials that an account with these settings must have."""
    needed = set(kpn_calling.SECRETS)
    needed |= {"web_user", "web_password"} if settings.environment_url else set()
    return needed | (set(mailbox_settings.SECRETS) if settings.imap_host else set())
