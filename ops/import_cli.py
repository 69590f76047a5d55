"""The commands `import` and `demo`: what brings messages into a ledger by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ledger.errors import ConfigurationError
from ops import show
from ops.console import Json, Tenant, bar, operated, out, print_json, system
from ops.invoked import EXIT_WRONG


def import_(
    paths: Annotated[list[Path], Parameter(help="files, folders, .zip, .mbox or Maildir")],
    /,
    *,
    account: str = "",
    tenant: Tenant = "",
    json: Json = False,
) -> int:
    """Import receipts, provider answers, arrival records and past sends; importing again changes nothing.

    Reads .eml (also in Maildir and .mbox), .json and .xml as the providers write them, .ndjson of arrival records,
    and .csv of past sends with the columns account, provider, recipient, recipient_kind, sent_at, reference, subject, label,
    batch, sha256 (several recipients, references or labels: `;`).
    An interrupted import continues where it was when it is run again.

    Args:
        account: the account that bare files belong to; default: one named like the provider.
    """
    from adapters.accounts import CONSOLE  # noqa: PLC0415  so that --help is quick
    from adapters.importing import Importer  # noqa: PLC0415  as above

    missing = [str(p) for p in paths if not p.exists()]
    if missing:
        msg = f"no such file or folder: {', '.join(missing)}"
        raise ConfigurationError(msg)
    with system(fresh=False) as s, bar("importing", quiet=json) as progress:
        whose = tenant or s.settings.tenant
        operated(s, "import", whose)
        importer = Importer(s.ledger, s.intake, s.accounts, s.quarantine, whose, account=account, actor=CONSOLE)
        report = importer.run(paths, progress)
        s.runner.run()
        views = [s.queries.message(importer.tenant, m) for m in sorted(report.messages)[: show.MESSAGES_SHOWN]]
    print_json(show.report(report)) if json else show.import_report(out, report, views)
    return EXIT_WRONG if report.problems else 0


def demo(*, seed: int = 1, folder: Path = Path("var/demo"), json: Json = False) -> int:
    """A believable day of all providers, from raw inputs to statuses with reasons.

    Writes the inputs to FOLDER/inputs and a ledger of its own beside them; your own ledger is not touched.

    Args:
        seed: another seed gives another day.
        folder: where it goes; what an earlier demo left there is replaced.
    """
    from ops import demo as story  # noqa: PLC0415  as above

    return story.run(seed, folder, out if not json else None)
