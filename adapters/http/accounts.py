"""The tenant's accounts at providers: their webhook keys, settings and credentials."""

from __future__ import annotations

from adapters import operations
from adapters.accounts import Account, AccountCheck, check
from adapters.configuring import AccountSettings
from adapters.deleting import delete
from adapters.desk import account_desk
from adapters.http.errors import AccountTakenError
from adapters.http.guards import require_message
from adapters.http.routes import Answer, Call, NoQuery, route
from adapters.http.types import (
    AccountList,
    Deleted,
    KeyAdded,
    NewAccount,
    NewCredential,
    NewDeletion,
    NewKey,
    NewSettings,
    Noted,
    Reading,
    SettingsChanged,
)
from adapters.providers import registry
from adapters.strictjson import refuse

OPERATORS = ("operator",)


@route("GET /v1/accounts", scopes=OPERATORS, answers={200: AccountList})
def list_accounts(call: Call[NoQuery, None]) -> Answer:
    """The tenant's accounts."""
    return Answer(AccountList(tuple(call.services.accounts.list(call.tenant))))


@route("POST /v1/accounts", scopes=OPERATORS, answers={201: Account, 200: Account}, problems=(409,))
def add_account(call: Call[NoQuery, NewAccount]) -> Answer:
    """Open an account at a provider; opening it again changes nothing."""
    accounts, new = call.services.accounts, call.body
    if new.provider not in registry():
        refuse("provider", f"unknown; there are {', '.join(registry())}")
    known = {a.account: a for a in accounts.list(call.tenant)}.get(new.account)
    if known and known.provider != new.provider:
        raise AccountTakenError
    added = accounts.add(call.tenant, new.account, new.provider, call.actor)
    return Answer(added, 200 if known else 201, {"Location": f"/v1/accounts/{added.account}"})


@route("GET /v1/accounts/{account}", scopes=OPERATORS, answers={200: AccountCheck})
def check_account(call: Call[Reading, None]) -> Answer:
    """Keys in use, when it was last heard of, the difference of the clocks, the webhook URLs to paste at the provider, and advice."""
    return Answer(check(call.services.accounts, call.tenant, call.path["account"], call.services.public_url))


@route("POST /v1/accounts/{account}/keys", scopes=OPERATORS, answers={201: KeyAdded})
def add_key(call: Call[NoQuery, NewKey]) -> Answer:
    """Put a webhook key in use beside the others; webhooks in quarantine are verified again and admitted if they are good."""
    services, new = call.services, call.body
    secret = new.secret.encode() if new.secret is not None else new.secret_base64
    if not secret or (new.secret is not None and new.secret_base64 is not None):
        refuse("secret", "give secret or secret_base64")
    account = call.path["account"]
    services.accounts.add_secret(call.tenant, account, new.key_id, secret, call.actor)
    admitted = services.quarantine.verify_again(call.tenant, account, services.ledger.clock())
    keys = tuple(services.accounts.secrets(call.tenant, account))
    return Answer(KeyAdded(keys, len(admitted), sum(len(o.facts) for o in admitted)), 201)


@route("DELETE /v1/accounts/{account}/keys/{key_id}", scopes=OPERATORS, answers={204: None})
def retire_key(call: Call[NoQuery, None]) -> Answer:
    """Destroy a webhook key; what it verified stays verified."""
    call.services.accounts.retire_secret(call.tenant, call.path["account"], call.path["key_id"], call.actor)
    return Answer(status=204)


@route("GET /v1/accounts/{account}/settings", scopes=OPERATORS, answers={200: AccountSettings})
def account_settings(call: Call[NoQuery, None]) -> Answer:
    """What is set for calling the provider, which credentials it has, and what is missing; never a credential itself."""
    return Answer(call.services.accounts.settings(call.tenant, call.path["account"]))


@route("PUT /v1/accounts/{account}/settings", scopes=OPERATORS, answers={200: SettingsChanged})
def put_settings(call: Call[NoQuery, NewSettings]) -> Answer:
    """Give an account these settings and no others; each change is an event, and the same again changes nothing."""
    accounts, account = call.services.accounts, call.path["account"]
    changes = accounts.configure(call.tenant, account, call.body.settings, call.actor)
    return Answer(SettingsChanged(changes, accounts.settings(call.tenant, account)))


@route("PUT /v1/accounts/{account}/credentials/{name}", scopes=OPERATORS, answers={204: None})
def put_credential(call: Call[NoQuery, NewCredential]) -> Answer:
    """Keep a credential in the place of the one of that name; it is sealed and never shown again."""
    named = {call.path["name"]: call.body.value}
    call.services.accounts.set_credentials(call.tenant, call.path["account"], named, call.actor)
    return Answer(status=204)


@route("DELETE /v1/accounts/{account}/credentials/{name}", scopes=OPERATORS, answers={204: None})
def retire_credential(call: Call[NoQuery, None]) -> Answer:
    """Destroy a credential."""
    call.services.accounts.retire_credential(call.tenant, call.path["account"], call.path["name"], call.actor)
    return Answer(status=204)


@route("POST /v1/accounts/{account}/disable", scopes=OPERATORS, answers={200: Account})
def disable(call: Call[NoQuery, Noted]) -> Answer:
    """Close an account: nothing is taken for it from now on; what it delivered stays."""
    return Answer(call.services.accounts.disable(call.tenant, call.path["account"], call.body.note, call.actor))


@route("POST /v1/accounts/{account}/deletions", scopes=OPERATORS, answers={200: Deleted}, problems=(409,))
def delete_there(call: Call[NoQuery, NewDeletion]) -> Answer:
    """Delete e-mails at the provider if the signed original of each is held under a signed head and read back; else say why not."""
    services, asked = call.services, call.body
    if asked.message:
        require_message(services, call.tenant, asked.message)
    desk = account_desk(services.accounts, services.intake, services.outbox.calls, call.tenant, call.path["account"])
    said = {"name": asked.name, **({"message": asked.message} if asked.message else {})}
    operations.asked(services.accounts, call.actor, "accounts delete", call.tenant, call.path["account"], said)
    size = services.log.signed_head().checkpoint.size
    return Answer(Deleted(*delete(desk, asked.name, size, reason=asked.override, message=asked.message or "")))
