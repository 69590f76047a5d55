"""What stories are explained as, read from `explaining/<language>.txt`: `# story`, then a paragraph for each of its deliveries."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "explaining"


@cache
def _stories(language: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in (FOLDER / f"{language}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            name = line.removeprefix("# ")
        elif line:
            found.setdefault(name, []).append(line)
    return found


CHOSEN = frozenset(_stories("en"))
"""Stories that are explained there; the same in every language."""


def golden(language: str, story: str) -> list[str]:
    """The paragraphs of a story, sorted."""
    return sorted(_stories(language)[story])
