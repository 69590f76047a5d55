"""The demo: a day of five providers, written as raw inputs and fed through the same code that production runs."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress

from adapters import reaching
from adapters.evidence import verify as verifier
from adapters.evidence.pack import Ask
from adapters.importing import Importer, Report
from adapters.providers.pec_mailbox.sandbox import authority
from ledger import fsck
from ops import demoanswers, demolive, demoprivacy, show
from ops.demoday import ACCOUNTS, KEYS, Day
from ops.evidence import desk
from ops.settings import Settings
from ops.system import System, opened
from projections.queries import Filters
from projections.views import DeliveryView

TENANT = "default"
AUTHORITY = "sandbox-authority.pem"
PARTS = (
    "inputs",
    "keys",
    "evidence",
    "reports",
    "ledger.db",
    "ledger.db-wal",
    "ledger.db-shm",
    "ledger-keys",
    "artifacts",
    "heads",
    AUTHORITY,
)
"""What a demo makes below its folder, and the next one replaces; nothing else there is touched."""


def run(seed: int, folder: Path, out: Console | None) -> int:
    """Write the day, import it into a ledger of its own, and show what came of it.

    Args:
        out: where people read; None prints JSON.

    Returns:
        Exit code: 0 when every input was accounted for and the ledger checks out.
    """
    _clear(folder)
    inputs = write(seed, folder)
    (folder / AUTHORITY).write_bytes(authority.root(authority.ROOT).pem())
    with opened(settings(folder)) as system:
        report = feed(system, inputs, folder / "keys", out)
        deliveries = everything(system)
        waiting = system.queries.lanes(TENANT)
        if out is not None:
            show.demo(out, deliveries, report, waiting, system.quarantine.list(TENANT))
        live = demolive.run(system, TENANT, folder / AUTHORITY, out)
        answers = demoanswers.run(system, TENANT, folder / "reports", [*deliveries, *live], out)
        forgotten = demoprivacy.run(system, TENANT, folder / "evidence", live, out)
        verdict = fsck.check(system.ledger)
        if out is None:
            rows = [msgspec.to_builtins(d) for d in deliveries]
            body = {
                "folder": str(inputs),
                "report": show.report(report),
                "deliveries": rows,
                "live": [msgspec.to_builtins(d) for d in live],
                "waiting": msgspec.to_builtins(waiting),
                "answers": msgspec.to_builtins(answers),
                "forgotten": msgspec.to_builtins(forgotten),
            }
            print(msgspec.json.encode(body).decode())
        else:
            show.verdict(out, verdict, system.runner.unapplied())
        is_proven = prove(system, folder, live, out)
        if out is not None:
            out.print(next_steps(folder, deliveries), markup=False)
    is_kept = answers.is_proven and forgotten.is_proven and not forgotten.found
    return 0 if verdict.is_clean and is_proven and is_kept and not report.problems else 1


def prove(system: System, folder: Path, deliveries: list[DeliveryView], out: Console | None) -> bool:
    """Write the evidence pack of one message, say how to check it, and check it as its reader would."""
    chosen = max(deliveries, key=lambda d: (d.evidence.grade, d.message))
    pack = desk(system).issue(Ask(tenant=TENANT, message=chosen.message))
    path = folder / "evidence" / pack.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pack.data)
    key = system.identity.keys[-1].vkey()
    if out is None:
        with redirect_stdout(io.StringIO()):
            return verifier.main([f"--log-key={key}", str(path)]) == 0
    out.print(f"\nEvidence of one message: {path}", markup=False)
    out.print(f"Log key, which its reader must have from elsewhere: {key}", markup=False)
    out.print(f"  ./ops/run verify {path} --log-key '{key}'\n", markup=False)
    return verifier.main([f"--log-key={key}", str(path)]) == 0


def settings(folder: Path) -> Settings:
    """The demo's own ledger: nothing of the environment's settings is used or touched."""
    return Settings(
        database_url=f"sqlite:///{folder / 'ledger.db'}",
        key_folder=folder / "ledger-keys",
        artifact_folder=folder / "artifacts",
        head_folder=folder / "heads",
        trust_roots=folder / AUTHORITY,
        tenant=TENANT,
        allow_networks=reaching.LOOPBACK,  # the sandboxes of the providers
    )


def _clear(folder: Path) -> None:
    for part in PARTS:
        path = folder / part
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write(seed: int, folder: Path) -> Path:
    """Write the inputs, the webhook keys, and how to import them by hand; returns the folder of the inputs."""
    inputs = folder / "inputs"
    for name, body in Day(seed).make().items():
        path = inputs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    for account, (_, secret) in KEYS.items():
        (folder / "keys" / account).write_bytes(secret)
    (inputs / "README.txt").write_text(
        "\n".join(["To import this day into a ledger of your own:", "", *commands(folder), ""])
    )
    return inputs


def commands(folder: Path) -> list[str]:
    """What a person would type to import the day; webhooks are admitted only under their key."""
    lines = []
    for account, (key_id, _) in KEYS.items():
        lines.append(f"./ops/run accounts add {account} --provider {ACCOUNTS[account]}")
        lines.append(f"./ops/run accounts rotate {account} --key-id {key_id} --secret-file {folder / 'keys' / account}")
    return [*lines, f"./ops/run import {folder / 'inputs'}"]


def feed(system: System, inputs: Path, keys: Path, out: Console | None) -> Report:
    """Open the accounts, add the webhook keys, import everything, bring the read models up."""
    for account, provider in ACCOUNTS.items():
        system.accounts.add(TENANT, account, provider)
    for account, (key_id, _) in KEYS.items():
        system.accounts.add_secret(TENANT, account, key_id, (keys / account).read_bytes())
    importer = Importer(system.ledger, system.intake, system.accounts, system.quarantine, TENANT)
    with Progress(console=out, transient=True, disable=out is None or not out.is_terminal) as progress:
        task = progress.add_task("a day of five providers", total=None)
        report = importer.run([inputs], lambda done, total: progress.update(task, completed=done, total=total))
    system.runner.run()
    return report


def everything(system: System) -> list[DeliveryView]:
    """All deliveries, page by page."""
    found: list[DeliveryView] = []
    cursor = ""
    while True:
        page = system.queries.search(TENANT, Filters(), cursor)
        found += page.deliveries
        cursor = page.next
        if not cursor:
            return found


def next_steps(folder: Path, deliveries: list[DeliveryView]) -> str:
    """What to try next, ready to paste."""
    disputed = next((d for d in deliveries if d.status == "disputed"), deliveries[0])
    environment = "export " + " ".join(
        f"LEDGER_{name.upper()}={value}"
        for name, value in asdict(settings(folder)).items()
        if name in {"database_url", "key_folder", "artifact_folder", "head_folder"}
    )
    return "\n".join(
        (
            "",
            "Try next:",
            f"  {environment}",
            f"  ./ops/run status {disputed.message}       # why is it {disputed.status}?",
            f"  ./ops/run trail {disputed.message}        # every event behind it",
            "  ./ops/run search --label 'case 2026-17'",
            "  ./ops/run lanes list                       # what waits for a person",
            "  ./ops/run serve                            # the API, http://127.0.0.1:8440/docs",
            f"  less {folder / 'inputs' / 'README.txt'}     # import the same day into your own ledger",
        )
    )
