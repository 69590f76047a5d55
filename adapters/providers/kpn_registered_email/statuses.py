"""Aangetekend Mailen's words, in ours.

Exactly one status code is attested: 95, in the schemas that KPN's OpenAPI still carries for an operation it no longer
publishes. Every other code is kept as unknown until a real document shows it; none is guessed here.
"""

from __future__ import annotations

from adapters.providers.contract import Word

STATUS: tuple[Word, ...] = (
    Word("95", "notice.issued", "a reminder was sent to the recipient", "R", note="repeats the first notice"),
)
"""By statuscode."""

DESCRIPTION: tuple[Word, ...] = (
    Word(
        "Herinnering aangetekende mail verstuurd",
        "notice.issued",
        "a reminder was sent to the recipient",
        "A",
        note="the text is attested beside 95; that it means the same beside another code, or none, is assumed",
    ),
)
"""By statusomschrijving, where the code says nothing. Assumptions about further Dutch descriptions belong here."""

ATTACHMENT: tuple[Word, ...] = (
    Word("1", "content.accessed", "the recipient accepted this attachment", "R", note="meaning taken from the name"),
    Word("0", "", "not accepted so far", "A"),
)
"""By geaccepteerd of an attachment. It comes without a time."""
