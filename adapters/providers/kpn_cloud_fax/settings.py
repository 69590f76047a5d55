"""What an account says about KPN Cloud Fax; nothing secret. Its settings at KPN itself are read there, every day."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from adapters.providers import kpn_calling

Incoming = Literal["", "list", "custody", "without_custody"]
Kind = Literal["fax", "pcifax", "securefax"]


class Settings(kpn_calling.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account at KPN Cloud Fax.

    Attributes:
        upload: how documents go out: as base64 in JSON, or as form data, a quarter smaller.
        incoming: "" = nothing is asked; list = only which faxes came in; custody = they are fetched, and KPN's Custody Service lets a
            fetch be taken back; without_custody = they are fetched although a fetch that fails may lose them at KPN.
        documents: kinds of jobs whose documents are fetched; the protected kinds only when they are named here.
        look_back_days: how far back the daily comparison with KPN's list goes.
    """

    base_url: str = f"{kpn_calling.HOST}/data/cws/fax"
    upload: Literal["base64", "raw"] = "base64"
    incoming: Incoming = ""
    documents: tuple[Kind, ...] = ("fax",)
    look_back_days: Annotated[int, Meta(ge=1, le=90)] = 7
