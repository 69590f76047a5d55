"""The commands `serve` and `openapi`. Nothing is drawn here, so nothing that draws is loaded."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


def serve(*, processes: Annotated[int, Parameter(validator=Number(gte=1))] = 1) -> int:
    """Serve the HTTP API until stopped (SIGINT or SIGTERM); what was accepted is committed.

    Rates, guesses and connections are counted in each process: with four of them, four times as much is let through.

    Args:
        processes: how many share the port, on PostgreSQL; if one ends, all do.
    """
    from ops.settings import load  # noqa: PLC0415  so that --help is quick

    if processes != 1:
        from ops.processes import serve_all  # noqa: PLC0415  as above

        return serve_all(load(), processes)
    from ops.serve import serve as run  # noqa: PLC0415  as above

    run(load())
    return 0


def openapi() -> None:
    """Print the API's OpenAPI 3.1 document."""
    from adapters.http.openapi import document  # noqa: PLC0415  as above
    from ops.console import print_json  # noqa: PLC0415  as above

    print_json(document())
