"""What becomes of a message, chosen by its recipient: the part of the address before the first `.`, `-`, `+`, `_` or digit.

`silent@…`, `silent.one@…` and `silent2@…` behave alike; any other name is delivered to after four seconds. Where the
address lies plays no part, except that `esterno`, `bounced` and `wrapped` are ordinary e-mail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.providers.pec_mailbox.sandbox import damage
from adapters.providers.pec_mailbox.sandbox.receipts import Style

PLAIN = Style()
SOON = 4 / 3600
"""Hours until an ordinary delivery receipt."""


@dataclass(frozen=True)
class Step:
    """Something the sender gets.

    Attributes:
        after_h: hours after the message was handed in.
        form: key in receipts.FORMS, or a bounce.
        copies: how often the very same e-mail arrives.
        to_user: the sender gets what only the provider's service mailbox should.
    """

    after_h: float
    form: str
    error: str = "nessuno"
    error_text: str = ""
    style: Style = PLAIN
    copies: int = 1
    to_user: bool = False


def _delivered(style: Style = PLAIN) -> tuple[Step, ...]:
    return (_TAKEN, Step(SOON, "delivered", style=style))


_TAKEN = Step(2 / 3600, "taken")
_WARNING = Step(12, "warned", "altro", "Il messaggio non risulta consegnato nelle prime dodici ore")
_FINAL = Step(24, "expired", "altro", "5.4.1 - Fornitore di prova - tempo massimo di consegna superato")
_FULL = Step(SOON, "failed", "altro", "5.2.2 - Fornitore di prova - casella piena")
_VIRUS = "VIRUS-DI-PROVA"

BEHAVIOUR: dict[str, tuple[Step, ...]] = {
    # what providers do
    "refused": (_TAKEN, _FULL),
    "unknown": (Step(SOON, "failed", "no-dest", "5.1.1 - Fornitore di prova - indirizzo non valido"),),
    "nobody": (Step(SOON, "failed", "altro", "5.1.1 - Fornitore di prova - indirizzo non valido"),),
    "nodomain": (Step(SOON, "failed", "no-dominio", "5.1.2 - Fornitore di prova - dominio non valido"),),
    "virus": (Step(2 / 3600, "virus_found", "virus", _VIRUS), Step(SOON, "failed_virus", "virus", _VIRUS)),
    "silent": (_WARNING, _FINAL),
    "slow": (_WARNING, _FINAL),
    "taken": (_TAKEN, _FINAL),
    "delayed": (_WARNING, Step(13, "delivered")),
    "late": (_WARNING, _FINAL, Step(30, "delivered")),
    "nothing": (),
    "esterno": (),
    "bounced": (Step(1 / 60, "bounce", "5.1.1", "User unknown"),),
    "wrapped": (Step(1 / 60, "wrapped_bounce", "5.1.1", "User unknown"),),
    # what they should not do
    "talkative": (Step(2 / 3600, "taken", to_user=True), *_delivered()[1:]),
    "twice": (_TAKEN, Step(SOON, "delivered", copies=2)),
    "contradicted": (_TAKEN, Step(SOON, "delivered"), Step(1, "failed", "altro", _FULL.error_text)),
    "early": (Step(-2 / 3600, "delivered"),),
    # how they write
    "sha1": _delivered(Style(digest="sha1")),
    "html": _delivered(Style(with_html=True)),
    "decoded": _delivered(Style(hash_form="decoded")),
    "shouting": _delivered(Style(header=str.upper)),
    "whispering": _delivered(Style(header=str.lower)),
    "certdata": _delivered(Style(daticert="certdata.xml")),
    "stray": _delivered(Style(certification=damage.stray_text)),
    "mojibake": _delivered(Style(certification=damage.latin_1)),
    "rewritten": _delivered(Style(certification=damage.other_msgid_domain)),
    "nameless": _delivered(Style(certification=damage.without_recipient)),
    "strange": _delivered(Style(certification=damage.unknown_kind)),
    "torn": _delivered(Style(certification=damage.not_xml)),
    "nodata": _delivered(Style(daticert="")),
    "unixed": _delivered(Style(transit=damage.lf_only)),
    # whom not to believe
    "unsigned": _delivered(Style(signer="")),
    "stripped": _delivered(Style(transit=damage.without_signature)),
    "cut": _delivered(Style(transit=damage.cut_in_signature)),
    "altered": _delivered(Style(transit=damage.altered)),
    "resigned": _delivered(Style(signer="other_ca")),
    "expired": _delivered(Style(signer="expired")),
    "impostor": _delivered(Style(signer="other_mailbox")),
}
"""First part of the local part -> what comes back. Also: `rejected` among the recipients makes the sender's own provider
refuse the whole message, and so do a failed formal check and the test string of virus scanners in it."""

ORDINARY = frozenset({"esterno", "bounced", "wrapped"})
REJECTED = "rejected"

_DELIVERED = _delivered()


def word(address: str) -> str:
    """The part of an address that chooses."""
    found = re.match(r"sha1|[a-z]*", address.casefold())
    return found[0] if found else ""


def steps(address: str) -> tuple[Step, ...]:
    """What comes back for a recipient; in order of time."""
    return BEHAVIOUR.get(word(address), _DELIVERED)
