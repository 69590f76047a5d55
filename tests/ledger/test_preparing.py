"""What is encoded before the lock is what would have been encoded under it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.canonical import encode
from ledger.errors import InvalidEventError
from ledger.events import CLEAR, Draft, check_fields, leaf, prepare

UUID = "01958f3a-5c00-7000-8000-0123456789ab"
AT = "2026-03-01T12:00:00.000000Z"
FIELDS = {
    "v": 1,
    "id": UUID,
    "nonce": "A" * 22,
    "type": "content.consigned/1",
    "tenant": "acme",
    "stream": UUID,
    "observed_at": AT,
}
ADDED = '"recorded_at":""', '"version":0'
names = st.sampled_from(["recorded_at", "version", "zone", "v"])
words = st.sampled_from([*ADDED, "\\" + ADDED[0], ADDED[1] + "\\", "recorded_at", "version"])
choices = st.fixed_dictionaries(
    {},
    optional={
        "code": words,
        "reason": words,
        "key_id": names,
        "zone": st.just("stated"),
        "verdict": st.just("verified"),
        "rule": names,
        "streams": st.just([UUID, "ledger"]),
        "numbers": st.dictionaries(names, st.integers(0, 9), min_size=1),
        "commit": st.dictionaries(names, st.just("A" * 43), min_size=1),
    },
)


@given(choices, st.integers(1, 2**53 - 1))
def test_prepared_draft_has_the_leaf_of_its_fields(chosen: dict[str, object], version: int) -> None:
    """Version and time find their places, whatever else in the event looks like them."""
    fields = {**chosen, **FIELDS}
    draft = Draft(fields, [])
    prepare(draft)
    expected = encode({**fields, "version": version, "recorded_at": AT})
    assert expected == leaf(draft, version, AT) == leaf(Draft(fields, []), version, AT)


@pytest.mark.parametrize("value", [{"a": 1}, {"a": "A" * 43}], ids=repr)
def test_nothing_that_holds_keys_stands_after_what_is_added(value: dict[str, object]) -> None:
    """Else a key of it could be taken for the place of the time or of the version."""
    holds = []
    for name in CLEAR:
        with suppress(InvalidEventError):
            check_fields({**FIELDS, name: value})
            holds.append(name)
    assert holds
    assert max(holds) < "recorded_at"


def test_fields_are_not_looked_at_again_once_they_were_checked() -> None:
    """What was checked is what is stored."""
    draft = Draft({**FIELDS}, [])
    prepare(draft)
    draft.fields["text"] = "plain words"
    assert b"plain words" not in leaf(draft, 1, AT)


def test_draft_that_may_not_stand_in_the_log_is_not_encoded() -> None:
    """It is refused where it was handed in, and the others that wait know nothing of it."""
    draft = Draft({**FIELDS, "text": "plain words"}, [])
    with pytest.raises(InvalidEventError):
        prepare(draft)
    assert draft.parts is None
