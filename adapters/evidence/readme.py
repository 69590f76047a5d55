"""README.txt of a pack: what it is, what it proves, what it does not, and how to check it without our software."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

from adapters.evidence.originals import WITHHELD, Original
from ledger.checkpoints import Checkpoint
from ledger.notes import NoteKey

TEXT = """\
Evidence of one message from a delivery ledger
==============================================

message      {message}
recipients   {recipients}
log          {origin}, {size} events, root {root}
log key      {keys}

A delivery ledger records what happened to messages sent by registered e-mail, certified mail, post, SMS and fax: every fact as an
event in an append-only log, with the provider's original bytes beside it. This file holds the events of one message.


What is proven
--------------
- Each event in events/ stood in the log, unaltered, when the log had {size} events (proofs/, RFC 6962). The head of the log in
  log/checkpoint is signed by the log's key.
- Each value in disclosures.json is exactly what its event was recorded with. What is not shown there is withheld or erased; its
  commitment in the event stays.
- Each original in receipts/ and webhooks/ is, byte for byte, what was recorded.
- In each stream of this message no event is missing up to the versions named in trail.json.

What is not proven
------------------
- That a provider told the truth. What a provider did not sign is its word, and the ledger's that it said so.
- Times without a time-stamp of an independent authority (.tst) rest on the clocks of the provider and of the ledger's keeper.
- That nothing followed after those versions is only signed by the keeper (log/trail-head). Ask for a later pack when in doubt.
- Who keeps this ledger. The keys, policy and root certificates in this file are copies: whoever makes up a whole ledger can make
  up such a file. Get the log's key, or a checkpoint, from elsewhere, or compare this fingerprint of the log's key by another way:
{fingerprints}
- {seal}
{left_out}

How to check it
---------------
With Python 3.9 or later and the log's key from elsewhere:

    python3 verify.py --log-key 'KEY'

It ends with 0 when your key vouches for all, with 1 when something is broken, and with 3 when the pack is only consistent in itself.
verify.py, too, comes from whoever gave you this pack; the same file is published with the software, and these commands use none of it:

    sha256sum -c SHA256SUMS
    openssl cms -verify -cades -binary -inform DER -in META-INF/signature001.p7s -content META-INF/ASiCManifest001.xml \\
        -CAfile trust/seal-root.pem -purpose any -out /dev/null
    openssl ts -verify -data log/checkpoint -token_in -in log/checkpoint.tst -CAfile trust/tsa-root.pem -attime GENTIME
    openssl cms -verify -in receipts/RECEIPT.eml -inform SMIME -CAfile /etc/ssl/certs/ca-certificates.crt -purpose smimesign \\
        -attime TIME -out /dev/null
    pdfsig report.pdf

Any verifier of C2SP tlog-proof files checks events/0001.json with proofs/0001.tlog-proof under the log's key. A value opens its
commitment when HMAC-SHA-256(salt, "delivery-ledger/1" 0x00 event id, field path, 0x00, canonical JSON of the value) equals it.
"""

SEALED = "How much the seal is worth. {worth} It covers every file here, but says nothing about the log."
UNSEALED = "Anything about this text: the pack carries no seal, so nothing but SHA256SUMS covers it."
COLUMNS = 130


def readme(
    message: str,
    trail_recipients: str,
    head: Checkpoint,
    keys: Sequence[NoteKey],
    originals: Sequence[Original],
    *,
    worth: str,
) -> bytes:
    """The text for one pack.

    Args:
        worth: what the seal is worth; "" without one.
    """
    withheld: Mapping[str, int] = {w: sum(o.withheld == w for o in originals) for w in WITHHELD}
    left = [f"- {count} originals were left out: {WITHHELD[why]}." for why, count in withheld.items() if count]
    note = [
        "- The statements of events whose original was left out rest on the keeper's word for what it said; artifacts.json lists them."
    ]
    return TEXT.format(
        message=message,
        recipients=trail_recipients,
        origin=head.origin,
        size=head.size,
        root=head.root.hex(),
        keys="\n             ".join(key.vkey() for key in keys),
        fingerprints="\n".join(f"      {key.fingerprint()}" for key in keys),
        seal=fill(SEALED.format(worth=worth) if worth else UNSEALED, COLUMNS, subsequent_indent="  "),
        left_out="\n".join([*left, *(note if left else [])]),
    ).encode()
