"""The commands `protect` and `unprotect`: whose identity is protected. Who may see them says `--protected` before a command."""

from __future__ import annotations

from collections.abc import Callable

from adapters.accounts import CONSOLE
from ops.console import Json, Tenant, out, print_json, system


def protect(message: str, recipient: int, /, *, reason: str, tenant: Tenant = "", json: Json = False) -> None:
    """Protect the identity of a recipient: in this delivery, in every other one to the same address, and in those to come.

    Nobody finds or sees them any more, unless who may asks for it: delivery-ledger --protected --access-reason "…" COMMAND.

    Args:
        message: the message's id.
        recipient: index of the recipient.
        reason: why; kept with the event, sealed.
    """
    from adapters import protecting  # noqa: PLC0415  so that --help is quick

    _say(protecting.protect, (message, recipient), reason, tenant, "protected", json=json)


def unprotect(message: str, recipient: int, /, *, reason: str, tenant: Tenant = "", json: Json = False) -> None:
    """Take the protection of an identity back, in this delivery and every other one to the same address.

    Args:
        message: the message's id.
        recipient: index of the recipient.
        reason: why; kept with the event, sealed.
    """
    from adapters import protecting  # noqa: PLC0415  as above

    _say(protecting.unprotect, (message, recipient), reason, tenant, "no longer protected", json=json)


def _say(act: Callable[..., int], whose: tuple[str, int], reason: str, tenant: str, word: str, *, json: bool) -> None:
    if not reason.strip():
        msg = "say why (--reason TEXT); it is kept"
        raise ValueError(msg)
    with system() as s:
        marked = act(s.queries, tenant or s.settings.tenant, whose, reason.strip(), CONSOLE)
    print_json({"deliveries": marked}) if json else out.print(f"{marked} deliveries are {word} now.")
