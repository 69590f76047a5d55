"""The receipt of a registered letter (`kb`), which the carrier mails to `consignor_contact`: bytes in, one fact out.

Nobody publishes its form, and it may be a mail, a PDF or a picture; all that joins it to its letter is the parcel number. So the bytes
are evidence as they are, and only the number is looked for, in the file name and in what of the bytes is text.
"""

from __future__ import annotations

import re

from ledger.observations import Arrival, Observation, Reference, UnreadableError

_NUMBER = re.compile(rb"(?<![A-Z0-9])[A-Z]{2}[ ]?\d{8}[ ]?\d[ ]?[A-Z]{2}(?![A-Z0-9])")
_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)


def read(arrival: Arrival) -> tuple[Observation]:
    """The acknowledgement of the one letter whose number the receipt holds.

    Raises:
        UnreadableError: it holds none, or several.
    """
    written = arrival.name.encode("utf-8", "replace") + b"\n" + arrival.body
    numbers = {found.replace(b" ", b"").decode() for found in _NUMBER.findall(written)}
    good = {number for number in numbers if is_parcel_number(number)}
    if len(good) != 1:
        msg = f"a receipt with {len(good)} parcel numbers; it must have one, and may have it in its file name"
        raise UnreadableError(msg)
    (number,) = good
    acknowledged = Observation(
        type="acknowledgement.received",
        references=(Reference("parcel_no", number),),
        code="kb_receipt",
        identity=("receipt", number),
    )
    return (acknowledged,)


def is_parcel_number(number: str) -> bool:
    """Whether the check digit of a number of UPU standard S10 (`RR123456785SE`) is right."""
    digits = [int(digit) for digit in number[2:11]]
    rest = 11 - sum(w * d for w, d in zip(_WEIGHTS, digits[:8], strict=True)) % 11
    return digits[8] == {10: 0, 11: 5}.get(rest, rest)
