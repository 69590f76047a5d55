"""The words of reports: tables in `template/LANGUAGE.toml`, and the notes that lie beside a report.

A query or column that has no words in a language yet is shown in English and says so.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.compliance.contract import Header
from adapters.evidence.texts import Texts, tables
from adapters.reports.contract import Format, Language
from adapters.reports.csv_ import MARKED

FOLDER = Path(__file__).parent / "template"
LANGUAGES: tuple[Language, ...] = ("en", "it", "nl", "sv")

_UNSHOWN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_WIDTH = 100


def texts(language: Language) -> Texts:
    """All tables of a language."""
    return tables(FOLDER, language)


def title(language: Language, header: Header) -> str:
    """What the query answers, in a few words."""
    return _said(language, "query", header, header.title)


def counts(language: Language, header: Header) -> str:
    """What exactly is counted."""
    return _said(language, "counts", header, header.counts)


def _said(language: Language, table: str, header: Header, english: str) -> str:
    """The words for this version of the query; English ones are its own."""
    words = texts(language)
    return english if language == "en" else words[table].get(header.query, f"{english} [{words['label']['english']}]")


def column_title(language: Language, name: str) -> str:
    """The title of a column; its name in data where there is none."""
    return texts(language)["column"].get(name, name)


def facts(language: Language, header: Header, rows: int) -> list[tuple[str, str]]:
    """What an answer is: (name, value) lines, the title first."""
    label = texts(language)["label"]
    parameters = "; ".join(f"{name}: {value}" for name, value in _given(header.parameters))
    said = {
        "query": f"{title(language, header)} ({header.query})",
        "counts": counts(language, header),
        "organisation": header.tenant,
        "parameters": parameters or label["all"],
        "asked_at": f"{header.asked_at[:19].replace('T', ' ')} UTC",
        "position": str(header.position),
        "root": header.root,
        "rules": ", ".join(header.rules),
        "rows": str(rows) if rows else label["none"],
    }
    return [(label[name], value) for name, value in said.items()]


def _given(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parameters that leave something out."""
    as_text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return [(name, value) for name, value in as_text.items() if value]


def visible(text: str) -> str:
    """Text for people: control characters, and those that turn its direction round, are shown as what they are."""
    return _UNSHOWN.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def readme(language: Language, form: Format, header: Header, rows: int) -> str:
    """What the files beside it are, how to check them, what that shows and what not."""
    said, label = texts(language)["readme"], texts(language)["label"]
    personal = [each.name for each in header.columns if each.personal]
    files = {
        f"report.{form}": said[f"report_{form}"],
        "header.json": said["header"],
        "manifest": said["manifest"],
        "checkpoint": said["checkpoint"],
        "verify.py": said["verifier"],
    }
    about = [(name, value) for name, value in facts(language, header, rows) if name != label["parameters"]]
    parts = [
        said["what"],
        "\n".join(f"{name}: {value}" for name, value in about),
        f"{said['files']}\n" + "\n".join(f"  {name:<13} {text}" for name, text in files.items()),
        said["personal"].format(columns=", ".join(personal)) if personal else "",
        said["csv"].format(pattern=ascii(MARKED.pattern)) if form == "csv" else "",
        f"{said['check']}\n    python3 verify.py --log-key KEY\n{said['check_how']}",
        f"{said['proven']}\n{said['proven_how'].format(position=header.position)}",
        f"{said['not_proven']}\n{said['not_proven_how']}\n    delivery-ledger report make {header.query}",
    ]
    return "\n\n".join(_wrapped(part) for part in parts if part) + "\n"


def _wrapped(part: str) -> str:
    return "\n".join(
        line if line.startswith(" ") else textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in part.split("\n")
    )
