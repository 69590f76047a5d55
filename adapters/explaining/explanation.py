"""A delivery explained: the paragraph, and step by step every fact with the rule that judged it, in the words of the report."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from adapters.evidence import texts as report
from adapters.explaining.sentences import paragraph
from adapters.strictjson import refuse
from projections.views import DeliveryView


class Explained(msgspec.Struct, frozen=True):
    """One fact, what it means, and why it did what it did: `decides`, `agrees`, `overruled`, `set_aside`, `unattributed`, `shown`."""

    event_id: str
    position: int
    type: str
    meaning: str
    at: str
    code: str
    reason: str
    rule: str
    rule_text: str
    effect: str
    effect_text: str


class Explanation(msgspec.Struct, frozen=True):
    """Why a delivery has its status.

    Attributes:
        text: a paragraph for people who know nothing of this ledger; it holds the recipient's address, as far as that is held.
        zone: of the times in `text`; all other times are UTC.
        facts: step by step.
    """

    message: str
    recipient: int
    language: str
    zone: str
    text: str
    status: str
    sub_status: str
    since: str
    is_final: bool
    rules: str
    facts: tuple[Explained, ...]
    flags: dict[str, str]
    position: int


def explain(view: DeliveryView, language: str = "en", zone: str = "UTC") -> Explanation:
    """A delivery's status in words.

    Args:
        zone: name of a time zone, as in the IANA database.

    Raises:
        InvalidError: no such language or zone.
    """
    if language not in report.LANGUAGES:
        refuse("language", f"there are {', '.join(report.LANGUAGES)}")
    effects = report.texts(language)["effect"]
    facts = tuple(
        Explained(
            event_id=r.event_id,
            position=r.position,
            type=r.type,
            meaning=report.event_type(language, r.type),
            at=r.at,
            code=r.code,
            reason=r.reason,
            rule=r.rule,
            rule_text=report.rule(language, r.rule),
            effect=r.effect,
            effect_text=effects.get(r.effect, r.effect),
        )
        for r in view.reasons
    )
    return Explanation(
        message=view.message,
        recipient=view.recipient,
        language=language,
        zone=zone,
        text=paragraph(view, language, zone_of(zone)),
        status=view.status,
        sub_status=view.sub_status,
        since=view.since,
        is_final=view.is_final,
        rules=view.rules,
        facts=facts,
        flags={flag: report.rule(language, flag) for flag in view.flags},
        position=view.position,
    )


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        InvalidError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        refuse("zone", "not the name of a time zone, as Europe/Rome is one")
