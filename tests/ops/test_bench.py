"""The bench: every figure can be measured beside its limit; how it is judged, what is refused, what is written. No time is asserted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import psycopg
import pytest

from ledger import sqlite
from ledger.errors import ConfigurationError
from ops import postgres
from ops.bench import durability, machine, peers, plots, table
from ops.bench.contract import Bench, Figure, Scale, judged
from ops.bench.durability import WeakenedError
from ops.bench.filling import caught_up, copied, filled
from ops.bench.load import Events, database_url, opened
from ops.bench.machine import described
from ops.bench.messages import EVENTS
from ops.bench.running import MAX_SAMPLES, Results, chosen, group_of, run
from ops.bench.table import BY_NAME, FIGURES, PEERS
from ops.cli import main
from ops.postgres import private_server
from projections.runner import Runner
from projections.status import StatusModel

TINY = Scale(seconds=0.02, streams=20, events=200, rounds=1)
REPEATED = {
    "export_csv": "export_jsonl",
    "fsck_memory": "verify_memory",
    "growth_memory": "growth_memory_small",
    "lookup_message": "lookup",
    "lookup_reference": "lookup",
    "bulk_paused": "bulk",
    "export_memory": "export_jsonl",
    "register_4": "register_1",
    **{f"growth_{name}": f"growth_{name}_small" for name in ("batches", "read", "page", "proof")},
    **{f"growth_{name}_sqlite": f"growth_{name}_sqlite_small" for name in ("batches", "read", "page", "proof")},
}
"""Figures that take long to start and run the code of another one -> that one."""
Typed = Callable[..., tuple[int, str, str]]
GROUPS = chosen((), [figure for figure in FIGURES if figure.name not in REPEATED])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A durable server of its own: the one that tests share is not."""
    folder = tmp_path_factory.mktemp("bench")
    with private_server(folder) as server:
        yield Bench(server, folder, TINY)


@pytest.fixture(autouse=True)
def _in_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary folders lie in memory on many machines; here no number counts."""
    monkeypatch.setattr(durability, "IN_MEMORY", frozenset())


def _figure(measure: Callable[[Bench], float] = lambda _: 1.0, name: str = "one", **more: object) -> Figure:
    return Figure(name, f"the {name}", more.pop("unit", "events/s"), measure, **more)  # type: ignore[arg-type]


def _run(bench: Bench, *figures: Figure, rounds: int = 1) -> Results:
    scaled = Bench(bench.server, bench.folder, TINY._replace(rounds=rounds))
    return run(scaled, {"group": figures}, described(bench.server, bench.folder, 0.0))


# --- the table


@pytest.mark.parametrize("group", GROUPS)
def test_every_figure_can_be_measured(bench: Bench, group: str) -> None:
    """On a tiny ledger each gives a number, its limits too; the results can be written, read and drawn."""
    results = run(bench, {group: GROUPS[group]}, described(bench.server, bench.folder, 0.0))
    assert {} == results.failures
    assert [figure.name for figure in GROUPS[group]] == [each.name for each in results.groups[group]]
    for each in results.groups[group]:
        assert each.median > 0, each.name
        assert math.isfinite(each.median), each.name
    assert set() == {*results.samples, *results.curves} - {figure.name for figure in FIGURES}
    assert results == msgspec.json.decode(msgspec.json.encode(results), type=Results)
    for drawn in (plots.distributions(results.samples), plots.growth(results.curves)):
        assert "{http://www.w3.org/2000/svg}svg" == ET.fromstring(drawn).tag  # noqa: S314  our own


def test_names_are_unique_and_limits_are_figures_of_the_same_unit() -> None:
    """A ratio of different units says nothing; and what is left out of the test above has the one it stands for."""
    every = {figure.name: figure for figure in (*FIGURES, *BY_NAME, *PEERS)}
    assert len(FIGURES) + len(BY_NAME) + len(PEERS) == len(every)
    assert [] == [f.name for f in every.values() if f.limit and every[f.limit].unit != f.unit]
    assert {group_of(every[name]) for name in REPEATED} <= set(GROUPS)
    assert {f.name for figures in GROUPS.values() for f in figures} >= set(REPEATED.values())


# --- how figures are judged


@pytest.mark.parametrize(
    ("unit", "rounds", "limit", "goal", "ratio", "is_met"),
    [
        ("events/s", [100.0, 300.0, 200.0], 0.0, 200.0, None, True),
        ("events/s", [199.0], 0.0, 200.0, None, False),
        ("ms", [10.0], 0.0, 10.0, None, True),
        ("ms", [10.1], 0.0, 10.0, None, False),
        ("events/s", [75.0], 100.0, 0.75, 0.75, True),
        ("events/s", [74.0], 100.0, 0.75, 0.74, False),
        ("ms", [13.0], 10.0, 1.3, 1.3, True),
        ("ms", [14.0], 10.0, 1.3, 1.4, False),
        ("events/s", [5.0], 0.0, None, None, None),
    ],
)
def test_a_goal_is_met_or_not(  # noqa: PLR0917  a table
    unit: str,
    rounds: list[float],
    limit: float,
    goal: float | None,
    ratio: float | None,
    is_met: bool | None,  # noqa: FBT001
) -> None:
    """Of rates a goal is the least, of times and sizes the most; with a limit it is the ratio of the medians that counts."""
    figure = _figure(unit=unit, goal=goal, limit="limit" if limit else "")
    found = judged(figure, rounds, {"limit": limit} if limit else {})
    assert (ratio, is_met) == (found.ratio, found.is_met)


def test_without_its_limit_a_goal_is_neither_met_nor_missed() -> None:
    """Where the limit could not be measured, nothing is claimed."""
    assert judged(_figure(limit="limit", goal=0.5), [1.0], {}).is_met is None


def test_the_median_of_the_rounds_counts(bench: Bench) -> None:
    """One round that was disturbed changes the spread, not the number."""
    values = iter([100.0, 7.0, 110.0])
    (found,) = _run(bench, _figure(lambda _: next(values)), rounds=3).groups["group"]
    assert ((100.0, 7.0, 110.0), 100.0, 1.03) == (found.rounds, found.median, found.spread)


# --- how they are run


def test_figures_take_turns(bench: Bench) -> None:
    """What changes on the machine during a run changes for all of them."""
    turns: list[str] = []

    def measured(name: str) -> Figure:
        def measure(_: Bench) -> float:
            turns.append(name)
            return 1.0

        return _figure(measure, name)

    _run(bench, measured("limit"), measured("one"), rounds=2)
    assert ["limit", "one", "limit", "one"] == turns


def test_a_figure_that_fails_is_told_and_the_others_go_on(bench: Bench) -> None:
    """It is not tried again, and what it limits is not judged."""
    tried: list[int] = []

    def fail(_: Bench) -> float:
        tried.append(1)
        msg = "no such thing"
        raise ValueError(msg)

    results = _run(bench, _figure(fail, "limit"), _figure(limit="limit", goal=0.5), rounds=3)
    assert "ValueError: no such thing" == results.failures["limit"].splitlines()[0]
    assert [("one", None)] == [(each.name, each.is_met) for each in results.groups["group"]]
    assert [1] == tried


def test_limits_come_along(bench: Bench) -> None:
    """Who asks for one figure gets its limit in the same group; who asks for all gets no limit by itself."""
    assert ["insert", "append_16"] == [f.name for f in chosen(["append_16"], FIGURES)["appending"]]
    assert "limits" not in chosen((), FIGURES)
    assert ["copy"] == [f.name for f in chosen(["copy"], FIGURES)["limits"]]


def test_what_takes_long_is_measured_only_by_its_own_name() -> None:
    """Not with its group."""
    long = {figure.name for figure in BY_NAME}
    groups = chosen([group_of(BY_NAME[0])], FIGURES, BY_NAME)
    assert not long & {f.name for figures in groups.values() for f in figures}
    assert BY_NAME[0] in chosen([BY_NAME[0].name], FIGURES, BY_NAME)[group_of(BY_NAME[0])]


def test_an_unknown_name_is_refused_with_the_ones_near_it() -> None:
    """Whoever mistyped sees what there is."""
    with pytest.raises(ConfigurationError, match="'apend_16'; near it: append_16"):
        chosen(["apend_16"], FIGURES)


def test_samples_are_thinned_and_curves_are_of_medians(bench: Bench) -> None:
    """The least and the greatest sample stay, in milliseconds; a curve has one point a size."""

    def measure(b: Bench) -> float:
        b.samples["one"] = [float(i) for i in range(5 * MAX_SAMPLES)]
        b.curves.setdefault("one", []).extend([(10, 1.0), (10, 5.0), (10, 2.0), (5, 3.0)])
        return 1.0

    results = _run(bench, _figure(measure, unit="s"))
    samples = results.samples["one"]
    assert (MAX_SAMPLES, 0.0, 1_000 * (5.0 * MAX_SAMPLES - 1)) == (len(samples), samples[0], samples[-1])
    assert ((5, 3.0), (10, 2.0)) == results.curves["one"]


# --- what is refused


def test_postgresql_without_durable_commits_is_not_measured(tmp_path: Path) -> None:
    """Each setting that weakens a commit is named."""
    weak = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with private_server(tmp_path, weak) as server, pytest.raises(WeakenedError) as refused:
        durability.require(Bench(server, tmp_path, TINY))
    assert 3 == sum(f"PostgreSQL: {name} is off, not on" in str(refused.value) for name in weak)


def test_a_database_that_weakens_its_commits_by_itself_is_not_measured(bench: Bench) -> None:
    """A setting of one database hides behind the server's."""
    name = psycopg.conninfo.conninfo_to_dict(database_url(bench, "postgresql"))["dbname"]
    with psycopg.connect(bench.server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        with pytest.raises(WeakenedError, match="a role or database has synchronous_commit=off"):
            durability.require(bench)
        connection.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
    durability.require(bench)


def test_sqlite_without_durable_commits_is_not_measured(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked on a connection as the ledger has it."""
    monkeypatch.setattr(sqlite, "PRAGMAS", ("journal_mode=WAL", "synchronous=NORMAL", "fullfsync=ON"))
    with pytest.raises(WeakenedError, match="SQLite: synchronous is 1, not 2"):
        durability.require(bench)


def test_what_lies_in_memory_is_not_measured(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """There an fsync does nothing."""
    monkeypatch.setattr(durability, "IN_MEMORY", machine.IN_MEMORY)
    monkeypatch.setattr(durability, "file_system", lambda _folder: "tmpfs")
    with pytest.raises(WeakenedError, match="TMPDIR"):
        durability.require(bench)


def test_the_event_stores_of_others_need_node(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is missing, the figure says how to get it, and the others go on."""
    monkeypatch.setattr("shutil.which", lambda _program: None)
    results = _run(bench, *(figure for figure in PEERS if figure.name == "emmett"))
    assert "apt-get install nodejs npm" in results.failures["emmett"]


def test_the_event_stores_of_others_are_pinned() -> None:
    """Each package with its digest; the address of no registry."""
    lock = json.loads((peers.HERE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [] == [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")]
    assert [] == [name for name, package in packages.items() if "resolved" in package]
    wanted = json.loads((peers.HERE / "package.json").read_text())["dependencies"]
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}


# --- filled ledgers


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_filled_ledger_is_shared_and_a_copy_is_not(bench: Bench, kind: str) -> None:
    """It is filled once; what is done to a copy leaves it as it was."""
    url = caught_up(bench, kind, 10 * EVENTS)
    assert url == filled(bench, kind, 10 * EVENTS)
    with opened(url, bench.folder) as ledger:
        head = ledger.head()
        assert {"status": 0} == Runner(ledger, [StatusModel()]).lag()
    copy = copied(bench, url)
    with opened(copy, bench.folder) as ledger:
        assert head == ledger.head()
        Events(ledger, 5, bench.random("copy"))
        assert head.size < ledger.head().size
    with opened(url, bench.folder) as ledger:
        assert head == ledger.head()


# --- what is shown and written


@pytest.fixture
def typed(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types the command, with figures in place of the real ones; gives its exit code, and what it printed for programs and for people."""

    def run_it(*arguments: str, figures: tuple[Figure, ...] = FIGURES) -> tuple[int, str, str]:
        monkeypatch.setattr(table, "FIGURES", figures)
        monkeypatch.setattr(postgres, "private_server", lambda _parent: nullcontext(bench.server))
        monkeypatch.setattr(machine, "WRITES", 2)
        with pytest.raises(SystemExit) as ended:
            main(["bench", *arguments, "--into", str(tmp_path / "kept")])
        return int(str(ended.value.code)), *capsys.readouterr()

    return run_it


def test_what_there_is_to_measure_is_listed(typed: Typed) -> None:
    """With its goal, and what is measured only when asked for."""
    code, printed, _ = typed("--list")
    assert 0 == code
    assert [] == [f.name for f in (*FIGURES, *BY_NAME, *PEERS) if f" {f.name} " not in printed]
    code, printed, _ = typed("--list", "--json")
    assert {f.name for f in (*FIGURES, *BY_NAME, *PEERS)} == {row["name"] for row in json.loads(printed)}


def test_a_run_writes_its_results_and_leaves_nothing_else(typed: Typed, tmp_path: Path) -> None:
    """A table for people, JSON for programs, plots; the folder of the databases is gone."""

    def measure(bench: Bench) -> float:
        bench.samples["one"] = [1.0, 2.0]
        bench.curves["one"] = [(1, 1.0), (2, 1.0)]
        return 12_345.0

    code, printed, _ = typed("--scale", "smoke", figures=(_figure(measure, goal=1.0),))
    assert 0 == code
    assert "the one" in printed
    assert "12,345" in printed
    (folder,) = (tmp_path / "kept").iterdir()
    assert ["distributions.svg", "growth.svg", "results.json"] == sorted(path.name for path in folder.iterdir())
    results = msgspec.json.decode((folder / "results.json").read_bytes(), type=Results)
    assert [True] == [each.is_met for group in results.groups.values() for each in group]


def test_a_goal_that_is_not_met_is_an_error_only_where_that_was_asked_for(typed: Typed) -> None:
    """Machines differ."""
    missed = (_figure(goal=2.0),)
    code, printed, _ = typed("--scale", "smoke", figures=missed)
    assert (0, True) == (code, "not met" in printed)
    code, _, _ = typed("--scale", "smoke", "--strict", figures=missed)
    assert 1 == code


def test_what_could_not_be_measured_is_an_error(typed: Typed) -> None:
    """The text names the figure and why; all of it is in the results."""
    code, _, printed = typed("--scale", "smoke", figures=(_figure(lambda _: 1 / 0),))
    assert (1, True) == (code, "could not be measured: one: ZeroDivisionError: division by zero" in printed)


def test_whoever_stops_a_run_finds_nothing_left_behind(typed: Typed, tmp_path: Path) -> None:
    """Neither results nor databases."""

    def stop(_: Bench) -> float:
        raise KeyboardInterrupt

    code, _, _ = typed("--scale", "smoke", figures=(_figure(stop),))
    assert (130, []) == (code, list((tmp_path / "kept").iterdir()))


def test_programs_get_json_alone(typed: Typed) -> None:
    """The scale as it was asked for, and the machine, are in it."""
    code, printed, _ = typed("--scale", "smoke", "--json", "--rounds", "2", "--to", "1234", figures=(_figure(),))
    results = msgspec.json.decode(printed, type=Results)
    assert (0, 2, 1234) == (code, results.scale["rounds"], results.scale["events"])
    assert results.machine.cores > 0


def test_a_mistyped_figure_is_an_error_of_usage(typed: Typed) -> None:
    """Nothing is started."""
    code, _, printed = typed("no-such-thing")
    assert (2, True) == (code, "bench --list" in printed)
