"""The command `report`: the answer of a compliance query as a file that anybody can check."""

from __future__ import annotations

import zipfile
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from ledger.errors import ConfigurationError
from ops.console import Json, Tenant, bar, out, print_json, system, why
from ops.query_cli import Set, parsed

if TYPE_CHECKING:
    from adapters.reports.contract import Made, ReportAsk
    from ops.system import System

report = App(
    name="report",
    help="Reports: the answer of any compliance query as CSV, JSONL, XLSX or PDF/A, with a signed manifest.",
)
Messages = Annotated[
    tuple[str, ...],
    Parameter(name="--message", consume_multiple=True, negative="", help="id of a message, for `messages`"),
]


@report.command
def make(
    query: str,
    /,
    *,
    to: Annotated[Path, Parameter(name="--out")],
    format: Literal["csv", "jsonl", "xlsx", "pdf"] = "csv",  # noqa: A002  the option's name
    given: Set = (),
    message: Messages = (),
    language: Literal["en", "it", "nl", "sv"] = "en",
    zone: str = "UTC",
    reason: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Ask a compliance query and write its whole answer, with what is needed to check it. That it was made is recorded first.

    Args:
        query: as `query list` prints it; `messages` for any set of messages.
        to: a new folder, or a new file that ends in .zip.
        format: csv and jsonl are for programs, xlsx for spreadsheets, pdf to read; a pdf takes a few thousand rows.
        language: of titles and notes.
        zone: IANA name of the zone in which a PDF shows times.
        reason: why; kept with the record.
    """
    from adapters.reports.contract import ReportAsk  # noqa: PLC0415  so that --help is quick
    from adapters.reports.making import make as made_in  # noqa: PLC0415  as above
    from ops.reports import desk  # noqa: PLC0415  as above

    _check_free(to)
    parameters: dict[str, Any] = {**parsed(given), **({"messages": list(message)} if message else {})}
    with system() as s, bar("asking", quiet=json) as progress, TemporaryDirectory(dir=to.parent) as folder:
        whose = tenant or s.settings.tenant
        reason = why(s, whose, "exports", reason)
        asked = ReportAsk(
            tenant=whose,
            query=query,
            parameters=parameters,
            format=format,
            language=language,
            zone=zone,
        )
        made = made_in(desk(s), asked, Path(folder) / "report", progress)
        whole = Path(folder) / "report"
        if to.suffix == ".zip":
            whole = _zipped(whole, Path(folder) / "report.zip")
        _record(s, asked, made, reason)
        whole.rename(to)
        keys = [key.vkey() for key in s.leader.identity().keys]
    if json:
        print_json({"path": str(to), "log_keys": keys, **msgspec.to_builtins(made)})
        return
    out.print(f"{made.query}: {made.rows} rows as of position {made.position}: {to}", markup=False)
    out.print(f"Log key (give it to the reader by another way): {keys[0]}", markup=False)
    out.print(f"Check it: delivery-ledger verify {quote(str(to))} --log-key {quote(keys[0])}", markup=False)


def _check_free(to: Path) -> None:
    if to.exists() and (to.suffix == ".zip" or not to.is_dir() or any(to.iterdir())):
        msg = f"{to} is there already; a report needs a new folder or a new .zip file"
        raise ConfigurationError(msg)
    to.parent.mkdir(parents=True, exist_ok=True)


def _zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(folder.iterdir()):
            archive.write(each, each.name)
    path.chmod(0o600)
    return path


def _record(s: System, asked: ReportAsk, made: Made, reason: str) -> None:
    """Say in the log what leaves, before anybody can read it."""
    from adapters.accounts import CONSOLE  # noqa: PLC0415  so that --help is quick
    from adapters.reports.register import ACCOUNT  # noqa: PLC0415  so that --help is quick
    from adapters.reports.reporting import encoded  # noqa: PLC0415  as above

    clear = {"rule": "report.made", "code": made.query, "tree_size": made.position, "root": made.root}
    told = {"parameters": encoded(asked.parameters), "digest": made.digest, "files": encoded(made.files)}
    numbers = {"numbers": {"rows": made.rows}}
    s.accounts.record("report.delivered", asked.tenant, ACCOUNT, CONSOLE, {**clear, **numbers}, reason, told)
