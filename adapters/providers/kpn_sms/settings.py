"""What an account says about KPN SMS; nothing secret. The secrets by which webhooks are checked are the account's webhook keys."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from adapters.providers import kpn_calling

Generation = Literal["2025", "2020"]

SENDER_MAX = 11
TEXT_MAX = 1000


class Settings(kpn_calling.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account at KPN SMS.

    Attributes:
        generation: of the send API: `2025` (SMS - KPN 1.0.6) or `2020` (1.3: one number a call, Dutch numbers, no reports).
        sender: name or short code that the recipient sees where a send names none; "" = KPN's default, `KPN`.
        webhook_url: where KPN is asked to send delivery reports, as `accounts check` shows it; "" = where a person told KPN to.
        sub_account: of the customer at KPN, for the `SubAccount` header; "" = none.
        text_max: characters of a text: 160 for a project in demo.
    """

    base_url: str = kpn_calling.HOST
    generation: Generation = "2025"
    sender: Annotated[str, Meta(max_length=SENDER_MAX)] = ""
    webhook_url: Annotated[str, Meta(pattern=r"^(https?://[^\s]+)?$")] = ""
    sub_account: Annotated[str, Meta(pattern=r"^[!-~]*$")] = ""
    text_max: Annotated[int, Meta(ge=1, le=TEXT_MAX)] = TEXT_MAX
