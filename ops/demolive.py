"""The second half of the demo: messages that are really sent, to the sandboxes of the providers, and followed to their end.

Everything between our code and a sandbox is real: HTTP, SMTP, IMAP, TLS, signatures; only an hour of the provider's lasts a few
milliseconds. Switching to the provider itself is a base URL and credentials.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from adapters import sending
from adapters.providers.calling import Document, Submission
from adapters.providers.pec_massiva import sandbox as pec_massiva
from ledger.observations import Address
from ledger.streams import Registration
from ops import show
from ops.schedule import board
from ops.system import System
from projections.views import DeliveryView

PATIENCE_S = 60.0
PAUSE_S = 0.05
HOUR = timedelta(milliseconds=80)
"""How long an hour of the certified-mail provider lasts."""
NOTICE = Document("diffida.pdf", "application/pdf", b"%PDF-1.7\n% a formal notice, for the demo\n")


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scene works with."""

    system: System
    tenant: str

    def open(self, account: str, provider: str, settings: dict[str, Any], credentials: dict[str, str]) -> None:
        """An account at a sandbox."""
        accounts = self.system.accounts
        accounts.add(self.tenant, account, provider)
        accounts.configure(self.tenant, account, settings)
        accounts.set_credentials(self.tenant, account, credentials)

    def send(self, account: str, recipients: Sequence[Address], **said: Any) -> str:
        """Have something sent; its message."""
        ledger = self.system.ledger
        provider = self.system.accounts.get(self.tenant, account).provider
        whom = tuple(recipients)
        submission = Submission(message="", recipients=whom, requested_at=ledger.clock(), **{"options": {}, **said})
        registration = Registration(
            account=account,
            provider=provider,
            recipients=whom,
            labels=("demo",),
            texts={"subject": submission.subject} if submission.subject else {},
        )
        clear = {"arrival": "api", "actor": "demo"}
        return sending.dispatch(
            self.system.intake, self.system.accounts, self.tenant, registration, submission, clear=clear
        ).message

    def follow(
        self,
        message: str,
        names: Sequence[str],
        is_done: Callable[[list[DeliveryView]], bool],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """Do what the outbox and the account's jobs do by the clock, only sooner, until the story is told.

        Args:
            names: of the jobs.
            settle: brings the sandbox up to now.
        """
        jobs, until = board(self.system), time.monotonic() + PATIENCE_S
        account = self.system.outbox.row(self.tenant, message).account
        wanted = [job for name in names for job in jobs.find(self.tenant, name, account)]
        while not is_done(self.deliveries(message)) and time.monotonic() < until:
            self.system.outbox.run()
            settle()
            for job in wanted:
                jobs.run(job, is_asked=True)
            self.system.runner.run()
            time.sleep(PAUSE_S)

    def deliveries(self, message: str) -> list[DeliveryView]:
        self.system.runner.run()
        return self.system.queries.deliveries(self.tenant, message)


def certified_mail(stage: Stage, roots: Path, stack: ExitStack) -> str:
    """A certified message to three: one delivered, one refused, one of whom only the two notices come."""
    provider = pec_massiva.Provider({pec_massiva.ACCOUNT: pec_massiva.PASSWORD}, hour=HOUR)
    service = pec_massiva.Service(provider, email="conto@cliente.example", api_key="chiave-di-prova")
    sandbox = stack.enter_context(pec_massiva.running(service=service))
    settings = {
        "mailbox": pec_massiva.ACCOUNT,
        "base_url": sandbox.base_url,
        "oauth_url": sandbox.base_url,
        "imap_host": sandbox.mail.host,
        "imap_port": sandbox.mail.imap_port,
        "ca_file": str(roots),
    }
    credentials = {"email": "conto@cliente.example", "api_key": "chiave-di-prova"}
    credentials |= {"username": pec_massiva.ACCOUNT, "password": pec_massiva.PASSWORD}
    stage.open("live-pec", "pec_massiva", settings, credentials)
    names = ("maria.greco", "refused.bassi", "silent.conti")
    recipients = [Address("email", f"{name}@pec.comune.example") for name in names]
    said = {"subject": "Diffida ad adempiere", "text": "In allegato la diffida.", "documents": (NOTICE,)}
    message = stage.send("live-pec", recipients, **said)

    def is_done(found: list[DeliveryView]) -> bool:
        told = sum(r.type in {"relay.delayed", "relay.failed"} for d in found for r in d.reasons)
        return (
            [d.status for d in found] == ["delivered", "failed", "failed"]
            and found[0].evidence.grade >= "E4"
            and told > 1
        )

    stage.follow(message, ("poll", "mailbox"), is_done, sandbox.mail.settle)
    return message


SCENES: tuple[Callable[[Stage, Path, ExitStack], str], ...] = (certified_mail,)


def run(system: System, tenant: str, roots: Path, out: Console | None) -> list[DeliveryView]:
    """Play every scene.

    Returns:
        The deliveries, as they ended.
    """
    found: list[DeliveryView] = []
    for scene in SCENES:
        with ExitStack() as stack:
            stage = Stage(system, tenant)
            if out is not None:
                out.print(Text(f"\nSent for real, to a sandbox: {(scene.__doc__ or '').splitlines()[0]}", style="bold"))
            message = scene(stage, roots, stack)
            found += stage.deliveries(message)
            if out is not None:
                show.message(out, system.queries.message(tenant, message))
    return found
