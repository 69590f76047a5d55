"""The words of the report in each language: tables beside the template, one file a language.

What stands in no table is said in a documented way: an event type or rule of a later version by its English meaning, or by its
name; a provider's words never are translated.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from ledger.types import TYPES
from projections.rules import RULE_TEXTS

FOLDER = Path(__file__).parent / "template"
LANGUAGES = ("en", "it", "nl", "sv")

Texts = dict[str, dict[str, str]]


@cache
def texts(language: str) -> Texts:
    """All tables of a language.

    Raises:
        ValueError: no such language.
    """
    if language not in LANGUAGES:
        msg = f"language {language!r}: there are {', '.join(LANGUAGES)}"
        raise ValueError(msg)
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


def event_type(language: str, name: str) -> str:
    """What a type of event says, in one sentence."""
    tables = texts(language)
    known = TYPES.get(name)
    return tables["type"].get(name) or (known.meaning if known else tables["label"]["unknown_type"])


def rule(language: str, name: str) -> str:
    """What a rule of the status fold says."""
    return texts(language)["rule"].get(name) or RULE_TEXTS.get(name, name)
