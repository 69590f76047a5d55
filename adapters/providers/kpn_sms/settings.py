"""What an account needs so that KPN's webhooks can be checked. The secrets come from files or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TIMESTAMP_TOLERANCE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one account.

    Attributes:
        webhook_secrets: by KPN's key id (`wk_…`); during a rotation two or more are valid at once.
        timestamp_tolerance_s: how far KPN's clock and ours may be apart.
    """

    webhook_secrets: Mapping[str, bytes] = field(repr=False)
    timestamp_tolerance_s: int = TIMESTAMP_TOLERANCE_S
