"""Reads what a person saw on the provider's dashboard and wrote down, where nothing else tells the status.

A JSON object of our own: `words` as the dashboard has them (or `code`), `note` on how it was seen, and where known `ticket_token` and
`time` (ISO 8601). It proves what somebody told us, and no more: it comes by our API or an import only, never as an answer of the provider.
"""

from __future__ import annotations

from adapters.providers.kpn_platform import filled, json_repaired, time_said
from adapters.providers.kpn_registered_email.statuses import STATUS, description
from adapters.providers.reading import text, time_iso
from ledger.observations import Arrival, ArrivalKind, Observation, Reference, UnreadableError, ZoneBasis

OPERATION = "dashboard"
NOTES = {"told_by_person": "somebody saw this on the dashboard and wrote it down; the note says how"}

_FIELDS = ("ticket_token", "words", "code", "time", "note")
_STATUS = {row.word: row for row in STATUS}


def parse(arrival: Arrival) -> tuple[Observation, ...]:
    """What the person saw.

    Raises:
        UnreadableError: it says neither what was seen nor how, or it came as if from the provider.
    """
    body, repairs = json_repaired(arrival.body)
    token, words, code, time, note = (text(body.get(name)).strip() for name in _FIELDS)
    if arrival.kind not in (ArrivalKind.API, ArrivalKind.IMPORT):
        msg = "a person tells by the API or an import"
        raise UnreadableError(msg)
    if not note or not (words or code):
        msg = "words or code, and a note on how it was seen, are needed"
        raise UnreadableError(msg)
    word = _STATUS.get(code) or description(words)
    occurred = time_iso(time, ZoneBasis.DOCUMENTED)
    time_text, time_notes = time_said(time, occurred)
    seen = Observation(
        type=word.type if word else "channel.unmapped",
        references=(Reference("ticket_token", token),) if token else (),
        about="recipient",
        occurred=occurred,
        code=word.word if word else "",
        identity=(OPERATION, token, words, code, time, note) if token else (),
        texts=filled({"code": "" if word else code, "text": words, "note": note, **time_text}),
        notes=("told_by_person", *repairs, *time_notes),
    )
    return (seen,)
