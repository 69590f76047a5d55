"""The words of the report: tables beside the template, one file a language; and words from outside made harmless.

What stands in no table is said in a documented way: an event type or rule of a later version by its English meaning, or by its name.
A provider's words are never translated.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path

import msgspec

from ledger.types import TYPES
from projections.rules import RULE_TEXTS

FOLDER = Path(__file__).parent / "template"
LANGUAGES = ("en", "it", "nl", "sv")

Texts = dict[str, dict[str, str]]

MAX_CHARACTERS = 1_000
"""How much is shown of one text from outside; what is cut is said, and stands in the pack."""


@cache
def tables(folder: Path, language: str) -> Texts:
    """All tables of words of a language, from the folder in which each language has its file.

    Raises:
        ValueError: no such language.
    """
    if language not in LANGUAGES:
        msg = f"language {language!r}: there are {', '.join(LANGUAGES)}"
        raise ValueError(msg)
    return tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))


def texts(language: str) -> Texts:
    """The tables of the report; see `tables`."""
    return tables(FOLDER, language)


def event_type(language: str, name: str) -> str:
    """What a type of event says, in one sentence."""
    said, known = texts(language), TYPES.get(name)
    return said["type"].get(name) or (known.meaning if known else said["label"]["unknown_type"])


def rule(language: str, name: str) -> str:
    """What a rule of the status fold says."""
    return texts(language)["rule"].get(name) or RULE_TEXTS.get(name, name)


# --- what came from outside, as harmless text

_UNSHOWN = re.compile(  # all but what each face of the template's typeface has; a test compiles those
    "[^\u0020-\u007e\u00a1-\u00ac\u00ae-\u0241\u0384-\u038a\u038c\u038e-\u03a1\u03a3-\u03ce\u0400-\u045f\u0490-\u04c4"
    "\u1e00-\u1e9b\u1e9e\u1ea0-\u1ef9\u2010-\u2027\u2030-\u2037\u2039-\u203e\u20ac\u2116\u2122\u2190-\u2193]"
)
_BREAKABLE = re.compile(r"[^ ]{25,}")
_MAX_BREAKS = 500
"""In one text: typst refuses a document with more than 511 of the template's places to break in one paragraph."""


def plain(value: object) -> str:
    """One line of text that can neither disguise itself nor break a line of the report."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    cut = text[:MAX_CHARACTERS]
    shown = _UNSHOWN.sub(_escape, unicodedata.normalize("NFC", re.sub(r"\s+", " ", cut)))
    pieces = _BREAKABLE.sub(lambda word: re.sub(r"(.{12}|[@./_-])(?=.)", "\\1\u200b", word[0]), shown).split("\u200b")
    shown = "\u200b".join(pieces[:_MAX_BREAKS]) + "".join(pieces[_MAX_BREAKS:])
    return shown + (f" … [+{len(text) - len(cut)}]" if len(text) > len(cut) else "")


def _escape(character: re.Match[str]) -> str:
    return f"[U+{ord(character[0]):04X}]"
