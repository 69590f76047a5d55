"""What is known of arrivals before they are decided: read for all of them together, in as few statements as the questions allow.

Two hold nearly all of it: which names are known and where they lead; then the messages they lead to and the recipients in these. Whoever
waits for an answer of the database waits for the interpreter too, so a single webhook gains more by this than an import.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence

from ledger.application import Ledger
from ledger.events import message_of, read
from ledger.names import Names, Reading, facts_of
from ledger.probes import Probe
from ledger.streams import WHOLE_MESSAGE, Message, evolve
from ledger.writer import Context, indexed, led_by, note_indexed, note_led, probe_joins, probe_protections

MAX_CACHED_MESSAGES = 50_000
_NO_MESSAGE = ("batch/", "account/")


class Known:
    """Reads what decisions need; remembers messages that nothing was written of, until somebody is erased."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._erasings = 0

    def forget(self, streams: Iterable[str] | None = None) -> None:
        """Read messages again; None: all."""
        if streams is None:
            self._messages.clear()
        for stream in streams or ():
            self._messages.pop(stream, None)

    def of(self, readings: Sequence[Reading]) -> Context:
        """Everything that deciding these arrivals needs."""
        context = Context()
        context.names = {id(r): Names(self._ledger, r) for r in readings}
        names = context.names.values()
        self._read_names(context, names)
        if more := set().union(*(each.more_keys(context.known) for each in names)):
            context.known |= self._ledger.known(more)
        named = {r.message for r in readings if r.message} | set(context.homes.values())
        led_to = {s for held in context.lookups.values() for s in held}
        probe_joins(self._ledger, context, named - led_to)
        streams = {context.canonical(s) for s in named | led_to if not s.startswith(_NO_MESSAGE)}
        pairs = {pair for reading in readings for pair in _pairs(context, reading)}
        self.read_messages(context, sorted(streams), sorted(pairs))
        held = {digest for _, digest in context.recipients}
        fresh = {
            (r.tenant, a) for r in readings for a, d in context.names[id(r)].addresses.items() if held.isdisjoint(d)
        }
        probe_protections(self._ledger, context, fresh)
        people = {(stream, index) for (stream, _), index in context.recipients.items()}
        self._ledger.read_keys(people | {(stream, WHOLE_MESSAGE) for _, stream in pairs})
        return context

    def _read_names(self, context: Context, names: Collection[Names]) -> None:
        """Which of the names are known, in which message those of facts stand, and where the others lead."""
        keys = sorted(set().union(*(each.keys() for each in names)))
        context.probed = {d for each in names for d in (*each.references.values(), *each.batches.values())}
        home = f"(SELECT originator_id FROM stored_events AS e WHERE e.{self._ledger.position_column} = duplicates.position)"
        columns = f"duplicate_key, {home}, '', duplicates.position"
        found = Probe("duplicates", columns, ("duplicate_key",), [(key,) for key in keys])
        known, led = self._ledger.database.several([found, led_by(sorted(context.probed))])
        context.known = {bytes(key): position for key, _, _, position in known}
        facts = set().union(*map(facts_of, names))
        context.homes = {bytes(key): message_of(stream) for key, stream, _, _ in known if bytes(key) in facts}
        note_led(self._ledger, context, led)

    def read_messages(
        self, context: Context, streams: Sequence[str], pairs: Collection[tuple[bytes, str]] = ()
    ) -> None:
        """Messages, and the index of addresses in them."""
        if self._erasings != self._ledger.erasings:
            self._erasings = self._ledger.erasings
            self.forget()
        cached = {s: m for s in streams if (m := self._messages.get(s)) is not None}
        context.messages |= cached | {s: Message(s) for s in streams if s not in cached}
        context.asked |= set(pairs)
        missing = [s for s in streams if s not in cached]
        columns = f"state, originator_id, {self._ledger.position_column}"
        written = Probe("stored_events", columns, ("originator_id",), [(stream,) for stream in missing])
        rows, recipients = self._ledger.database.several([written, indexed(sorted(pairs))])
        note_indexed(context, recipients)
        for position, state in sorted((position, bytes(state)) for state, _, position in rows):
            event = read(position, state)
            context.messages[event.stream] = evolve(context.messages[event.stream], event)
        # What this tenant sees nothing of may be another's: nobody may find it empty later.
        self._messages.update({s: context.messages[s] for s in missing if context.messages[s].version})
        while len(self._messages) > MAX_CACHED_MESSAGES:
            self._messages.popitem(last=False)


def _pairs(context: Context, reading: Reading) -> Iterator[tuple[bytes, str]]:
    """Each address that an arrival names, in each message that it may be about."""
    mine = context.names[id(reading)]
    held = {s for d in mine.references.values() for s in context.lookups.get(d, ())}
    held |= {context.homes[k] for k in facts_of(mine) if k in context.homes}
    held |= {reading.message} if reading.message else set()
    return ((d, context.canonical(s)) for digests in mine.addresses.values() for d in digests for s in held)
