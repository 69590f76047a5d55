"""KPN SMS: text messages, with delivery reports by signed webhook.

Channel: sms. Documentation: developer.kpn.com/documentation/kpn-sms-api-documentation and KPN's SwaggerHub definitions
`SMS - KPN` 1.0.6 (2025) and 1.3 (2020), `Inbound SMS - KPN` 1.0.0, `Webhook Privacy Configuration - KPN` 3.0.0 and
`Webhook Signing Keys - KPN` 4.0.0. Last checked 2026-07.

Quirks:
- One document_id per call, whatever the number of messages and numbers in it; KPN takes no reference of ours.
- A 200 without document_id is a failure.
- There is no way to ask for a status or for a list: what the webhook does not tell is never known, an unclear send is settled by
  a person, and there is nothing to reconcile with.
- The customer may exclude fields from delivery reports, so any of them may be missing, the number too.
- The signature covers the body only, not the time-stamp beside it: what keeps a replay out is the identity of a report.
- Delivery reports write PascalCase and epoch times, incoming messages snake_case and UTC without a zone.
"""

from __future__ import annotations

from adapters.providers import kpn_platform
from adapters.providers.contract import Operation, Provider
from adapters.providers.kpn_sms import statuses, wire
from adapters.providers.kpn_sms.client import CLIENT

_KEYS = "signing keys are managed by a person; the secrets reach us by settings"
_CONFIG = "where webhooks go and which fields they leave out is managed by a person"

_OPERATIONS = (
    Operation("send", "POST /send", "used", "acceptance or refusal of a call, its document_id and numbers", "R"),
    Operation("webhook.dlr", "webhook", "used", "the state of one number, with its time and failure code", "R"),
    Operation(
        "webhook.inbound",
        "webhook",
        "used",
        "a message to a virtual number of ours; that it is signed like a delivery report is assumed",
        "R",
    ),
    kpn_platform.TOKEN,
    Operation("createOrgSigningKey", "POST /organizations/keys", "out_of_scope", _KEYS, "R"),
    Operation("listOrgSigningKeys", "GET /organizations/keys", "out_of_scope", _KEYS, "R"),
    Operation("revealOrgSigningKeySecret", "GET /organizations/keys/reveal", "out_of_scope", _KEYS, "R"),
    Operation("activateOrgSigningKey", "POST /organizations/keys/{key_id}/activate", "out_of_scope", _KEYS, "R"),
    Operation("retireOrgSigningKey", "POST /organizations/keys/{key_id}/retire", "out_of_scope", _KEYS, "R"),
    Operation("deleteOrgSigningKey", "DELETE /organizations/keys/{key_id}", "out_of_scope", _KEYS, "R"),
    Operation("createTeamSigningKey", "POST /teams/keys", "out_of_scope", _KEYS, "R"),
    Operation("listTeamSigningKeys", "GET /teams/keys", "out_of_scope", _KEYS, "R"),
    Operation("revealTeamSigningKeySecret", "GET /teams/keys/reveal", "out_of_scope", _KEYS, "R"),
    Operation("activateTeamSigningKey", "POST /teams/keys/{key_id}/activate", "out_of_scope", _KEYS, "R"),
    Operation("retireTeamSigningKey", "POST /teams/keys/{key_id}/retire", "out_of_scope", _KEYS, "R"),
    Operation("deleteTeamSigningKey", "DELETE /teams/keys/{key_id}", "out_of_scope", _KEYS, "R"),
    Operation("createApplicationSigningKey", "POST /applications/keys", "out_of_scope", _KEYS, "R"),
    Operation("listApplicationSigningKeys", "GET /applications/keys", "out_of_scope", _KEYS, "R"),
    Operation("revealApplicationSigningKeySecret", "GET /applications/keys/reveal", "out_of_scope", _KEYS, "R"),
    Operation("activateApplicationSigningKey", "POST /applications/keys/{key_id}/activate", "out_of_scope", _KEYS, "R"),
    Operation("retireApplicationSigningKey", "POST /applications/keys/{key_id}/retire", "out_of_scope", _KEYS, "R"),
    Operation("deleteApplicationSigningKey", "DELETE /applications/keys/{key_id}", "out_of_scope", _KEYS, "R"),
    Operation("getOrganizationWebhookConfig", "GET /organizations", "out_of_scope", _CONFIG, "R"),
    Operation("updateOrganizationWebhookConfig", "PUT /organizations", "out_of_scope", _CONFIG, "R"),
    Operation("createTeamWebhookConfig", "POST /teams", "out_of_scope", _CONFIG, "R"),
    Operation("getTeamWebhookConfig", "GET /teams", "out_of_scope", _CONFIG, "R"),
    Operation("updateTeamWebhookConfig", "PUT /teams", "out_of_scope", _CONFIG, "R"),
    Operation("deleteTeamWebhookConfig", "DELETE /teams", "out_of_scope", _CONFIG, "R"),
    Operation("createApplicationWebhookConfig", "POST /applications", "out_of_scope", _CONFIG, "R"),
    Operation("getApplicationWebhookConfig", "GET /applications", "out_of_scope", _CONFIG, "R"),
    Operation("updateApplicationWebhookConfig", "PUT /applications", "out_of_scope", _CONFIG, "R"),
    Operation("deleteApplicationWebhookConfig", "DELETE /applications", "out_of_scope", _CONFIG, "R"),
)

PROVIDER = Provider(
    name="kpn_sms",
    title="KPN SMS",
    channel="sms",
    region="NL",
    mapping="kpn_sms/1",
    documentation="https://developer.kpn.com/documentation/kpn-sms-api-documentation, last checked 2026-07",
    relied_on="Webhooks are signed. An answer to our own call is not: there we rely on TLS to api-prd.kpn.com.",
    operations=_OPERATIONS,
    tables={
        "status": statuses.STATUS,
        "reason": statuses.REASON,
        "error": kpn_platform.ERRORS,
        "http": kpn_platform.HTTP,
        "address_type": statuses.NUMBER_FORMS,
        "limit": statuses.LIMITS,
    },
    parse=wire.parse,
    recognise=wire.recognise,
    notes=kpn_platform.NOTES | wire.NOTES,
    headers=kpn_platform.HEADERS | wire.WEBHOOK_HEADERS,
    verify=wire.verify,
    signed_operations=frozenset({"webhook.dlr", "webhook.inbound"}),
    client=CLIENT,
)
