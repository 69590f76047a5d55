"""Between a provider's polls and sweeps and the ledger: makes their calls, admits what comes of them, records their acts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from adapters import references
from adapters.accounts import Accounts
from adapters.providers import registry
from adapters.providers.calling import Access, Answer, Client, Request
from adapters.providers.contract import Provider
from adapters.receiving import read
from ledger.appender import Item
from ledger.decision import Outcome
from ledger.errors import ConfigurationError
from ledger.intake import Intake
from ledger.observations import Arrival, ArrivalKind
from ledger.streams import WHOLE_MESSAGE, clean_texts


class Calls(Protocol):
    """Makes calls; a failure is an answer. See `adapters.calls.Caller`."""

    def call(
        self, client: Client, provider: Provider, request: Request, access: Access, *, key: tuple[str, str]
    ) -> Answer:
        """Make one call for the account that `key` (tenant, account) names."""
        ...


def arrival_of(provider: Provider, account: str, request: Request, answer: Answer) -> Arrival:
    """An answer to a call of ours as an arrival: nothing secret, only the headers that may be kept."""
    return Arrival(
        provider=provider.name,
        account=account,
        operation=request.operation,
        kind=ArrivalKind.POLL,
        observed_at=answer.at,
        body=answer.body,
        headers={k: v for k, v in answer.headers.items() if k in provider.headers or k == "content-type"},
        status=answer.status,
        request=(request.body if request.kept is None else request.kept) or None,
        name=request.name or (request.url if request.url.startswith("/") else ""),
    )


@dataclass(slots=True)
class AccountDesk:
    """The desk of one account; see `adapters.providers.calling.Desk`.

    Attributes:
        admitted: told of each outcome, once it is durable: whoever keeps `state` does so then.
        message: the message that a poll is about; what it brings belongs to it.
    """

    tenant: str
    account: str
    provider: Provider
    client: Client
    access: Access
    accounts: Accounts
    intake: Intake
    calls: Calls
    state: MutableMapping[str, Any] = field(default_factory=dict)
    admitted: Callable[[Outcome], None] = lambda _outcome: None
    message: str = ""

    def call(self, request: Request) -> Answer:
        """Make a call; a failure is an answer, not an exception."""
        return self.calls.call(self.client, self.provider, request, self.access, key=(self.tenant, self.account))

    def admit(self, request: Request, answer: Answer) -> Outcome:
        """Hand an answer to the ledger.

        Raises:
            LedgerError: it was not stored.
        """
        return self._admit(arrival_of(self.provider, self.account, request, answer), self.message)

    def admit_bytes(
        self,
        operation: str,
        kind: ArrivalKind,
        body: bytes,
        *,
        name: str = "",
        headers: Mapping[str, str] | None = None,
        message: str = "",
    ) -> Outcome:
        """Hand in bytes that did not come by `call`.

        Raises:
            LedgerError: they were not stored.
        """
        arrival = Arrival(
            provider=self.provider.name,
            account=self.account,
            operation=operation,
            kind=kind,
            observed_at=self.intake.ledger.clock(),
            body=body,
            headers=dict(headers or {}),
            name=name,
        )
        return self._admit(arrival, message or self.message)

    def _admit(self, arrival: Arrival, message: str) -> Outcome:
        outcome = self.intake.admit([read(self.tenant, arrival, message=message)])[0]
        if isinstance(outcome, Exception):
            raise outcome
        self.admitted(outcome)
        return outcome

    def record(
        self,
        kind: str,
        clear: Mapping[str, Any],
        values: Mapping[str, Any] | None = None,
        message: str = "",
        once: Sequence[str] = (),
    ) -> None:
        """Append an event of our own, to a message's stream or to the account's of today."""
        ledger = self.intake.ledger
        said = clean_texts({k: v for k, v in (values or {}).items() if isinstance(v, str)})[0]
        said |= {k: v for k, v in (values or {}).items() if not isinstance(v, str)}
        fields = {"provider": self.provider.name, "account": self.account, **clear}
        if message:
            sealed = [(ledger.person_key(message, WHOLE_MESSAGE), said)] if said else []
            draft = ledger.draft(kind, self.tenant, message, fields, sealed)
            ledger.append(Item([draft], needs={message}))
            return
        self.accounts.record(kind, self.tenant, self.account, "", fields, said=said, once=once)

    def known(self, kind: str, since: datetime, until: datetime, also: Collection[str] = ()) -> dict[str, str]:
        """References of a kind that the ledger holds of messages of that time, and which of `also` it holds at all."""
        whose = (self.intake.ledger, self.tenant, self.account, kind)
        return references.owners(*whose, also) | references.of_time(*whose, since=since, until=until)


def account_desk(accounts: Accounts, intake: Intake, calls: Calls, tenant: str, account: str) -> AccountDesk:
    """The desk of an account for an act of a person.

    Raises:
        NotFoundError: there is no such account.
        ConfigurationError: it cannot be called; the text says how to repair that.
    """
    found = accounts.get(tenant, account)
    provider = registry()[found.provider]
    access = accounts.access(tenant, account, intake.ledger.clock())
    if provider.client is None:
        msg = f"nothing is called at {provider.title}"
        raise ConfigurationError(msg)
    return AccountDesk(tenant, account, provider, provider.client, access, accounts, intake, calls)
