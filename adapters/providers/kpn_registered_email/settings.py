"""What an account says about KPN Registered E-mail; nothing secret."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.providers import kpn_calling

PRODUCT_PATH = "/data/registeredemail/registeredemail"

SECRETS = kpn_calling.SECRETS | {
    "web_user": "user name of the web service user at Aangetekend Mailen, for status documents",
    "web_password": "password of that user",
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


class Settings(kpn_calling.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account at KPN Registered E-mail.

    Attributes:
        senders: e-mail address -> who it is; nobody else may send.
        environment_url: where the customer's tickets are (`https://<name>.aangetekendmailen.nl`); "" = no status documents are
            fetched: they are handed in as files, or the status is told by delivery e-mails or by a person.
    """

    base_url: str = kpn_calling.HOST + PRODUCT_PATH
    senders: dict[Annotated[str, Meta(pattern=r"^[^\s@]+@[^\s@]+$")], Sender] = {}
    environment_url: Annotated[str, Meta(pattern=r"^(https?://[^\s?#]+)?$")] = ""

    def sender(self, address: str) -> Sender | None:
        """Who has this address, whatever its case."""
        return next((who for known, who in self.senders.items() if known.casefold() == address.casefold()), None)


def needs(settings: Settings) -> set[str]:
    """The credentials that an account with these settings must have."""
    return set(SECRETS if settings.environment_url else kpn_calling.SECRETS)
