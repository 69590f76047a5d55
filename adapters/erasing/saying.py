"""Says in the log what goes for one erasure, story by story, and destroys it at once where this process has a login that may.

What is said of a story rests on its streams and on those of holds: if one of them moves meanwhile, it is judged again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress

import msgspec

from adapters.acts import Act
from adapters.erasing import beside, finding
from adapters.erasing.finding import Finder
from adapters.erasing.views import Numbers
from adapters.keeping import Covering, Hold, versions
from adapters.lanes import Lanes
from adapters.outbox import ActRefusedError
from ledger import erasing
from ledger.appender import Item
from ledger.application import Ledger
from ledger.database import Database
from ledger.erasing import Erased
from ledger.errors import BusyError, ConfigurationError, ConflictError
from ledger.events import Draft

TRIES = 10
NOTE = "what waited was erased"
STAYS = "stays."
"""Begins the names of numbers that say what stays; why follows."""

Progress = Callable[[int, int | None], None]


class Saying:
    """Says in the log what goes for one act, and destroys it at once where this process has a login that may.

    Attributes:
        stays: what stays and is not told with what goes, counted.
        destroyed: ids of the events that say it, where it was.
    """

    def __init__(self, finder: Finder, lanes: Lanes, act: Act, progress: Progress) -> None:
        self.finder, self.lanes, self.act, self.progress = finder, lanes, act, progress
        self.queries, self.tenant = finder.queries, finder.tenant
        self.stays: Counter[str] = Counter()
        self.destroyed: set[str] = set()
        self.done = 0
        self._database: Database | None = None
        self._covering: tuple[dict[str, int], Covering] | None = None
        self._searched: tuple[dict[str, int], beside.Acts | None] | None = None

    def everything(self, privileged: Callable[[], AbstractContextManager[Database]]) -> None:
        """Say everything.

        Raises:
            ActRefusedError: a hold forbids it, or something of it is still to be sent; what was said before stays said.
            BusyError: a story moves on and on.
        """
        with ExitStack() as opened:
            with suppress(ConfigurationError):  # then it is said, and destroyed by whoever may
                self._database = opened.enter_context(privileged())
            after = ""
            while messages := self.finder.messages(after):
                for message in messages:
                    self._story(message)
                after = messages[-1]
            for message in self.finder.left_for_others():
                self._story(message, may_be_held=True)
            self._acts()

    def _story(self, message: str, *, may_be_held: bool = False) -> None:
        """Say what goes of the story of a message.

        Args:
            may_be_held: the person is in it no more, and only what somebody on hold shared with them is left.
        """
        for _ in range(TRIES):
            covering, streams = self._holds()
            going = self.finder.going(message, covering)
            if not may_be_held:
                refuse(*self.finder.forbidding([message], covering))
            if not going.erased:
                self.stays += Counter(going.stays if may_be_held else {})
                return
            numbers = Numbers(messages=int(going.is_whole), recipients=going.recipients, **going.held._asdict())
            try:
                self._say(going.erased, numbers, {**going.expect, **streams}, going.stays)
            except ConflictError:  # a hold, an arrival, another process: look again
                self.queries.runner.run()
                continue
            self._tell(1)
            return
        raise BusyError

    def _holds(self) -> tuple[Covering, dict[str, int]]:
        """What holds cover, and the streams in which they would have changed since."""
        streams = versions(self.queries.ledger, self.tenant)
        if self._covering is None or self._covering[0] != streams:
            self._covering = streams, Covering(self.finder.queries, self.tenant)
        return self._covering[1], streams

    def _say(
        self, erased: Sequence[Erased], numbers: Numbers, expect: Mapping[str, int], stays: Mapping[str, int]
    ) -> None:
        ledger = self.queries.ledger
        drafts = [draft(ledger, self.tenant, self.act, each) for each in erased]
        say(ledger, drafts, numbers, expect, stays)
        if self._database is not None:
            for each, said in zip(erased, drafts, strict=True):
                destroy(ledger, self._database, each)
                self.destroyed.add(said.id)

    def _tell(self, count: int) -> None:
        self.done += count
        self.progress(self.done, None)

    def _acts(self) -> None:
        place: tuple[str, int] | None = ("", 0)
        while place is not None:
            place = self._page(place)

    def _page(self, place: tuple[str, int]) -> tuple[str, int] | None:
        """Say what goes of the acts after a place, and find the one to go on after; what came in between has them looked at again."""
        for _ in range(TRIES):
            searched, streams = self._search()
            if searched is None:
                return None
            found, following = searched.page(place)
            erased = beside.said(found)
            numbers = finding.numbers_of_acts(found, beside.held(self.queries, erased))
            for each in found:
                if not each.stays:
                    self._let_go(searched, each)
            try:
                if erased:
                    self._say(erased, numbers, streams, {})
            except ConflictError:  # a hold or a policy
                self.queries.runner.run()
                continue
            self.stays += Counter(each.stays for each in found if each.stays)
            self._tell(len(found))
            return following
        raise BusyError

    def _search(self) -> tuple[beside.Acts | None, dict[str, int]]:
        """What searches the acts of people, and the streams in which it would have changed since what is in force; see `Finder.acts`."""
        streams = versions(self.queries.ledger, self.tenant)  # first; see there
        if self._searched is None or self._searched[0] != streams:
            self._searched = streams, self.finder.acts()
        return self._searched[1], streams

    def _let_go(self, searched: beside.Acts, each: beside.Act) -> None:
        """End what is in force and goes: a saved query or schedule; and an item that nobody could look at any more."""
        searched.end(each, self.act.asked_by)
        if each.waits and self.queries.lanes(self.tenant, "open", each.event.id):
            self.lanes.dismiss(self.tenant, each.event.id, NOTE, self.act.asked_by)


def draft(ledger: Ledger, tenant: str, act: Act, erased: Erased, why: str = "") -> Draft:
    """That something is erased, for an act."""
    found = erasing.draft(ledger, tenant, erased, why or act.rule.removeprefix(erasing.RULE), act.asked_by)
    found.fields["code"] = act.act
    return found


def say(
    ledger: Ledger,
    drafts: Sequence[Draft],
    numbers: Numbers,
    expect: Mapping[str, int],
    stays: Mapping[str, int],
) -> None:
    """Say what is erased, with how much there is of it and how much stays, in one step.

    Raises:
        ConflictError: a stream is not as expected any more; nothing was said.
    """
    told = {name: count for name, count in msgspec.structs.asdict(numbers).items() if count}
    told |= {STAYS + why: count for why, count in stays.items()}
    drafts[0].fields.update({"numbers": told} if told else {})
    ledger.append(Item(list(drafts), expect=dict(expect)))


def destroy(ledger: Ledger, database: Database, erased: Erased) -> None:
    """Destroy what was said to be erased, under a login that may."""
    erasing.destroy(database, ledger.artifact_folder, erased)


def refuse(holds: Sequence[Hold], unsent: Sequence[str]) -> None:
    """Refuse what must not be erased.

    Raises:
        ActRefusedError: a hold forbids it, or something of it is still to be sent.
    """
    if holds:
        msg = f"{'holds forbid' if len(holds) > 1 else 'a hold forbids'} it: {', '.join(hold.hold for hold in holds)}; nothing was erased"
        raise ActRefusedError(msg)
    if unsent:
        msg = f"still to be sent: {', '.join(unsent[:10])}; cancel that first: delivery-ledger outbox cancel MESSAGE --note WHY"
        raise ActRefusedError(msg)
