"""Aangetekend Mailen's words, in ours.

Exactly one status code is attested: 95, in the schemas that KPN's OpenAPI still carries for an operation it no longer
publishes. Every other code is kept as unknown until a real document shows it; none is guessed here. A description is read where it says
by itself what happened; the steps are those of the product's questions and answers, the wording is assumed.
"""

from __future__ import annotations

from adapters.providers.contract import Word

STATUS: tuple[Word, ...] = (
    Word("95", "notice.issued", "a reminder was sent to the recipient", "R", note="repeats the first notice"),
)
"""By statuscode."""

ACCEPTED = "consignment.accepted"
SIGN_FIRST = "content.accessed"
"""What acceptance means while the recipient has yet to sign: a step. Else the ledger would stop asking, and a declined signature would
contradict what was accepted."""

DESCRIPTION: tuple[Word, ...] = (
    Word(
        "Herinnering aangetekende mail verstuurd",
        "notice.issued",
        "a reminder was sent to the recipient",
        "A",
        note="the text is attested beside 95; that it means the same beside another code, or none, is assumed",
    ),
    Word("Aankondiging aangetekende mail verstuurd", "notice.issued", "the announcement was sent", "A"),
    Word("Aankondiging aangetekende mail niet afgeleverd", "notice.failed", "the announcement came back", "A"),
    Word("Aangetekende mail geaccepteerd", ACCEPTED, "the recipient took it", "A", note="see SIGN_FIRST"),
    Word("Aangetekende mail geweigerd", "consignment.rejected", "the recipient refused it", "A"),
    Word("Aangetekende mail verlopen", "acceptance.expired", "the recipient did not react in time", "A"),
    Word("Aangetekende mail afgeleverd", "content.consigned", "the mail itself reached the recipient's mailbox", "A"),
    Word("Aangetekende mail niet afgeleverd", "content.consignment_failed", "the mail itself came back", "A"),
    Word("Aangetekende mail ondertekend", "document.signing_completed", "the recipient signed digitally", "A"),
    Word("Ondertekening aangetekende mail geweigerd", "document.signature_declined", "will not sign", "A"),
)
"""By statusomschrijving, where the code says nothing, and by the beginning of a delivery e-mail's subject."""

_BY_TEXT = {row.word.casefold(): row for row in DESCRIPTION}


def description(words: str) -> Word | None:
    """The row of a description, whatever its case and spaces."""
    return _BY_TEXT.get(" ".join(words.split()).casefold())


ATTACHMENT: tuple[Word, ...] = (
    Word("1", "content.accessed", "the recipient accepted this attachment", "R", note="meaning taken from the name"),
    Word("0", "", "not accepted so far", "A"),
)
"""By geaccepteerd of an attachment. It comes without a time."""
