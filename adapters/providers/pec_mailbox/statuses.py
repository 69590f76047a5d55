"""The words of certified e-mail: RFC 6109 and, where it leaves a gap, one assumption (mark A).

`SUBJECTS` is not used here, because only the XML part of a receipt has a meaning (RFC 6109 section 3.1.4); it serves
providers that show receipts by subject only.
"""

from __future__ import annotations

import re

from adapters.providers.contract import Word

KINDS = (  # postacert@tipo
    Word("accettazione", "submission.accepted", "the sender's provider took charge; lists all recipients", "R"),
    Word("non-accettazione", "submission.rejected", "the sender's provider refused the message", "R"),
    Word("presa-in-carico", "relay.accepted", "the recipient's provider took it", "R",
         note="between providers; a user seldom sees it and must not wait for it"),
    Word("avvenuta-consegna", "content.consigned", "it is in this recipient's mailbox", "R"),
    Word("errore-consegna", "content.consignment_failed", "it was refused for this recipient", "R"),
    Word("preavviso-errore-consegna", "relay.delayed", "not delivered to this recipient in time", "R",
         reason="warning_12h", note="the final notice has the same tipo, header and subject; TIMEOUTS parts the two"),
    Word("rilevazione-virus", "relay.rejected", "the recipient's provider found a virus", "R",
         reason="virus", note="between providers; the sender's provider answers it with errore-consegna"),
    Word("posta-certificata", "inbound.received", "the certified message itself, in its transport envelope", "R",
         reason="certified", note="not a receipt: the recipients it lists are its sender's, not ours to declare"),
)  # fmt: skip

ERRORS = (  # postacert@errore
    Word("nessuno", "", "no error", "R"),
    Word("no-dest", "", "no such recipient", "R", reason="no-dest", retry="never"),
    Word("no-dominio", "", "no such domain", "R", reason="no-dominio", retry="never"),
    Word("virus", "", "a virus was found", "R", reason="virus", retry="person"),
    Word("altro", "", "another error", "R", reason="altro", retry="person",
         note="a missing mailbox is often this, with errore-esteso `5.1.1 - …`"),
)  # fmt: skip

TIMEOUTS = (  # our words for the two notices of RFC 6109 section 3.1.6
    Word("warning_12h", "relay.delayed", "not delivered within 12 hours; it still may be", "R", reason="warning_12h"),
    Word("final_24h", "relay.failed", "not delivered within 24 hours; deemed undelivered", "A", reason="final_24h",
         retry="person", note="told from the warning by FINAL_NOTICE"),
)  # fmt: skip

FINAL_NOTICE = re.compile(r"5\.4\.1(?!\.?\d)")
"""Assumption A: only the final notice's errore-esteso begins with 5.4.1, the permanent status of RFC 3463."""

TRANSPORTS = (  # X-Trasporto, where there is no certification data
    Word("errore", "inbound.received", "ordinary mail in an anomaly envelope, not certified", "R", reason="anomaly"),
)

RECIPIENTS = (  # destinatari@tipo
    Word("certificato", "", "a certified mailbox", "R"),
    Word("esterno", "nonerds.relayed", "ordinary e-mail; no delivery receipt will ever come", "R", reason="esterno"),
)

RECEIPTS = (  # ricevuta@tipo
    Word("completa", "", "delivery receipt with the whole original inside", "R"),
    Word("breve", "", "delivery receipt with SHA-1 digests in place of the original's files", "R"),
    Word("sintetica", "", "delivery receipt with certification data only; copies always get this kind", "R"),
)

LIMITS = (
    Word("30 MB", "", "size of a message that a provider must accept", "R"),
    Word("12 h", "", "without delivery or receiving provider's receipt: the first notice", "R"),
    Word("24 h", "", "without delivery: the final notice, not before 22 h", "R"),
    Word("30 months", "", "how long providers keep their log; they keep no receipts", "R"),
)

SUBJECTS = (  # what stands before ": " in a subject, longest first
    Word("AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO", "relay.delayed", "not delivered in time", "R",
         reason="time_limit", note="warning or final notice: the subject cannot tell, so the lesser is taken"),
    Word("AVVISO DI NON ACCETTAZIONE PER VIRUS", "submission.rejected", "refused, virus", "R", reason="virus"),
    Word("AVVISO DI MANCATA CONSEGNA PER VIRUS", "content.consignment_failed", "not delivered, virus", "R",
         reason="virus"),
    Word("PREAVVISO DI MANCATA CONSEGNA", "relay.delayed", "not delivered in time", "C", reason="time_limit",
         note="in no standard; some clients know it"),
    Word("AVVISO DI MANCATA CONSEGNA", "content.consignment_failed", "not delivered", "R"),
    Word("AVVISO DI NON ACCETTAZIONE", "submission.rejected", "refused, formal error", "R"),
    Word("PROBLEMA DI SICUREZZA", "relay.rejected", "virus found by the recipient's provider", "R", reason="virus"),
    Word("ANOMALIA MESSAGGIO", "inbound.received", "ordinary mail in a wrapper", "R", reason="anomaly"),
    Word("POSTA CERTIFICATA", "inbound.received", "the certified message itself", "R", reason="certified"),
    Word("PRESA IN CARICO", "relay.accepted", "taken by the recipient's provider", "R"),
    Word("ACCETTAZIONE", "submission.accepted", "accepted by the sender's provider", "R"),
    Word("CONSEGNA", "content.consigned", "in one recipient's mailbox", "R"),
)  # fmt: skip

BOUNCES = (  # Action of RFC 3464 section 2.3.3, in ordinary mail: none of them certifies, so none of them is final and good
    Word("failed", "content.consignment_failed", "a mail server reports that it could not deliver", "R",
         reason="ordinary_mail", retry="person"),
    Word("delayed", "relay.delayed", "a mail server reports that it still tries", "R", reason="ordinary_mail"),
    Word("delivered", "nonerds.relayed", "a mail server reports that it delivered", "R", reason="ordinary_mail",
         note="in certified mail only a delivery receipt proves that"),
    Word("relayed", "nonerds.relayed", "passed on to where no reports come from", "R", reason="ordinary_mail"),
    Word("expanded", "nonerds.relayed", "passed on to the members of a list", "R", reason="ordinary_mail"),
)  # fmt: skip


def subject_kind(subject: str) -> Word | None:
    """The row of SUBJECTS whose words, followed by a colon, open this subject."""
    opening = " ".join(subject.split())
    return next((row for row in SUBJECTS if opening.startswith(f"{row.word}:")), None)
