"""The event types, their ETSI EN 319 522-1 event and what they are about: one table.

What the status fold makes of a type is not here (projections/rules.py): it may change, events may not.
Adding a type needs a decision record and a new TABLE_VERSION; readers show types they do not know.
"""

from __future__ import annotations

from typing import NamedTuple

TABLE_VERSION = 4


class EventType(NamedTuple):
    """A row: persisted name without version, ETSI event id ("" when ours alone), one line of meaning."""

    name: str
    erds: str
    meaning: str


_ROWS = (
    # --- submission
    ("submission.requested", "", "we asked, or were asked, to send"),
    ("submission.accepted", "A.1", "the provider took charge of the message"),
    ("submission.rejected", "A.2", "the provider refused the message"),
    ("submission.cancelled", "", "the sender withdrew it before it left"),
    ("dispatch.attempted", "", "our call to the provider was made"),
    ("dispatch.answered", "", "the provider answered our call, or it did not come about"),
    ("dispatch.unclear", "", "the call may or may not have been accepted"),
    ("dispatch.resolved", "", "it became known what became of an unclear call"),
    ("recipients.declared", "", "recipients of a message, at most 400 an event"),
    ("batch.opened", "", "a batch of messages was heard of for the first time"),
    # --- relay between providers, carriers, networks
    ("relay.accepted", "B.1", "the next provider or the carrier took it"),
    ("relay.rejected", "B.2", "the next provider or the network refused it"),
    ("relay.delayed", "", "not yet; a warning, a queue or a retry"),
    ("relay.failed", "B.3", "the time limit for delivery ran out"),
    ("production.advanced", "", "rendered, printed, transferred: work at the producer"),
    # --- notice to the recipient
    ("notice.issued", "C.1", "the recipient was told something waits"),
    ("notice.failed", "C.2", "the notice could not be given"),
    ("consignment.accepted", "C.3", "the recipient accepted or signed for it"),
    ("consignment.rejected", "C.4", "the recipient refused it"),
    ("acceptance.expired", "C.5", "the recipient neither accepted nor refused in time"),
    # --- content
    ("content.consigned", "D.1", "it reached the recipient's mailbox, address or device"),
    ("content.consignment_failed", "D.2", "it could not be delivered"),
    ("content.accessed", "D.6", "the recipient opened it"),
    ("content.handed_over", "E.1", "the recipient fetched it"),
    ("content.handover_failed", "E.2", "the recipient tried to fetch it and could not"),
    ("content.returned", "", "it came back to the sender"),
    # --- outside the registered world
    ("nonerds.relayed", "F.1", "it left for an unregistered channel"),
    ("nonerds.relay_failed", "F.2", "the unregistered channel failed"),
    ("channel.switched", "", "another channel took over"),
    ("channel.unmapped", "", "a provider word that our tables do not know"),
    # --- incoming
    ("inbound.received", "F.3", "something arrived for us"),
    ("inbound.fetched", "", "we fetched it from the provider"),
    ("inbound.reset", "", "it was marked as new again"),
    # --- people and documents
    ("recipient.identified", "", "the recipient proved who they are"),
    ("document.signed", "", "one signer signed"),
    ("document.signature_declined", "", "one signer declined"),
    ("document.signing_completed", "", "all signers signed"),
    ("acknowledgement.requested", "", "a receipt was asked for"),
    ("acknowledgement.reminded", "", "a receipt was asked for again"),
    ("acknowledgement.received", "", "the recipient gave a receipt"),
    # --- corrections and settlements
    ("provider.corrected", "", "the provider takes back what it said"),
    ("streams.joined", "", "two streams tell one story"),
    ("streams.parted", "", "a joining was wrong"),
    ("reference.conflict", "", "a second claim on a name that belongs to one message"),
    ("observation.reread", "", "newer tables read stored bytes differently"),
    ("dispute.resolved", "", "a person settled a contradiction"),
    ("message.linked", "", "replaces, follows or reminds another message, or belongs to a batch"),
    ("message.labelled", "", "a label was put on a message"),
    # --- time
    ("deadline.warned", "", "a deadline is near"),
    ("deadline.passed", "", "a deadline passed without the awaited fact"),
    ("clock.jumped", "", "our clock moved against the log"),
    # --- evidence
    ("evidence.ingested", "", "another original of a known fact, or bytes nobody could read"),
    ("evidence.verified", "", "a signature on an original was checked"),
    ("evidence.timestamped", "", "a time-stamp authority saw it"),
    ("evidence.exported", "", "evidence left the ledger"),
    ("evidence.erased", "", "keys and values of a person were destroyed"),
    ("erasure.completed", "", "an erasure was carried out: what was destroyed, and what remains"),
    ("recipient.protected", "", "the identity of a recipient is protected"),
    ("recipient.unprotected", "", "the identity of a recipient is no longer protected"),
    ("access.recorded", "", "who looked at what"),
    ("access.granted", "", "an API key was made"),
    ("access.revoked", "", "an API key was ended, or its end was set"),
    ("report.delivered", "", "a report went out"),
    ("report.failed", "", "a report could not be made or did not arrive"),
    ("report.scheduled", "", "a scheduled report was made, changed or ended"),
    ("query.saved", "", "a saved query was made, changed or ended"),
    ("sample.asked", "", "somebody asked for an audit sample"),
    ("sample.drawn", "", "an audit sample was drawn"),
    # --- provider and account
    ("provider_content.deleted", "", "content was deleted at the provider"),
    ("provider.down", "", "a provider did not work"),
    ("provider.up", "", "a provider works again"),
    ("vocabulary.new", "", "a provider used a word for the first time"),
    ("reconciliation.completed", "", "our list and the provider's were compared"),
    ("account.added", "", "an account was opened"),
    ("account.disabled", "", "an account was closed"),
    ("account.setting_changed", "", "a setting of an account changed"),
    ("account.key_added", "", "a webhook key or credential was added"),
    ("account.key_retired", "", "a webhook key or credential was taken away"),
    ("webhook.received", "", "webhooks that failed verification, counted by the hour"),
    ("webhook.admitted", "", "a quarantined webhook verified under a key that came later"),
    ("poll.answered", "", "a poll that found nothing new, counted"),
    # --- lanes (what waits for a person)
    ("lane.opened", "", "something waits for a person"),
    ("lane.retried", "", "a waiting item was tried again"),
    ("lane.claimed", "", "a person said which message a waiting item belongs to"),
    ("lane.unclaimed", "", "a claim was wrong; the item waits again"),
    ("lane.dismissed", "", "a person said a waiting item needs nothing"),
    # --- the ledger itself
    ("key.added", "", "a key of the ledger came into use"),
    ("key.retired", "", "a key of the ledger went out of use"),
    ("key.revoked", "", "a key of the ledger is no longer trusted"),
    ("operation.asked", "", "somebody had work done by hand: a job, a check, a repair"),
    ("act.asked", "", "somebody asked for an act that may need a second person"),
    ("act.approved", "", "a second person agreed to an act"),
    ("act.declined", "", "an act was declined or withdrawn"),
    ("hold.placed", "", "a legal hold"),
    ("hold.released", "", "a legal hold ended"),
    ("retention.applied", "", "what was due was removed"),
    ("ruleset.changed", "", "other fold rules came into force"),
    ("log.succeeded", "", "this log follows a lost one"),
    ("ledger.checked", "", "the verdict of a full check"),
)

TYPES: dict[str, EventType] = {row[0]: EventType(*row) for row in _ROWS}
