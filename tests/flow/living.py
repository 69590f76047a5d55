"""Somebody whom everything in a ledger tells of, in the middle of an organisation's life, and somebody else beside her.

She stands, with her address, in whatever a provider, a person or another system said: every provider's samples, registrations, a send, a
refused webhook, what waits in lanes, and what was decided and asked about her. The other one has one message with her and one alone.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

from adapters import downtime, keeping, sending
from adapters.compliance import asking, people
from adapters.providers import registry
from adapters.providers.calling import Submission
from adapters.receiving import read
from adapters.reports import saved
from adapters.reports.schedules import parsed
from adapters.sampling import Sampling
from adapters.terms import Terms
from ledger.addresses import normal
from ledger.decision import Outcome
from ledger.observations import Address, Arrival, ArrivalKind, Fingerprint, Reference
from ledger.streams import Registration
from ops import tasks
from ops.system import System
from projections.searching import Filters
from tests.adapters.test_http_sends import NOBODY
from tests.flow.planting import DOCUMENT, MAIL, NAME, NUMBER, PHONE, STREET
from tests.flow.test_planted_person import arrivals

TENANT = "acme"
HERS = f"{MAIL}@post.example"
HER_PHONE = f"+49{PHONE}01"
HER_NAME = f"{NAME} {HERS}"
"""Wherever she is named her address stands, too: of somebody who is named by nothing but a name nobody can say who it is."""
WHY = f"{HER_NAME}, {STREET}, {NUMBER}"
ALIASES = {
    "email": (HERS, f"{MAIL}2@post.example"),
    "phone": (HER_PHONE, f"+49{PHONE}02"),
    "fax": (HER_PHONE, f"+49{PHONE}02"),
    "person_number": (f"{NUMBER}1", f"{NUMBER}2"),
}
"""Kind of address -> hers of that kind; a message to several goes to two of hers."""
OTHERS = "brim.quolderan@post.example"
OTHERS_PHONE = "+4915197400042"
OTHERS_NAME = "Vaskelmir Oddrun-Plexby"
OTHERS_TEXT = f"{OTHERS_NAME} <{OTHERS}> {OTHERS_PHONE}"
OTHER_MARKS = {"mail": OTHERS, "phone": OTHERS_PHONE, "name": OTHERS_NAME}


def live(system: System, folder: Path) -> None:
    """Have all of it happen."""
    for provider in registry():
        system.accounts.add(TENANT, provider, provider)
        system.accounts.add(TENANT, f"{provider}_2", provider)
    given = [_hers(arrival) for arrival in arrivals()]
    outcomes = system.intake.admit([read(TENANT, arrival) for arrival in given])
    assert [] == [outcome for outcome in outcomes if not isinstance(outcome, Outcome)]
    for number, registration in enumerate(_registrations()):
        system.intake.register(TENANT, registration, {"arrival": "api"}, (f"{HER_NAME} {number}", NAME))
    system.quarantine.keep(
        TENANT, next(a for a in given if a.kind is ArrivalKind.WEBHOOK), "the signature does not belong to these bytes"
    )
    _send(system)
    system.runner.run()
    _decide(system)
    _inquire(system, folder)
    system.runner.run()


def _hers(arrival: Arrival) -> Arrival:
    """The arrival with her address wherever something else of hers is, and hers for every recipient, whoever that was in the sample."""
    named = {a for o in read(TENANT, arrival).observations for a in (*o.declares, o.recipient) if a}
    swaps = [(mark, f"{mark} {HERS}") for text in (NAME, STREET, DOCUMENT) for mark in {text, json.dumps(text)[1:-1]}]
    longest = sorted((a for a in named if a.kind in ALIASES and a.value), key=lambda a: len(a.value), reverse=True)
    swaps += [(a.value, ALIASES[a.kind][sum(normal(a).encode()) % 2]) for a in longest]

    def told(said: bytes) -> bytes:
        for old, new in swaps:
            said = said.replace(old.encode(), new.encode())
        return said

    return dataclasses.replace(
        arrival,
        body=told(arrival.body),
        request=None if arrival.request is None else told(arrival.request),
        headers={name: told(value.encode()).decode() for name, value in arrival.headers.items()},
        name=told(arrival.name.encode()).decode(),
    )


def _registrations() -> list[Registration]:
    """Hers, one with somebody else, and one without her."""
    hers, his = (Address("email", HERS), Address("phone", HER_PHONE)), Address("email", OTHERS)
    base = Registration(
        account="kpn_sms",
        provider="kpn_sms",
        recipients=(*hers, Address("postal", f"{NAME}, {STREET}"), Address("person_number", f"{NUMBER}1")),
        references=(Reference("document_id", "kx7-1"), Reference("own_reference", HERS, exclusive=False)),
        batch=Reference("batch", f"{HER_NAME} batch", exclusive=False),
        labels=(f"{HER_NAME} {NUMBER}", f"{STREET} {HERS}"),
        texts={"subject": f"{DOCUMENT} for {HER_NAME}", "sender": HERS, "content": f"call {HER_PHONE}"},
        documents=(Fingerprint(f"{HERS} {DOCUMENT}.pdf", "ab" * 32),),
    )
    with_him = dataclasses.replace(
        base,
        recipients=(*hers, his),
        references=(Reference("document_id", "kx7-2"),),
        texts={"subject": f"{DOCUMENT} for {HER_NAME}", "sender": "office@acme.example"},
    )
    his_own = Registration(
        account="kpn_sms",
        provider="kpn_sms",
        recipients=(his, Address("phone", OTHERS_PHONE)),
        references=(Reference("document_id", "kx7-3"), Reference("own_reference", OTHERS, exclusive=False)),
        labels=(OTHERS_TEXT,),
        texts={"subject": OTHERS_TEXT},
    )
    return [base, with_him, his_own]


def _send(system: System) -> None:
    """A send that never got through and was given up; what was to be sent is kept a while."""
    system.accounts.configure(TENANT, "kpn_sms", {"base_url": NOBODY})
    system.accounts.set_credentials(TENANT, "kpn_sms", {"client_id": "id", "client_secret": "hush hush"})
    to = (Address("phone", HER_PHONE),)
    registration = Registration(account="kpn_sms", provider="kpn_sms", recipients=to)
    submission = Submission(message="", recipients=to, text=WHY, options={}, requested_at=system.ledger.clock())
    done = sending.dispatch(system.intake, system.accounts, TENANT, registration, submission, clear={"arrival": "api"})
    system.outbox.run()
    system.outbox.cancel(TENANT, done.message, WHY)


def _decide(system: System) -> None:
    """What a person decides about her, all of it over again: what is in force is not taken away by the way."""
    accounts, queries, now = system.accounts, system.queries, system.ledger.clock()
    held = [
        keeping.place(accounts, queries, TENANT, "recipient", HERS, WHY),
        keeping.place(accounts, queries, TENANT, "label", f"{HER_NAME} {NUMBER}", WHY),
        keeping.place(accounts, queries, TENANT, "label", OTHERS_TEXT, OTHERS_TEXT),
    ]
    for hold in held[:2]:
        keeping.release(accounts, queries, TENANT, hold.hold, WHY)
    Terms(accounts, queries, TENANT).put("delivery_report", timedelta(hours=1), timedelta(days=1), WHY)
    downtime.enter(accounts, TENANT, "kpn_sms", now - timedelta(days=2), now - timedelta(days=1), note=WHY)
    waiting = [item.item for item in queries.lanes(TENANT) if item.lane == "unmatched" and item.artifacts]
    message = queries.search(TENANT, Filters(recipient=HERS)).deliveries[0].message
    system.lanes.claim(TENANT, waiting[0], message, WHY)
    system.lanes.unclaim(TENANT, waiting[0], WHY)
    system.lanes.dismiss(TENANT, waiting[1], WHY)
    accounts.disable(TENANT, "ekopost", WHY)


def _inquire(system: System, folder: Path) -> None:
    """What is asked about her, and what came of it."""
    about = {"recipient": HERS}
    with asking.asked(system.queries, system.heads, TENANT, "by_recipient", about) as answer:
        asking.record(system.accounts, "console", answer.header, f"{HER_NAME} asked")
    saved.save(
        system.ledger, TENANT, "hers", saved.Saving(query="by_recipient", parameters=about), "key_1", ("compliance",)
    )
    sampling = Sampling(system.accounts, system.queries, system.heads, system.signed_head)
    sample = sampling.ask(TENANT, 3, Filters(recipient=HERS), note=WHY)
    system.runner.run()
    sampling.draw(TENANT, sample)
    request = people.Request(tenant=TENANT, address=HERS, reason=WHY)
    assert people.export(system.queries, system.accounts, request, folder / "hers").deliveries
    queue, schedules = tasks.tasks(system), tasks.schedules(system)
    given = {
        "start_date": "2020-01-01",
        "period": 1,
        "period_unit": "months",
        "type": "by_recipient",
        "parameters": about,
        "span": "none",
        "title": WHY,
        "recipients": [{"email": HERS}],
    }
    entry, _ = schedules.create(TENANT, parsed(given), "key_1")
    schedules.run_now(TENANT, entry.name, "key_1")
    tasks.runner(system).run()
    assert {"report": "done", "delivery": "queued"} == {row.kind: row.state for row in queue.rows.newest(TENANT)}
