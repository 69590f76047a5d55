"""What an account says about PEC Massiva and about the mailbox behind it; nothing secret."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from adapters.providers.mailbox_settings import Mailbox

TOKEN_SERVICES = {"v1": "https://oauth.openapi.it", "v2": "https://oauth.openapi.com"}
"""Source: the OpenAPI documents "oauth" and "oauthv2" of openapi.com, `servers`."""

SECRETS = {
    "email": "e-mail address of the account at openapi.com, for the token service",
    "api_key": "API key of that account, for the token service",
    "username": "user name of the mailbox, mostly its address",
    "password": "password of the mailbox",
}


class Settings(Mailbox, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mailbox of PEC Massiva; the fields of `Mailbox` let its signed receipts be read over IMAP.

    Attributes:
        mailbox: the certified address; everything is sent from it.
        oauth_version: of the token service, `v1` or `v2`.
        oauth_url: "" = the usual one of that generation.
        scope_host: name of the API in the scopes of a token; "" = that of base_url.
        joint: all recipients of a message in one call with one message_id, instead of a call for each.
    """

    mailbox: Annotated[str, Meta(pattern=r"^[^\s@]+@[^\s@]+$")]
    base_url: str = "https://ws.pecmassiva.com"
    oauth_version: Literal["v1", "v2"] = "v2"
    oauth_url: str = ""
    scope_host: str = ""
    joint: bool = False
    allow_plain_http: bool = False

    def token_url(self) -> str:
        """Where tokens are asked for."""
        path = {"v1": "token", "v2": "tokens"}[self.oauth_version]
        return f"{(self.oauth_url or TOKEN_SERVICES[self.oauth_version]).rstrip('/')}/{path}"
