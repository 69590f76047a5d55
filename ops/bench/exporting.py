"""How fast answers leave as files, in how little memory, and how fast the evidence of one message does.

An export is made in a process of its own, by the code that `delivery-ledger report make` and the API use, so that the peak of its memory,
and of what it starts beside it, is its own. What opening sealed values costs with nothing around it is measured beside it.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.evidence import report
from adapters.evidence.pack import Ask, Pack, build
from adapters.evidence.presenting import story
from adapters.reports.contract import Format, ReportAsk
from adapters.reports.making import make
from ledger.application import open_values
from ledger.names import Reading
from ledger.observations import Address, Arrival, ArrivalKind, Observation, ProviderTime, Reference, ZoneBasis
from ledger.streams import Registration
from ops import evidence, reports
from ops.bench.contract import Bench, Measure
from ops.bench.installed import GIVEN
from ops.bench.load import ACCOUNT, PROVIDER, TENANT
from ops.bench.lookup import held
from ops.postgres import ROOT
from ops.settings import Settings, load
from ops.system import System, opened
from projections.queries import Filters

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
AT_ONCE = 500
PAGES = 60
PACKS = 20
SAMPLE = 2_000
EVENTS = 12
"""Of the message whose evidence is made."""


# --- exports


def rows(form: str) -> Measure:
    """Rows a second of a report of every delivery that is not proven yet."""
    return partial(_exported, form, "rows_per_s")


def memory(form: str) -> Measure:
    """The most memory that making it took, in MiB: the peaks of all its processes together."""
    return partial(_exported, form, "peak_mib")


def _exported(form: str, wanted: str, bench: Bench) -> float:
    given = {name: str(getattr(held(bench).settings, name)) for name in GIVEN if name.endswith(("url", "folder"))}
    given["keks"] = held(bench).settings.keks.reveal()
    order = json.dumps({"settings": given, "format": form, "folder": str(bench.folder)})
    command = [sys.executable, "-m", "ops.bench.exporting"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    child = subprocess.run(
        command, input=order, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    said: dict[str, float] = json.loads(child.stdout)
    if said["rows"] < bench.scale.events:
        msg = f"{said['rows']} rows were exported, of {bench.scale.events} deliveries"
        raise RuntimeError(msg)
    return said[wanted]


def _export(settings: Settings, folder: Path, form: Format) -> dict[str, float]:
    """What the child does."""
    parameters = {"hours": 0, "below": "E5"}
    ask = ReportAsk(tenant=TENANT, query="unproven", parameters=parameters, format=form)
    beside = 0.0

    def look(_done: int, _total: int | None) -> None:
        nonlocal beside
        beside = max(beside, sum(map(_peak_mib, _children())))

    with opened(settings) as system, TemporaryDirectory(dir=folder) as out:
        begun, spent = time.perf_counter(), _cpu_s()
        made = make(reports.desk(system), ask, Path(out), look)
        seconds, cpu = time.perf_counter() - begun, _cpu_s() - spent
    told = {"rows": made.rows, "rows_per_s": made.rows / seconds, "cpu_us_per_row": 1e6 * cpu / made.rows}
    return {**told, "peak_mib": _peak_mib("self") + beside}


def _cpu_s() -> float:
    """Of this process and of those that it started and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _children() -> list[str]:
    return [pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]


def _peak_mib(process: str) -> float:
    """Of a process; on Linux `ru_maxrss` would begin with what the starting process had."""
    status = Path("/proc", process, "status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    elsewhere = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if process == "self" else 0
    return (int(found[1]) if found else elsewhere) / 1024


# --- what limits them


def opening(bench: Bench) -> float:
    """Addresses a second that one processor opens: key unwrapped, value unsealed, commitment checked; no database, nothing written."""
    with opened(held(bench).settings) as system:
        ledger = system.ledger
        declared = [event for event in ledger.feed(0, SAMPLE) if event.type == "recipients.declared"]
        events = {event.position: event for event in declared}
        sealed = ledger.database.probe("sealed_values", "position, key_id, sealed", "position", list(events))
        wrapped = ledger.database.probe("person_keys", "key_id, wrapped", "key_id", [key_id for _, key_id, _ in sealed])
        keys = dict(wrapped)
        done, begun = 0, time.process_time()
        while time.process_time() - begun < bench.scale.seconds:
            for position, key_id, value in sealed:
                open_values(events[position], key_id, ledger.keyring.unwrap(key_id, keys[key_id]), value)
            done += len(sealed)
        return done / (time.process_time() - begun)


# --- pages of a search


def page(bench: Bench) -> float:
    """Milliseconds for a page of 500 deliveries with their addresses, in process; the median."""
    taken = []
    with opened(held(bench).settings) as system:
        cursor = ""
        for _ in range(PAGES):
            begun = time.perf_counter()
            found = system.queries.search(TENANT, Filters(), cursor, AT_ONCE)
            taken.append(1e3 * (time.perf_counter() - begun))
            cursor = found.next
        size = system.ledger.head().size
    bench.samples["search_page"] = taken
    bench.curves.setdefault("search_page", []).append((size, statistics.median(taken)))
    return statistics.median(taken)


def trail(bench: Bench) -> float:
    """Milliseconds for the trail of one delivery, as `explain` and the API show it, in process; the median over messages drawn."""
    random, taken = bench.random("trail"), []
    with opened(held(bench).settings) as system:
        for message, _ in random.choices(held(bench).messages, k=20 * PAGES):
            begun = time.perf_counter()
            system.queries.trail(TENANT, message, 0)
            taken.append(1e3 * (time.perf_counter() - begun))
        size = system.ledger.head().size
    bench.samples["trail"] = taken
    bench.curves.setdefault("trail", []).append((size, statistics.median(taken)))
    return statistics.median(taken)


# --- evidence of one message


def pack(bench: Bench) -> float:
    """Seconds for the evidence of a message of 12 events, with report and seal, until that it leaves is recorded; 99 of 100."""
    taken = []
    with opened(held(bench).settings) as system:
        desk, ask = evidence.desk(system), Ask(tenant=TENANT, message=_message(system))
        for _ in range(max(2, int(PACKS * min(1.0, bench.scale.seconds)))):
            begun = time.perf_counter()
            issued = desk.issue(ask)
            taken.append(time.perf_counter() - begun)
        _require_same(system, ask, issued)
    bench.samples["evidence_pack"] = taken
    return statistics.quantiles(taken, n=100, method="inclusive")[-1]


def _require_same(system: System, ask: Ask, issued: Pack) -> None:
    """Make it twice at the same head, without the signatures, which say when they were made.

    Raises:
        RuntimeError: they differ, or what was issued has something else in it.
    """
    finish = replace(
        evidence.desk(system).finish, seal=None, report=lambda draft: report.render(story(draft), draft.ask.language)
    )
    once, again = (build(system.queries.ledger, ask, issued.draft.head, system.log_keys, finish).data for _ in range(2))
    if once != again:
        msg = "the evidence of one message at one head was made twice, and its bytes differ"
        raise RuntimeError(msg)
    plain, sealed = (_members(data) for data in (once, issued.data))
    differ = {name for name in plain.keys() & sealed.keys() if plain[name] != sealed[name]}
    if differ - {"report.pdf", "SHA256SUMS"} or plain.keys() - sealed.keys():
        msg = f"what was issued differs from what is made of the same: {sorted(differ)}"
        raise RuntimeError(msg)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _arrival(body: str) -> Arrival:
    return Arrival(
        provider=PROVIDER,
        account=ACCOUNT,
        operation="report",
        kind=ArrivalKind.WEBHOOK,
        observed_at=datetime.now(UTC),
        body=body.encode(),
    )


def _message(system: System) -> str:
    """A message whose story has 12 events, each report with its original."""
    references = (Reference("document_id", f"evidence {time.time_ns()}"),)
    number = Address("phone", "+31612345678")
    declared = Registration(account=ACCOUNT, provider=PROVIDER, recipients=(number,), references=references)
    registered = system.intake.register(TENANT, declared, {"arrival": "api", "actor": "bench"})
    for step in range(EVENTS - 2):
        occurred = ProviderTime(AT + timedelta(minutes=step), f"2026-03-01T10:{step:02}:00+01:00", ZoneBasis.STATED)
        seen = Observation(
            type="content.consigned", about="recipient", recipient=number, references=references, occurred=occurred
        )
        (outcome,) = system.intake.admit([Reading(TENANT, _arrival(f"report {references} {step}"), (seen,))])
        if isinstance(outcome, Exception):
            raise outcome
    system.runner.run()
    events = len(system.queries.trail(TENANT, registered.message).entries)
    if events != EVENTS:
        msg = f"the story has {events} events, not {EVENTS}"
        raise RuntimeError(msg)
    return registered.message


if __name__ == "__main__":
    order = json.load(sys.stdin)
    print(json.dumps(_export(load(**order["settings"]), Path(order["folder"]), order["format"])))
