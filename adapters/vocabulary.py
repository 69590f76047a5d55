"""Words of a provider that its tables do not have: which of those that were noted are still unknown today."""

from __future__ import annotations

from adapters.providers.contract import Provider
from ledger.application import Ledger
from ledger.events import read

MAX_WORDS = 100
MAX_DAYS = 400


def unknown(ledger: Ledger, tenant: str, provider: Provider) -> tuple[str, ...]:
    """Words that stand in `vocabulary.new` and in no table of today, sorted; at most a hundred, of the newest days.

    Whoever shows them shows what a provider wrote: they are sealed in the log, and open only to the tenant.
    """
    digest = ledger.keyring.lookup(tenant, "vocabulary", provider.name)
    streams = sorted({stream for _, stream, _, _ in ledger.probe_lookups([digest])}, key=lambda s: s[-10:])
    columns = f"{ledger.position_column}, state"
    topic = "AND topic = 'vocabulary.new/1'"
    rows = ledger.database.probe("stored_events", columns, "originator_id", streams[-MAX_DAYS:], topic)
    events = [read(position, bytes(state)) for position, state in rows]
    mine = sorted((e for e in events if e.fields.get("provider") == provider.name), key=lambda e: e.position)
    values = ledger.values(mine[-MAX_WORDS:])
    known = {_folded(word) for word in provider.words()}
    words = {str(said["word"]) for said in values.values() if "word" in said}
    return tuple(sorted(word for word in words if _folded(word) not in known))


def _folded(word: str) -> str:
    """A word whatever its case, blanks and hyphens: as readers compare words that nobody documents."""
    return word.strip().casefold().replace(" ", "_").replace("-", "_")
