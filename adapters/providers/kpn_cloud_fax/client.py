"""How KPN Cloud Fax is called: sends, the jobs of one message, and what is done for the whole account by the clock."""

from __future__ import annotations

from datetime import timedelta

from adapters.providers import kpn_calling
from adapters.providers.calling import Client, Sweep
from adapters.providers.kpn_cloud_fax import deletion, dispatch, fetching, polling, reconcile, watching
from adapters.providers.kpn_cloud_fax.settings import Settings

DAY_S = 86_400

CLIENT = Client(
    settings=Settings,
    secrets=kpn_calling.SECRETS,
    options=dispatch.Options,
    check=dispatch.check,
    next_request=dispatch.next_request,
    answers=dispatch.ANSWERS,
    code=dispatch.code,
    poll=polling.poll,
    cadence=(
        (timedelta(minutes=15), timedelta(minutes=2)),
        (timedelta(hours=4), timedelta(minutes=10)),
        (timedelta(days=2), timedelta(hours=1)),
        (timedelta(days=30), timedelta(hours=12)),
    ),
    sweeps=(
        Sweep("incoming", 900, fetching.sweep, "faxes that came in", setting="incoming"),
        Sweep("provider_settings", DAY_S, watching.sweep, "settings of the account at KPN"),
        Sweep(
            "reconcile",
            DAY_S,
            reconcile.sweep,
            "KPN's list of messages compared with ours; receipts and documents fetched",
        ),
    ),
    delete=deletion.on_request,
    token_request=kpn_calling.token_request,
    read_token=kpn_calling.read_token,
    authorise=kpn_calling.authorise,
)
