"""Mail into Maildir folders, for mail servers other than the sandbox's own."""

from __future__ import annotations

import os
from pathlib import Path

from adapters.providers.pec_mailbox.sandbox.provider import Listener, Mail


def into(folder: Path) -> Listener:
    """A provider's listener that lays each mail into `<folder>/<address>/new`, whole or not at all."""

    def tell(address: str, mail: Mail) -> None:
        box = folder / address
        for name in ("tmp", "new", "cur"):
            (box / name).mkdir(parents=True, exist_ok=True)
        name = f"{int(mail.at.timestamp())}.N{mail.number}.sandbox"
        (box / "tmp" / name).write_bytes(mail.raw)
        os.utime(box / "tmp" / name, (mail.at.timestamp(),) * 2)
        (box / "tmp" / name).rename(box / "new" / name)

    return tell
