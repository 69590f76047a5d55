"""How Ekopost is called: what a send needs (`dispatch`), what is looked at by the clock (`looking`), and how calls name us."""

from __future__ import annotations

import base64
from dataclasses import replace

from adapters.providers.calling import Access, Client, Request, Sweep
from adapters.providers.ekopost import dispatch, looking
from adapters.providers.ekopost.options import Options, check
from adapters.providers.ekopost.settings import SECRETS, Settings, needs


def authorise(request: Request, access: Access) -> Request:
    """The request with the API key, or with user name and password."""
    secrets, settings = access.secrets, access.settings
    if settings.auth == "api_key":
        said = f"api-key {secrets['api_key']}"
    else:
        pair = f"{secrets['username']}:{secrets['password']}".encode()
        said = f"Basic {base64.b64encode(pair).decode()}"
    return replace(request, headers={**request.headers, "authorization": said})


CLIENT = Client(
    settings=Settings,
    secrets=SECRETS,
    needs=needs,
    options=Options,
    check=check,
    protects=lambda submission: submission.options.postage == "protected",
    next_request=dispatch.next_request,
    answers=dispatch.ANSWERS,
    code=dispatch.code,
    ask=dispatch.ask,
    found=dispatch.found,
    poll=looking.poll,
    sweeps=(
        Sweep("campaigns", 900, looking.campaigns, "campaigns that are under way, and their envelopes"),
        Sweep("reconcile", 86_400, looking.reconcile, "Ekopost's list of envelopes compared with ours"),
        Sweep("invitations", 21_600, looking.invitations, "invitations to exchange e-invoices", setting="invitations"),
    ),
    authorise=authorise,
    zone="Europe/Stockholm",
)
