"""Every operation that KPN's Cloud Fax documentation names, and what the ledger does with it.

Names are those of KPN's Postman collection; where the documentation prints the name of another operation by mistake,
ours follows the pattern of its neighbours and `why` says so. Nothing but paths and parameter names is published.

Source: https://developer.kpn.com, documentation of the Cloud Fax API, checked 2026-07.
"""

from __future__ import annotations

from adapters.providers.contract import Operation
from adapters.providers.kpn_platform import TOKEN

_SETTING = "a setting of the account; says nothing of a message"
_CONSUMES = "reading consumes: the bytes are kept before anything else; their form is unknown"

_OUTGOING = (
    Operation("send", "POST /sendfax", "used", "SendFax: the jobid of a new fax with base64 documents", "R"),
    Operation(
        "SendFaxRaw", "POST /sendfax/raw", "out_of_scope", "documents go out as base64, so in one known form", "R"
    ),
    Operation(
        "SendSms", "POST /sendsms", "out_of_scope", "text messages go through KPN SMS, which reports delivery", "R"
    ),
    Operation("jobstatus", "GET /jobstatus", "used", "GetJobStatus: the transmission state of each target", "R"),
    Operation("jobhistory", "GET /jobhistory", "used", "GetJobHistory: the events of a job, page by page", "R"),
    Operation("jobdetails", "GET /jobdetails", "used", "GetJobDetails: what is kept of a processed job", "R"),
    Operation(
        "AckRequest",
        "POST /ackreceipt",
        "recorded",
        "asks the recipient of a PCIFax or SecureFax for a receipt; the form of its answer is unknown",
        "R",
    ),
    Operation("GetDocument", "GET /document/{key}", "recorded", "the content of a job, as evidence", "R"),
    Operation("GetDocumentPage", "GET /documentpage/{key}", "out_of_scope", "a part of GetDocument", "R"),
    Operation("GetDocumentPreview", "GET /documentpreview/{key}", "out_of_scope", "a picture of GetDocument", "R"),
    Operation("GetAllMessages", "GET /messages", "recorded", "the list of all messages; its form is unknown", "R"),
    Operation("GetMessage", "GET /messages/{id}", "recorded", "one message; its form is unknown", "R"),
    Operation(
        "DeleteMessage",
        "DELETE /messages",
        "recorded",
        "destroys the content at the provider: evidence must be fetched before; printed as GetMessage",
        "R",
    ),
)

_INCOMING = (
    Operation("GetIncomingJobs", "GET /injobs", "recorded", "incoming faxes not yet processed; form unknown", "R"),
    Operation("GetIncomingFax", "GET /infax", "recorded", f"an incoming fax; {_CONSUMES}", "R"),
    Operation(
        "MarkIncomingJobAsNew",
        "PATCH /resetincomingjob",
        "recorded",
        "undoes the consumption by GetIncomingFax; needs the Custody Service",
        "R",
    ),
)

_SETTINGS = (
    Operation("GetCallingCodes", "GET /callingcodes", "out_of_scope", _SETTING, "R"),
    Operation("SetCallingCodes", "PUT /callingcodes", "out_of_scope", _SETTING, "R"),
    Operation("GetCustomFaxNumber", "GET /customfaxnumber", "out_of_scope", _SETTING, "R"),
    Operation("SetCustomFaxNumber", "PUT /customfaxnumber", "out_of_scope", _SETTING, "R"),
    Operation("RemoveCustomFaxNumber", "DELETE /customfaxnumber", "out_of_scope", _SETTING, "R"),
    Operation("GetCustomFaxNumberById", "GET /customfaxnumber?did", "out_of_scope", _SETTING, "R"),
    Operation("SetCustomFaxNumberById", "PUT /customfaxnumber?did", "out_of_scope", _SETTING, "R"),
    Operation("RemoveCustomFaxNumberById", "DELETE /customfaxnumber?did", "out_of_scope", _SETTING, "R"),
    Operation("GetAllAdditionalEmails", "GET /emails", "out_of_scope", _SETTING, "R"),
    Operation("AddAdditionalEmail", "POST /emails", "out_of_scope", f"{_SETTING}; 403 when there are too many", "R"),
    Operation("RemoveAdditionalEmail", "DELETE /emails", "out_of_scope", _SETTING, "R"),
    Operation("GetInboundDelivery", "GET /inbounddelivery?did", "out_of_scope", _SETTING, "R"),
    Operation("SetInboundDelivery", "PUT /inbounddelivery", "out_of_scope", _SETTING, "R"),
    Operation("GetInboundDeliveryDid", "GET /inbounddelivery", "out_of_scope", _SETTING, "R"),
    Operation("GetLanguage", "GET /language", "out_of_scope", _SETTING, "R"),
    Operation("SetLanguage", "PUT /language", "out_of_scope", _SETTING, "R"),
    Operation("GetPrintingConfig", "GET /printingconfig", "out_of_scope", _SETTING, "R"),
    Operation("SetPrintingConfig", "PUT /printingconfig", "out_of_scope", f"{_SETTING}; printed as SetLanguage", "R"),
    Operation("GetAllReportConfigs", "GET /reportconfig", "out_of_scope", _SETTING, "R"),
    Operation("SetReportConfig", "POST /reportconfig", "out_of_scope", _SETTING, "R"),
    Operation(
        "ReplaceReportConfig", "PUT /reportconfig", "out_of_scope", f"{_SETTING}; printed as SetReportConfig", "R"
    ),
    Operation("UpdateReportConfig", "PATCH /reportconfig", "out_of_scope", _SETTING, "R"),
    Operation("DeleteReportConfig", "DELETE /reportconfig", "out_of_scope", _SETTING, "R"),
    Operation("GetRetentionConfig", "GET /retentionconfig", "out_of_scope", _SETTING, "R"),
    Operation(
        "SetRetentionConfig",
        "PUT /retentionconfig",
        "out_of_scope",
        "a setting, after which the provider destroys content: by then the evidence must be here",
        "R",
    ),
    Operation("GetSubjects", "GET /subjects", "out_of_scope", _SETTING, "R"),
    Operation("SetSubjects", "PUT /subjects", "out_of_scope", f"{_SETTING}; its path is printed as /reportconfig", "R"),
    Operation("UpdateSubjects", "PATCH /subjects", "out_of_scope", _SETTING, "R"),
    Operation("GetSubscriberInfo", "GET /subscriberinfo", "out_of_scope", _SETTING, "R"),
    Operation("SetSubscriberInfo", "PUT /subscriberinfo", "out_of_scope", f"{_SETTING}; printed as SetSubjects", "R"),
    Operation("UpdateSubscriberInfo", "PATCH /subscriberinfo", "out_of_scope", _SETTING, "R"),
    Operation("GetTimeZone", "GET /timezone", "out_of_scope", f"{_SETTING}; times may follow it", "R"),
    Operation(
        "SetTimeZone", "PUT /timezone", "out_of_scope", f"{_SETTING}; its path is printed as /subscriberinfo", "R"
    ),
    Operation("GetTip", "GET /tip", "out_of_scope", "a usage tip by chance", "R"),
)

OPERATIONS: tuple[Operation, ...] = (*_OUTGOING, *_INCOMING, *_SETTINGS, TOKEN)
