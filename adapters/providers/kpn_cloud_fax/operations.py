"""Every operation that KPN's Cloud Fax documentation names, and what the ledger does with it.

Operations that are not used have the names of KPN's Postman collection, the others ours.
Where the documentation prints the name of another operation by mistake, ours follows the pattern of its neighbours and `why` says
so. Nothing but paths and parameter names is published.

Source: https://developer.kpn.com, documentation of the Cloud Fax API, checked 2026-07.
"""

from __future__ import annotations

from adapters.providers.contract import Operation
from adapters.providers.kpn_platform import TOKEN

_SETTING = "a setting of the account; says nothing of a message"
_WATCHED = "what it is now, every day: a change may touch how jobs read, arrive or are kept"

_OUTGOING = (
    Operation("send", "POST /sendfax", "used", "SendFax: the jobid of a new fax with base64 documents", "R"),
    Operation("send_raw", "POST /sendfax/raw", "used", "the same with form data, which is smaller", "R"),
    Operation("send_sms", "POST /sendsms", "used", "SendSms: the jobid of a new text message", "R"),
    Operation("jobstatus", "GET /jobstatus", "used", "GetJobStatus: the transmission state of each target", "R"),
    Operation("jobhistory", "GET /jobhistory", "used", "GetJobHistory: the events of a job, page by page", "R"),
    Operation("jobdetails", "GET /jobdetails", "used", "GetJobDetails: what is kept of a processed job", "R"),
    Operation(
        "ackreceipt",
        "POST /ackreceipt",
        "used",
        "AckRequest: that the recipient of a PCIFax or SecureFax was asked for a receipt",
        "R",
    ),
    Operation("document", "GET /document/{key}", "used", "GetDocument: the content of a job, kept as evidence", "R"),
    Operation("GetDocumentPage", "GET /documentpage/{key}", "out_of_scope", "a part of GetDocument", "R"),
    Operation("GetDocumentPreview", "GET /documentpreview/{key}", "out_of_scope", "a picture of GetDocument", "R"),
    Operation(
        "messages", "GET /messages", "recorded", "GetAllMessages: compared with our own list; the count is kept", "R"
    ),
    Operation("GetMessage", "GET /messages/{id}", "out_of_scope", "a row of GetAllMessages; /jobstatus says more", "R"),
    Operation(
        "delete",
        "DELETE /messages",
        "used",
        "destroys the content at the provider: evidence must be fetched before; printed as GetMessage",
        "R",
    ),
)

_INCOMING = (
    Operation("injobs", "GET /injobs", "used", "GetIncomingJobs: incoming faxes not yet processed", "R"),
    Operation("infax", "GET /infax", "used", "GetIncomingFax: reading consumes, so the wish to is durable before", "R"),
    Operation(
        "reset",
        "PATCH /resetincomingjob",
        "used",
        "MarkIncomingJobAsNew: undoes the consumption by GetIncomingFax; needs the Custody Service",
        "R",
    ),
)

_SETTINGS = (
    Operation("setting.callingcodes", "GET /callingcodes", "used", _WATCHED, "R"),
    Operation("SetCallingCodes", "PUT /callingcodes", "out_of_scope", _SETTING, "R"),
    Operation("setting.customfaxnumber", "GET /customfaxnumber", "used", _WATCHED, "R"),
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
    Operation("setting.inbounddelivery", "GET /inbounddelivery", "used", _WATCHED, "R"),
    Operation("setting.language", "GET /language", "used", _WATCHED, "R"),
    Operation("SetLanguage", "PUT /language", "out_of_scope", _SETTING, "R"),
    Operation("GetPrintingConfig", "GET /printingconfig", "out_of_scope", _SETTING, "R"),
    Operation("SetPrintingConfig", "PUT /printingconfig", "out_of_scope", f"{_SETTING}; printed as SetLanguage", "R"),
    Operation("setting.reportconfig", "GET /reportconfig", "used", _WATCHED, "R"),
    Operation("SetReportConfig", "POST /reportconfig", "out_of_scope", _SETTING, "R"),
    Operation(
        "ReplaceReportConfig", "PUT /reportconfig", "out_of_scope", f"{_SETTING}; printed as SetReportConfig", "R"
    ),
    Operation("UpdateReportConfig", "PATCH /reportconfig", "out_of_scope", _SETTING, "R"),
    Operation("DeleteReportConfig", "DELETE /reportconfig", "out_of_scope", _SETTING, "R"),
    Operation("setting.retentionconfig", "GET /retentionconfig", "used", _WATCHED, "R"),
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
    Operation("setting.timezone", "GET /timezone", "used", f"{_WATCHED}; times may follow it", "R"),
    Operation(
        "SetTimeZone", "PUT /timezone", "out_of_scope", f"{_SETTING}; its path is printed as /subscriberinfo", "R"
    ),
    Operation("GetTip", "GET /tip", "out_of_scope", "a usage tip by chance", "R"),
)

OPERATIONS: tuple[Operation, ...] = (*_OUTGOING, *_INCOMING, *_SETTINGS, TOKEN)
