"""The container of a pack: a zip file whose bytes depend on nothing but its members.

Nothing is compressed: deflate gives other bytes with another zlib, and a pack must give the same bytes in ten years.
Source: EN 319 162-1 (ASiC-E) wants `mimetype` first.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

MIME_TYPE = b"application/vnd.etsi.asic-e+zip"
TIME = (1980, 1, 1, 0, 0, 0)
REGULAR_FILE = 0o100644 << 16
UNIX = 3


def write(members: Mapping[str, bytes]) -> bytes:
    """A zip file of the members, `mimetype` first and the others by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(members, key=lambda each: (each != "mimetype", each)):
            info = zipfile.ZipInfo(name, TIME)
            info.create_system, info.external_attr = UNIX, REGULAR_FILE
            archive.writestr(info, members[name], zipfile.ZIP_STORED)
    return buffer.getvalue()


def sums(members: Mapping[str, bytes]) -> bytes:
    """SHA256SUMS as `sha256sum -c` reads it: of every member but META-INF and itself."""
    listed = sorted(name for name in members if name != "SHA256SUMS" and not name.startswith("META-INF/"))
    return "".join(f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in listed).encode()
