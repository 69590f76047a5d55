"""What reading Ekopost's arrivals needs to be told; nothing about calling Ekopost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one Ekopost account.

    Attributes:
        webhook_secrets: name -> secret of the webhook; while one is replaced, both stand here.

    Raises:
        ValueError: a secret is empty; anybody could sign with it.
    """

    webhook_secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse empty secrets."""
        for name, secret in self.webhook_secrets.items():
            if not secret:
                msg = f"webhook_secrets.{name} is empty: put the secret of the webhook there, or remove the line"
                raise ValueError(msg)
