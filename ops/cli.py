"""The command line `delivery-ledger`.

Exit codes: 0 done; 1 something is wrong with what was checked or imported; 2 the command or a setting is wrong; 3 nothing of that name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from eventsourcing.persistence import PersistenceError

from adapters.accounts import CONSOLE
from ledger.errors import ConfigurationError, LedgerError, NotFoundError, UnsafeDatabaseError
from ops import (
    accounts_cli,
    acts_cli,
    bench_cli,
    disputes_cli,
    downtime_cli,
    erase_cli,
    evidence_cli,
    explain_cli,
    find_cli,
    jobs_cli,
    keeping_cli,
    keks_cli,
    keys_cli,
    known_cli,
    lanes_cli,
    log_cli,
    outbox_cli,
    person_cli,
    protect_cli,
    providers_cli,
    query_cli,
    reinterpret_cli,
    report_cli,
    safeguards_cli,
    sample_cli,
    schedules_cli,
    show,
    tasks_cli,
    terms_cli,
)
from ops.console import (
    ACCESS_REASON,
    EXIT_NOT_FOUND,
    EXIT_USAGE,
    EXIT_WRONG,
    PROTECTED,
    Json,
    Limit,
    Note,
    Tenant,
    bar,
    err,
    looked,
    operated,
    out,
    print_json,
    system,
)
from ops.known_cli import AtPosition, ByRules, KnownAt, OccurredAt
from ops.settings import Settings, load
from ops.system import opened

app = cyclopts.App(
    name="delivery-ledger",
    help="One ledger for everything sent by registered e-mail, certified mail, post, SMS and fax: where is it now, and can you prove it?",
    version_flags=["--version"],
    result_action="return_value",
)
accounts = cyclopts.App(name="accounts", help="Accounts at providers: webhook keys, settings and credentials.")
database = cyclopts.App(name="db", help="The database's tables, roles and guards.")
for sub in (
    keys_cli.keys,
    accounts,
    lanes_cli.lanes,
    disputes_cli.disputes,
    query_cli.query,
    sample_cli.sample,
    report_cli.report,
    schedules_cli.schedules,
    tasks_cli.tasks,
    person_cli.person,
    outbox_cli.outbox,
    jobs_cli.jobs,
    downtime_cli.downtime,
    keeping_cli.holds,
    keeping_cli.retention,
    erase_cli.erase,
    acts_cli.acts,
    safeguards_cli.safeguards,
    terms_cli.terms,
    providers_cli.providers,
    database,
    log_cli.checkpoint,
):
    app.command(sub)
keys_cli.keys.command(log_cli.keys_log)
keys_cli.keys.command(keks_cli.kek)
query_cli.query.command(schedules_cli.save)
query_cli.query.command(schedules_cli.saved)
query_cli.query.command(schedules_cli.unsave)
accounts.command(accounts_cli.configure)
accounts.command(accounts_cli.show)
accounts.command(accounts_cli.delete)
for each in (
    bench_cli.bench,
    explain_cli.explain,
    find_cli.find,
    outbox_cli.send,
    protect_cli.protect,
    protect_cli.unprotect,
    reinterpret_cli.reinterpret,
    log_cli.proof,
    log_cli.recover,
    log_cli.export,
    evidence_cli.evidence,
    evidence_cli.verify,
):
    app.command(each)


# --- looking up


@app.command
def status(
    message: str,
    /,
    *,
    recipient: int | None = None,
    known_at: KnownAt = "",
    position: AtPosition = 0,
    occurred_at: OccurredAt = "",
    rules: ByRules = "then",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Where a message, or one of its deliveries, is now or was at an earlier moment, and why.

    Args:
        message: the message's id, as `search` and `import` print it.
        recipient: index of one recipient.
    """
    from adapters.forecasts import with_terms

    with system() as s:
        answering = known_cli.reader(s, position, known_at, occurred_at, rules)
        view = answering.message(tenant or s.settings.tenant, message)
        if recipient is not None:
            view = msgspec.structs.replace(view, deliveries=(answering.delivery(view.tenant, message, recipient),))
        if not view.known:
            view = msgspec.structs.replace(view, deliveries=with_terms(s.ledger.database, view.tenant, view.deliveries))
        looked(s, view.tenant, "status", [message])
    if json:
        print_json(view)
        return
    known_cli.say(view.known)
    show.message(out, view)


@app.command
def trail(
    message: str,
    /,
    *,
    recipient: int | None = None,
    known_at: KnownAt = "",
    position: AtPosition = 0,
    occurred_at: OccurredAt = "",
    rules: ByRules = "then",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Every event that tells a message's story, with what the status made of each; now, or as of an earlier moment.

    Args:
        message: the message's id.
        recipient: index of one recipient; without it all.
    """
    with system() as s:
        answering = known_cli.reader(s, position, known_at, occurred_at, rules)
        found = answering.trail(tenant or s.settings.tenant, message, recipient)
        looked(s, tenant or s.settings.tenant, "trail", [message])
    if json:
        print_json(found)
        return
    known_cli.say(found.known)
    show.trail(out, found)


@app.command
def search(
    *,
    recipient: str = "",
    reference: str = "",
    label: str = "",
    batch: str = "",
    provider: str = "",
    account: str = "",
    status: str = "",
    grade: str = "",
    mark: str = "",
    since: str = "",
    until: str = "",
    document: str = "",
    limit: Limit = 50,
    cursor: str = "",
    known_at: KnownAt = "",
    position: AtPosition = 0,
    occurred_at: OccurredAt = "",
    rules: ByRules = "then",
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Deliveries that fit all given filters, or did so at an earlier moment, newest first; without a filter all of them.

    Args:
        recipient: an e-mail address, phone or fax number, postal address …, in any spelling.
        reference: any reference or provider id, whole.
        label: policy, case, customer …
        status: pending, accepted, in_transit, delayed, available, delivered, accepted_by_recipient, refused, expired, failed,
            cancelled, disputed or unknown.
        grade: of the evidence, E0 (nothing) to E5 (a verified original says that an identified recipient acted).
        mark: open, final, disputed, late, deadline.warned, deadline.passed, deadline.met_late, missing, signature.wrong,
            signature.absent, content.differs, unattributed, unmapped, dispatch_unclear or clock.contradicts.
        since: first heard of at or after this time (2026-03-01, 2026-03-01T09:00Z or 2026-03-01T10:00+01:00; UTC if nothing is said).
        until: first heard of before this time.
        document: SHA-1 or SHA-256 of a document, hex, or the path of a file to digest here.
        cursor: `next` of the page before.
    """
    from projections.queries import Filters

    filters = Filters(
        recipient=recipient,
        reference=reference,
        label=label,
        batch=batch,
        provider=provider,
        account=account,
        status=status,
        grade=grade,
        mark=mark,
        since=since,
        until=until,
        document=show.digest_of(document),
    )
    with system() as s:
        answering = known_cli.reader(s, position, known_at, occurred_at, rules)
        page = answering.search(tenant or s.settings.tenant, filters, cursor, limit)
        # A page that looked at enough may hold little, and the list goes on.
        while page.next and (lacking := limit - len(page.deliveries)) > 0:
            more = answering.search(tenant or s.settings.tenant, filters, page.next, lacking)
            page = msgspec.structs.replace(page, deliveries=page.deliveries + more.deliveries, next=more.next)
        looked(s, tenant or s.settings.tenant, "search", (view.message for view in page.deliveries))
    if json:
        print_json(page)
        return
    known_cli.say(page.known)
    show.page(out, page)


# --- bringing in


@app.command(name="import")
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
    from adapters.importing import Importer

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


@app.command
def demo(*, seed: int = 1, folder: Path = Path("var/demo"), json: Json = False) -> int:
    """A believable day of all providers, from raw inputs to statuses with reasons.

    Writes the inputs to FOLDER/inputs and a ledger of its own beside them; your own ledger is not touched.

    Args:
        seed: another seed gives another day.
        folder: where it goes; what an earlier demo left there is replaced.
    """
    from ops import demo as story

    return story.run(seed, folder, out if not json else None)


# --- checking


@app.command
def fsck(*, record: bool = False, json: Json = False) -> int:
    """Hash every stored byte again and hold it against the tree, every head, every signed head, every value and every guard.

    Args:
        record: append the verdict to the log.
    """
    from ledger import fsck as checker

    with system(fresh=False) as s, bar("checking", quiet=json) as progress:
        operated(s, "fsck")
        verdict = checker.check(s.ledger, s.heads, progress)
        unapplied = s.runner.unapplied()
        if record:
            checker.record(s.ledger, verdict)
    if json:
        print_json(
            {
                "size": verdict.size,
                "root": verdict.root,
                "heads": verdict.heads,
                "signed_heads": verdict.signed_heads,
                "values": verdict.values,
                "artifacts": verdict.artifacts,
                "problems": verdict.problems,
                "unapplied": unapplied,
            }
        )
    else:
        show.verdict(out, verdict, unapplied)
    return 0 if verdict.is_clean else EXIT_WRONG


@app.command
def rebuild(*, json: Json = False) -> None:
    """Build every read model again from position 1 beside the live one, compare, then swap."""
    with system() as s:
        operated(s, "rebuild")
        s.runner.run()
        total = s.ledger.head().size
        with bar("rebuilding", quiet=json) as progress:
            done = 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                progress(done, total)

            rebuilt = s.runner.rebuild_all(progress=advance)
    print_json(rebuilt) if json else show.rebuilt(out, rebuilt)


# --- running


@app.command
def serve(*, processes: Annotated[int, Parameter(validator=Number(gte=1))] = 1) -> int:
    """Serve the HTTP API until stopped (SIGINT or SIGTERM); what was accepted is committed.

    Rates, guesses and connections are counted in each process: with four of them, four times as much is let through.

    Args:
        processes: how many share the port, on PostgreSQL; if one ends, all do.
    """
    if processes != 1:
        from ops.processes import serve_all

        return serve_all(load(), processes)
    from ops.serve import serve as run

    run(load())
    return 0


@app.command
def openapi() -> None:
    """Print the API's OpenAPI 3.1 document."""
    from adapters.http.openapi import document

    print_json(document())


@database.command
def migrate(
    *, service: str = "delivery_ledger_service", privacy: str = "delivery_ledger_privacy", grant_to: str = ""
) -> None:
    """Make or update tables, guards and roles; run it as the owner, then run everything else as the service.

    Args:
        service: role that may read and append.
        privacy: role that may destroy keys and values.
        grant_to: login role that becomes a member of the service role.
    """
    from ledger.database import PostgresDatabase, connect

    settings: Settings = load()
    opened_database = connect(settings.database_url)
    try:
        if isinstance(opened_database, PostgresDatabase):
            opened_database.migrate(service, privacy, grant_to)
        else:
            opened_database.migrate()
        has_begun = opened_database.read("SELECT 1 FROM meta WHERE name = 'keyring'")
    finally:
        opened_database.close()
    out.print("The tables, guards and roles are in place.")
    if has_begun:
        _say_migrated(settings)


def _say_migrated(settings: Settings) -> None:
    """Write that it was done, where its keys are here."""
    try:
        with opened(settings, models=list) as s:
            operated(s, "db migrate")
    except ConfigurationError as error:
        out.print(f"Not recorded in the log: {error}", markup=False)


# --- accounts


@accounts.command(name="add")
def accounts_add(account: str, /, *, provider: str, tenant: Tenant = "") -> None:
    """Open an account at a provider.

    Args:
        account: a name of your choice: lower-case letters, digits, `_`, `-` and `.`.
        provider: as `delivery-ledger providers` names it.
    """
    with system(fresh=False) as s:
        added = s.accounts.add(tenant or s.settings.tenant, account, provider)
    out.print(f"Account {added.account} at {added.provider} is open.")


@accounts.command(name="list")
def accounts_list(*, tenant: Tenant = "", json: Json = False) -> None:
    """The tenant's accounts."""
    with system(fresh=False) as s:
        found = s.accounts.list(tenant or s.settings.tenant)
    print_json(found) if json else show.table(
        out, found, "no accounts; open one with: delivery-ledger accounts add NAME --provider P"
    )


@accounts.command(name="check")
def accounts_check(account: str, /, *, tenant: Tenant = "", json: Json = False) -> None:
    """Keys in use, when it was last heard of, the difference of the clocks, and the webhook URL to paste at the provider."""
    from adapters.accounts import check

    with system() as s:
        found = check(
            s.accounts,
            tenant or s.settings.tenant,
            account,
            s.settings.public_url or f"http://{s.settings.host}:{s.settings.port}",
        )
    print_json(found) if json else show.account_check(out, found)


@accounts.command(name="rotate")
def accounts_rotate(
    account: str,
    /,
    *,
    key_id: str,
    secret_file: Path | None = None,
    retire: bool = False,
    tenant: Tenant = "",
    json: Json = False,
) -> None:
    """Add a webhook secret beside those in use, or retire one; quarantined webhooks are verified again.

    Args:
        key_id: the provider's id of the key, or a name of your choice where it has none.
        secret_file: file that holds the secret; `-` reads standard input. Never given on the command line, where others
            could see it.
        retire: take the key away instead.
    """
    with system(fresh=False) as s:
        tenant = tenant or s.settings.tenant
        if retire:
            s.accounts.retire_secret(tenant, account, key_id)
            out.print(f"Webhook key {key_id} of {account} is retired.")
            return
        if secret_file is None:
            msg = "give --secret-file FILE (or - for standard input), or --retire"
            raise ConfigurationError(msg)
        data = sys.stdin.buffer.read() if str(secret_file) == "-" else secret_file.read_bytes()
        s.accounts.add_secret(tenant, account, key_id, data.strip())
        admitted = s.quarantine.verify_again(tenant, account, s.ledger.clock())
    facts = sum(len(o.facts) for o in admitted)
    result = {"account": account, "key_id": key_id, "admitted": len(admitted), "facts": facts}
    print_json(result) if json else out.print(
        f"Webhook key {key_id} is in use; {len(admitted)} quarantined webhooks verified, {facts} new facts."
    )


@accounts.command(name="disable")
def accounts_disable(account: str, /, *, note: Note, tenant: Tenant = "") -> None:
    """Close an account: its webhooks are refused from now on; what it delivered stays.

    Args:
        note: why; kept with the event.
    """
    with system(fresh=False) as s:
        s.accounts.disable(tenant or s.settings.tenant, account, note)
    out.print(f"Account {account} is closed.")


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
    result: int | None = app(tokens, console=out, error_console=err)
    return result


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        result = app.meta(argv, console=out, error_console=err)
    except NotFoundError as error:
        err.print(f"delivery-ledger: {error}", markup=False)
        sys.exit(EXIT_NOT_FOUND)
    except (ConfigurationError, UnsafeDatabaseError, ValueError) as error:
        err.print(f"delivery-ledger: {error}", markup=False)
        sys.exit(EXIT_USAGE)
    except (LedgerError, PersistenceError, OSError) as error:
        err.print(f"delivery-ledger: {error}", markup=False)
        sys.exit(EXIT_WRONG)
    sys.exit(result if isinstance(result, int) else 0)


if __name__ == "__main__":
    main()
