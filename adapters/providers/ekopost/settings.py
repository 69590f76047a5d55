"""What an account says about Ekopost; nothing secret."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

SECRETS = {
    "api_key": "API key, made in the portal under account/api; for auth=api_key",
    "username": "user name; for auth=basic",
    "password": "password of that user; for auth=basic",
}

_NEEDED = {"api_key": ("api_key",), "basic": ("username", "password")}


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account at Ekopost.

    Attributes:
        base_url: the sandbox is http://api.sandbox.ekopost.se; it has no TLS, so it also needs allow_plain_http.
        auth: how calls name us; the page advises an API key, as a password that changes stops everything.
        window_days: how far back campaigns are looked at; one that is not finished by then is followed on its own.
        invitations: whether invitations to exchange e-invoices are looked at.
    """

    base_url: str = "https://api.ekopost.se"
    auth: Literal["api_key", "basic"] = "api_key"
    window_days: Annotated[int, Meta(ge=14, le=400)] = 35
    invitations: bool = False
    allow_plain_http: bool = False


def needs(settings: Settings) -> Collection[str]:
    """The credentials that an account with these settings must have."""
    return _NEEDED[settings.auth]
