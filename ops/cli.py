"""The command line `delivery-ledger`: which commands there are, and how they end. A command's module is loaded when it is asked for.

Exit codes: 0 done; 1 something is wrong with what was checked or imported; 2 the command or a setting is wrong; 3 nothing of that name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import cyclopts
from cyclopts import Parameter
from eventsourcing.persistence import PersistenceError

from ledger.errors import ConfigurationError, LedgerError, NotFoundError, UnsafeDatabaseError
from ops.interpreter import look_rarely
from ops.invoked import ACCESS_REASON, EXIT_NOT_FOUND, EXIT_USAGE, EXIT_WRONG, PROTECTED

COMMANDS = {
    "accounts": "ops.accounts_cli:accounts",
    "acts": "ops.acts_cli:acts",
    "bench": "ops.bench_cli:bench",
    "checkpoint": "ops.log_cli:checkpoint",
    "db": "ops.db_cli:database",
    "demo": "ops.import_cli:demo",
    "disputes": "ops.disputes_cli:disputes",
    "downtime": "ops.downtime_cli:downtime",
    "erase": "ops.erase_cli:erase",
    "evidence": "ops.evidence_cli:evidence",
    "explain": "ops.explain_cli:explain",
    "export": "ops.log_cli:export",
    "find": "ops.find_cli:find",
    "fsck": "ops.check_cli:fsck",
    "holds": "ops.keeping_cli:holds",
    "import": "ops.import_cli:import_",
    "jobs": "ops.jobs_cli:jobs",
    "keys": "ops.keys_cli:keys",
    "lanes": "ops.lanes_cli:lanes",
    "openapi": "ops.serve_cli:openapi",
    "outbox": "ops.outbox_cli:outbox",
    "person": "ops.person_cli:person",
    "proof": "ops.log_cli:proof",
    "protect": "ops.protect_cli:protect",
    "providers": "ops.providers_cli:providers",
    "query": "ops.query_cli:query",
    "rebuild": "ops.check_cli:rebuild",
    "recover": "ops.log_cli:recover",
    "reinterpret": "ops.reinterpret_cli:reinterpret",
    "report": "ops.report_cli:report",
    "retention": "ops.keeping_cli:retention",
    "safeguards": "ops.safeguards_cli:safeguards",
    "sample": "ops.sample_cli:sample",
    "schedules": "ops.schedules_cli:schedules",
    "search": "ops.looking_cli:search",
    "send": "ops.outbox_cli:send",
    "serve": "ops.serve_cli:serve",
    "status": "ops.looking_cli:status",
    "tasks": "ops.tasks_cli:tasks",
    "terms": "ops.terms_cli:terms",
    "trail": "ops.looking_cli:trail",
    "unprotect": "ops.protect_cli:unprotect",
    "verify": "ops.evidence_cli:verify",
}

app = cyclopts.App(
    name="delivery-ledger",
    help="One ledger for everything sent by registered e-mail, certified mail, post, SMS and fax: where is it now, and can you prove it?",
    version_flags=["--version"],
    result_action="return_value",
)
for _name, _place in COMMANDS.items():
    app.command(_place, name=_name)


class _Later:
    """A console of `ops.console`, made when something is drawn: `serve` draws nothing, and what draws takes a while to load."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        from ops import console

        return getattr(getattr(console, self._name), attribute)


CONSOLES: dict[str, Any] = {"console": _Later("out"), "error_console": _Later("err")}


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    access_reason: str = "",
    protected: Annotated[bool, Parameter(negative="")] = False,
) -> int | None:
    """Run one command.

    Args:
        access_reason: why what the command shows is looked at, where an organisation demands that; sealed with the record.
        protected: show recipients whose identity is protected, too; needs --access-reason, and is recorded by itself.
    """
    ACCESS_REASON.set(access_reason)
    PROTECTED.set(protected)
    result: int | None = app(tokens, **CONSOLES)
    return result


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    look_rarely()
    try:
        _load_all_unless_named(tokens := sys.argv[1:] if argv is None else argv)
        result = app.meta(tokens, **CONSOLES)
    except NotFoundError as error:
        _end(EXIT_NOT_FOUND, error)
    except (ConfigurationError, UnsafeDatabaseError, ValueError) as error:
        _end(EXIT_USAGE, error)
    except (LedgerError, PersistenceError, OSError) as error:
        _end(EXIT_WRONG, error)
    sys.exit(result if isinstance(result, int) else 0)


def _load_all_unless_named(tokens: Sequence[str]) -> None:
    """Load every command where none is named: then all are shown, each with what it says of itself."""
    for command in COMMANDS if {*COMMANDS, "--version"}.isdisjoint(tokens) else ():
        app[command]


def _end(status: int, error: Exception) -> NoReturn:
    sys.stderr.write(f"delivery-ledger: {error}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
