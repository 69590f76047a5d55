"""KPN Cloud Fax (eComFax): faxes to one or more targets, asked about job by job.

Channel: fax. Documentation: the Cloud Fax pages of https://developer.kpn.com (base URL
https://api-prd.kpn.com/data/cws/fax). KPN publishes no definition of this product. Last checked 2026-07.

Quirks:
- Operations, paths and parameter names are published; no body, no status word and no error code is. What is read of
  them is assumed, in the tables of `statuses.py`.
- One jobid for all targets; the job takes no reference of ours.
- Reading consumes: GET /infax takes a fax off the list of new ones, PATCH /resetincomingjob puts it back. DELETE
  /messages and the retention settings destroy content. Evidence is fetched before.
- Times follow a setting of the account, which is asked for; where it is not known, a time without offset is taken as UTC.
- Some pages of several are no delivery. A text message that was sent is not delivered yet.
- A send whose answer is lost stays unclear until a state of its job arrives or a person looks: a job takes no name of ours.
"""

from __future__ import annotations

from adapters.providers import kpn_platform
from adapters.providers.contract import Provider
from adapters.providers.kpn_cloud_fax import operations, statuses, wire
from adapters.providers.kpn_cloud_fax.client import CLIENT

PROVIDER = Provider(
    name="kpn_cloud_fax",
    title="KPN Cloud Fax",
    channel="fax",
    region="NL",
    mapping="kpn_cloud_fax/1",
    documentation="https://developer.kpn.com (Cloud Fax API), last checked 2026-07",
    relied_on="Nothing is signed and nothing is pushed: we ask KPN ourselves, over TLS, with our own credentials.",
    operations=operations.OPERATIONS,
    tables={
        "status": statuses.STATUS,
        "job": statuses.JOB,
        "sms": statuses.SMS,
        "reason": statuses.REASON,
        "error": kpn_platform.ERRORS,
        "http": kpn_platform.HTTP,
    },
    parse=wire.parse,
    recognise=wire.recognise,
    notes=kpn_platform.NOTES | wire.NOTES,
    headers=kpn_platform.HEADERS,
    client=CLIENT,
    secret_bodies=frozenset({"token"}),
)
