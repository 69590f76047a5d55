"""Whom an original names: an original cannot be redacted, so one that names a withheld person stays out of a pack.

Looks at text, at what mail parts and base64 hide, and at spellings of telephone numbers. It errs towards leaving out: what cannot be
searched, or names an address that is neither a chosen recipient's nor known as a sender or reference, counts as naming somebody. A
person who is named by something else than an address is not found.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ledger.addresses import normal
from ledger.observations import Address
from projections.naming import HEADER, Needles, UnsearchableError, decoded, digits_of, fold, spelled, texts

__all__ = ["People", "UnsearchableError", "emails_in", "fold", "senders_of", "texts"]

_SENDERS = ("From", "Sender", "Reply-To", "Return-Path")
EMAIL = re.compile(r"(?<![\w.+~-])[\w.+~-][\w.+'~-]{0,63}@[\w-]{1,63}(?:\.[\w-]{1,63})+")  # linear in hostile text


@dataclass(frozen=True, slots=True)
class People:
    """Who may be seen and who may not.

    Attributes:
        shown: normal forms of the addresses that may be seen.
        hidden: addresses that must not be.
        known: e-mail addresses that name no recipient: senders, providers, message ids.
        is_strict: somebody was left out, so an address that nobody knows counts as theirs.
    """

    shown: frozenset[str]
    hidden: tuple[Address, ...]
    known: frozenset[str]
    is_strict: bool

    def may_see(self, address: Address) -> bool:
        return normal(address) in self.shown

    def names_hidden(self, texts: Iterable[str], senders: frozenset[str] = frozenset()) -> bool:
        """Whether a text names somebody who must not be seen.

        Args:
            senders: addresses that sent these texts, and so name no recipient unless they are hidden.
        """
        wanted = Needles(
            frozenset(word for address in self.hidden for word in spelled(address)),
            frozenset(map(digits_of, self.hidden)) - {""},
        )
        for text in texts:
            if wanted.are_in([text]):
                return True
            if self.is_strict and any(not self._is_known(found) for found in set(EMAIL.findall(fold(text))) - senders):
                return True
        return False

    def _is_known(self, found: str) -> bool:
        return found in self.known or normal(Address("email", found)) in self.shown | self.known


def emails_in(values: Iterable[Any]) -> frozenset[str]:
    """Every e-mail address (and message id) in some values."""
    return frozenset(found for value in values for found in EMAIL.findall(fold(str(value))))


def senders_of(body: bytes) -> frozenset[str]:
    """The addresses that a mail says it comes from; none for other bytes."""
    if not HEADER.match(body[:200_000]):
        return frozenset()
    message = email.message_from_bytes(body, policy=email.policy.compat32)
    return emails_in(decoded(value) for name in _SENDERS for value in message.get_all(name, ()))
