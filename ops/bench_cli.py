"""The command `bench`: measures what the project promises, on this machine, each number beside what limits it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.console import Json, err, out, print_json
from ops.invoked import EXIT_WRONG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.bench.contract import Figure, Measured, Scale
    from ops.bench.machine import Machine
    from ops.bench.running import Groups, Results

STOPPED = 130
"""As a shell says it of a command that was ended with Ctrl-C."""
Count = Annotated[int, Parameter(validator=Number(gte=1))]


def bench(
    *names: str,
    scale: Literal["smoke", "quick", "full"] = "full",
    to: Annotated[int, Parameter(validator=Number(gte=1_000))] | None = None,
    rounds: Count | None = None,
    peers: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    into: Path = Path("var/bench"),
    json: Json = False,
) -> int:
    """Measure how fast this machine's databases let the ledger be, each number beside its limit in the same run.

    It starts a PostgreSQL of its own and fills its own ledgers; no setting is read, and nothing of yours is touched. All of it takes
    more than an hour and 30 GB of disk; `bench append_16` or `--scale quick` take minutes. What is measured together is measured in turns,
    round after round, and the medians are compared. Nothing else should run meanwhile.

    Results, with the machine described, are written below `--into` as JSON, with plots as SVG. Exit code 0 also where a goal is not
    met; 1 where something could not be measured.

    Args:
        names: figures or groups, as --list names them; default: all but the ones that are measured only by name.
        scale: smoke only shows that everything works (its numbers mean nothing), quick shows the direction, full is what counts.
        to: events in the largest ledger; default: that of the scale, a million for full. `bench growth --to 10000000 --rounds 1` takes
            hours and 75 GB of disk.
        rounds: how often each figure is taken.
        peers: also measure the event stores of others that are installed with npm; needs Node.js and a network the first time.
        strict: exit with 1 where a goal is not met.
        list_: say what there is to measure, and measure nothing.
        into: folder for the results.
    """
    from ops.bench import contract  # noqa: PLC0415  so that --help is quick
    from ops.bench.running import chosen  # noqa: PLC0415  as above
    from ops.bench.table import BY_NAME, FIGURES, PEERS  # noqa: PLC0415  as above
    from ops.postgres import PostgresError  # noqa: PLC0415  as above

    if list_:
        _list({"": FIGURES, "only by name": BY_NAME, "with --peers": PEERS}, json=json)
        return 0
    groups = chosen(names, (*FIGURES, *PEERS), BY_NAME) if peers else chosen(names, FIGURES, (*BY_NAME, *PEERS))
    scales = {"smoke": contract.SMOKE, "quick": contract.QUICK, "full": contract.FULL}
    asked = {name: value for name, value in {"events": to, "rounds": rounds}.items() if value is not None}
    try:
        results = _measured(groups, scales[scale]._replace(**asked), into, quiet=json)
    except PostgresError as error:
        err.print(f"delivery-ledger: no PostgreSQL could be started to measure: {error}", markup=False)
        return EXIT_WRONG
    except KeyboardInterrupt:
        err.print("delivery-ledger: stopped; nothing was kept, and the databases are gone", markup=False)
        return STOPPED
    if json:
        print_json(results)
    return EXIT_WRONG if results.failures or (strict and results.missed) else 0


def _measured(groups: Groups, scale: Scale, into: Path, *, quiet: bool) -> Results:
    """Run with databases of its own, and keep what came of it."""
    from ops.bench.contract import Bench  # noqa: PLC0415  so that --help is quick
    from ops.bench.folder import running  # noqa: PLC0415  as above
    from ops.bench.machine import described, load_before  # noqa: PLC0415  as above
    from ops.bench.running import run  # noqa: PLC0415  as above
    from ops.postgres import private_server  # noqa: PLC0415  as above

    load = load_before()
    with running(into) as folder, private_server(into.absolute()) as server:
        machine = described(server, folder, load)
        _warn(machine)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as shown:
            task = shown.add_task("")

            def next_one(title: str, done: int, total: int) -> None:
                shown.update(task, description=title, completed=done, total=total)
                if not quiet and not err.is_terminal:
                    err.print(f"{done + 1} of {total}: {title}", markup=False)

            def prepares(what: str) -> None:
                shown.update(task, description=what)
                if not quiet and not err.is_terminal:
                    err.print(f"    {what}", markup=False)

            def tell(group: str, figures: tuple[Measured, ...]) -> None:
                if not quiet:
                    out.print(_table(group, figures))

            results = run(Bench(server, folder, scale, tell=prepares), groups, machine, next_one, tell)
        kept = _keep(results, into)
    for figure, why in results.failures.items():
        err.print(f"could not be measured: {figure}: {why.splitlines()[0]}", markup=False)
    if not quiet:
        _sum_up(results, kept)
    return results


def _warn(machine: Machine) -> None:
    if not machine.is_idle:
        err.print(
            f"This machine is not idle: {machine.load} processes want its {machine.cores} cores. "
            "Absolute numbers will be too low; ratios are taken in turns and suffer less.",
            markup=False,
        )


def _keep(results: Results, into: Path) -> Path:
    import msgspec  # noqa: PLC0415  so that --help is quick

    from ops.bench import plots  # noqa: PLC0415  as above

    folder = into / results.started_at.replace(":", "").removesuffix("+0000")
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2))
    if results.samples:
        (folder / "distributions.svg").write_bytes(plots.distributions(results.samples))
    if results.curves:
        (folder / "growth.svg").write_bytes(plots.growth(results.curves))
    return folder


# --- shown to people


def _list(sections: dict[str, Iterable[Figure]], *, json: bool) -> None:
    from ops.bench.running import group_of  # noqa: PLC0415  so that --help is quick

    listed = [(group_of(f), f, when) for when, figures in sections.items() for f in figures]
    if json:
        print_json(
            [
                {"group": g, "when": when, **{k: v for k, v in f._asdict().items() if k != "measure"}}
                for g, f, when in listed
            ]
        )
        return
    table = Table(box=None)
    for column in ("group", "name", "what", "goal"):
        table.add_column(column, no_wrap=column == "name")  # a name that is broken cannot be typed
    for group, figure, when in listed:
        title = f"{figure.title} ({when})" if when else figure.title
        table.add_row(group, figure.name, title, _goal(figure.goal, figure.unit, figure.limit))
    out.print(table)


def _table(group: str, figures: Iterable[Measured]) -> Table:
    table = Table("what", title=group, title_justify="left", box=None)
    for column in ("median", "unit", "spread", "limit", "ratio", "goal", ""):
        table.add_column(column, justify="right" if column in {"median", "spread", "ratio"} else "left")
    for each in figures:
        met = {None: "", True: "[green]met[/]", False: "[red]not met[/]"}[each.is_met]
        ratio = "" if each.ratio is None else f"{each.ratio:.2f} x"
        spread = f"{each.spread:.0%}" if len(each.rounds) > 1 else ""
        goal = _goal(each.goal, each.unit, each.limit)
        table.add_row(each.title, _number(each.median), each.unit, spread, each.limit, ratio, goal, met)
    return table


def _goal(goal: float | None, unit: str, limit: str) -> str:
    from ops.bench.contract import MORE_IS_BETTER  # noqa: PLC0415  so that --help is quick

    if goal is None:
        return ""
    sign = "≥" if unit in MORE_IS_BETTER else "≤"
    return f"{sign} {goal:g} x {limit}" if limit else f"{sign} {_number(goal)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _sum_up(results: Results, kept: Path) -> None:
    m = results.machine
    out.print()
    out.print(f"{m.cpu}, {m.cores} cores, {m.memory_mib:,} MiB, {m.kernel}, {m.file_system}", markup=False)
    out.print(f"8 KiB durable in {m.fsync_ms[0]} ms (p99 {m.fsync_ms[1]} ms); load at the start {m.load}", markup=False)
    versions = ", ".join(f"{name} {version}" for name, version in m.packages.items())
    out.print(f"{m.python}, PostgreSQL {m.postgresql}, SQLite {m.sqlite}; {versions}", markup=False)
    goals = [each for group in results.groups.values() for each in group if each.is_met is not None]
    out.print(
        f"{sum(1 for each in goals if each.is_met)} of {len(goals)} goals met, in {results.took_s:,.0f} s. {kept}"
    )
