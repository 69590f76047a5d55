"""What a story is an example of, and what makes two stories the same one with other values.

Every provider has stories of every kind but those of `IMPOSSIBLE`. That a story is of a kind is said in its file, and checked here
as far as its arrivals and its end show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

from ledger.observations import ArrivalKind
from tests.stories.stories import Story

Shape = tuple[object, ...]
"""A story without its values: how each arrival came, and what is expected of whom."""

MANY = 46
A_DAY = timedelta(hours=20)
_TIME = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")

_POSITIVE = frozenset({"delivered", "accepted_by_recipient"})
_NEGATIVE = frozenset({"refused", "expired", "failed", "cancelled"})
_LAPSED = frozenset({"acceptance.expired", "relay.failed"})
_SAID_NO = frozenset({"submission.rejected", "relay.rejected", "consignment.rejected", "document.signature_declined"})

# In HTTP 5xx is a failure of theirs and 429 asks for patience; in SMTP 5xx is a refusal, 421 a server that is not there.
_THROTTLED = frozenset({429, 450, 451, 452})
_DOWN = {"pec_mailbox": frozenset({421})}
_DOWN_BY_HTTP = frozenset({500, 502, 503, 504})


def _statuses(story: Story) -> list[str]:
    return [delivery[2] for delivery in story.deliveries.elements()]


def _facts(story: Story) -> Iterator[list[str]]:
    """Type, code, rule and effect of every reason; a code may have blanks in it."""
    for delivery in story.deliveries:
        for reason in delivery[6:]:
            kind, rest = reason.split(" ", 1)
            yield [kind, *rest.rsplit(" ", 2)]


def _is_normal(story: Story) -> bool:
    return not _POSITIVE.isdisjoint(_statuses(story))


def _is_refused(story: Story) -> bool:
    said_no = any(kind in _SAID_NO for kind, *_ in _facts(story))
    refused_calls = [a for a in story.arrivals if a.status is not None and 400 <= a.status < 500 and a.status != 429]
    return said_no or bool(refused_calls and story.lanes)


def _is_expired(story: Story) -> bool:
    return any(kind in _LAPSED for kind, *_ in _facts(story))


def _is_duplicate(story: Story) -> bool:
    return len(story.repeated) - len(story.arrivals) >= MANY - 1


def _is_reversed(story: Story) -> bool:
    """Whether it is heard of, or by what it says itself happened, in another order than that of time."""
    seen = [arrival.observed_at for arrival in story.arrivals]
    said = [found[0] for arrival in story.arrivals if (found := _TIME.search(arrival.body))]
    return seen != sorted(seen) or said != sorted(said)


def _has_no_send(story: Story) -> bool:
    return story.registration is None and all(arrival.request is None for arrival in story.arrivals)


def _has_unknown_code(story: Story) -> bool:
    return any(kind == "channel.unmapped" for kind, *_ in _facts(story))


def _is_throttled(story: Story) -> bool:
    return any(arrival.status in _THROTTLED for arrival in story.arrivals)


def _was_down_for_a_day(story: Story) -> bool:
    """Whether the first good word after a failure of theirs came a day later."""
    down = _DOWN.get(story.provider, _DOWN_BY_HTTP)
    failed = [arrival.observed_at for arrival in story.arrivals if arrival.status in down]
    good = [arrival.observed_at for arrival in story.arrivals if arrival.status not in down]
    return (
        bool(failed)
        and any(at - min(failed) >= A_DAY for at in good if at > min(failed))
        and not any(min(failed) < at < min(failed) + A_DAY for at in good)
    )


def _has_wrong_signature(story: Story) -> bool:
    return story.quarantined > 0 or "unverified" in story.lanes


def _has_rotated_key(story: Story) -> bool:
    return len(story.signers) > 1


def _failed_in_part(story: Story) -> bool:
    found = set(_statuses(story))
    return bool(found & _NEGATIVE) and bool(found - _NEGATIVE)


KINDS: dict[str, Callable[[Story], bool]] = {
    "normal": _is_normal,
    "refused": _is_refused,
    "expired": _is_expired,
    "duplicate": _is_duplicate,
    "reversed": _is_reversed,
    "missing_send": _has_no_send,
    "unknown_code": _has_unknown_code,
    "throttled": _is_throttled,
    "down_for_a_day": _was_down_for_a_day,
    "wrong_signature": _has_wrong_signature,
    "key_rotated": _has_rotated_key,
    "partial_failure": _failed_in_part,
}
"""Kind -> what must be true of a story of that kind."""

_FETCHED = "what it says is fetched over TLS; nothing is signed that is checked on arrival"
_OWN_KEYS = "nobody gives out keys: each original brings the certificate of its signer"

IMPOSSIBLE: dict[tuple[str, str], str] = {
    ("kpn_cloud_fax", "wrong_signature"): _FETCHED,
    ("kpn_cloud_fax", "key_rotated"): _FETCHED,
    ("kpn_registered_email", "wrong_signature"): _FETCHED,
    ("kpn_registered_email", "key_rotated"): _FETCHED,
    ("kpn_registered_email", "partial_failure"): "a ticket has one recipient",
    ("pec_mailbox", "key_rotated"): _OWN_KEYS,
    ("pec_massiva", "key_rotated"): _OWN_KEYS,
}
"""(Provider, kind) that cannot come about -> why."""


def claimed_in_vain(story: Story) -> set[str]:
    """Kinds that the file names and the story does not show, or that nobody knows."""
    return {kind for kind in story.kinds if kind not in KINDS or not KINDS[kind](story)}


def shape(story: Story) -> Shape:
    """How each arrival came and how often, and what is expected; without addresses, ids, texts and times."""
    came = tuple(
        (
            a.operation,
            str(a.kind),
            a.status,
            story.repeated.count(a) > 1,
            a.kind is ArrivalKind.WEBHOOK and a.headers != {},
        )
        for a in story.arrivals
    )
    ends = sorted((*delivery[2:4], *delivery[5:]) for delivery in story.deliveries.elements())
    proofs = sorted(line[2:] for line in story.proof.elements() if line[2] != "deadlines")
    return came, tuple(ends), tuple(proofs), tuple(sorted(story.lanes.items())), story.quarantined
