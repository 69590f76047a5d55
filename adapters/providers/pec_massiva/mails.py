"""Reads the signed e-mails of the mailbox behind the API: each as `pec_mailbox` reads it, and as the fact that its row tells too.

What only the e-mail says (the final notice after 24 hours, recipients outside, why it failed) is told beside that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adapters.providers.contract import Word
from adapters.providers.pec_mailbox import mime
from adapters.providers.pec_mailbox import wire as mailbox
from adapters.providers.pec_mailbox.statuses import SUBJECTS, subject_kind
from adapters.providers.pec_massiva import facts
from adapters.providers.reading import time_rfc2822
from ledger.observations import Arrival, Observation, ProviderTime, Reference

_TYPES = frozenset(row.type for row in SUBJECTS)
_SHOWN_AS = {"relay.failed": "relay.delayed"}
"""What the certification data knows better than the subject: the final notice has the subject of the warning."""


def read(arrival: Arrival) -> Iterator[Observation]:
    """What an e-mail says, under the message_id that ends its subject too.

    Raises:
        UnreadableError: as in `pec_mailbox`.
    """
    seen = mailbox.parse(arrival)
    fields = mime.read(arrival.body).fields
    subject, sent = mime.decoded(fields.get("subject", "")), time_rfc2822(fields.get("date", ""))
    for each in seen:
        name = facts.message_id(each.texts.get("subject", "")) or facts.message_id(subject)
        mine = replace(each, references=(Reference("message_id", name), *each.references)) if name else each
        kind = subject_kind(subject) if name and sent else None
        yield from _as_told(mine, kind, name, sent) if kind else [mine]


def _as_told(seen: Observation, kind: Word, name: str, sent: ProviderTime | None) -> list[Observation]:
    """The fact that the row tells, and whatever the e-mail alone says."""
    if kind.type == seen.type:
        return [_shared(seen, kind, name, sent)]
    if kind.type == _SHOWN_AS.get(seen.type):
        return [_shared(seen, kind, name, sent), seen]
    return [replace(seen, notes=(*seen.notes, "subject_differs"))] if seen.type in _TYPES else [seen]


def _shared(seen: Observation, kind: Word, name: str, sent: ProviderTime | None) -> Observation:
    """Told in the words of the row; the provider's own ones and the time that it certifies stand in the texts."""
    people = [seen.recipient] if seen.recipient else seen.declares
    certified = seen.occurred if seen.occurred and sent and seen.occurred.at != sent.at else None
    own = {
        "certified_code": seen.code,
        "certified_reason": seen.reason,
        "certified_at": certified and certified.original,
    }
    texts = {**seen.texts, **{path: text for path, text in own.items() if text}}
    notes = (*seen.notes, "time_differs") if certified else seen.notes
    return facts.told(replace(seen, texts=texts, notes=notes), kind, name, (a.value for a in people), sent)
