"""The words of reports: the same in every language, for every query and column there is."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any

import pytest

from adapters.compliance.registry import QUERIES
from adapters.reports import texts
from adapters.reports.contract import Format
from tests.reports.answers import header

in_each_language = pytest.mark.parametrize("language", texts.LANGUAGES)


@in_each_language
def test_languages_say_the_same_things(language: Any) -> None:
    """Each table has the same keys in each language, and each text the same places for values; English has a query's own words."""
    english, own = texts.texts("en"), texts.texts(language)
    assert all(text for words in own.values() for text in words.values())
    assert set(english) == set(own) - {"query", "counts"}
    for table, words in english.items():
        assert set(words) == set(own[table])
        assert {name: _places(text) for name, text in words.items()} == {n: _places(t) for n, t in own[table].items()}


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@in_each_language
def test_every_column_has_a_title(language: Any) -> None:
    """The missing ones and those of no column are listed; until it has one, a column is shown by its name."""
    columns = {column.name for query in QUERIES.values() for column in query.columns}
    assert (set(), set()) == _differences(columns, texts.texts(language)["column"])


@pytest.mark.parametrize("language", ["it", "nl", "sv"])
@pytest.mark.parametrize("table", ["query", "counts"])
def test_every_version_of_a_query_has_words(language: Any, table: str) -> None:
    """Title and what is counted; a new version counts something else and needs new words. The missing ones are listed."""
    assert (set(), set()) == _differences({query.id for query in QUERIES.values()}, texts.texts(language)[table])


def _differences(wanted: set[str], held: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """What has no words, and words for what is not there."""
    return wanted - set(held), set(held) - wanted


@pytest.mark.parametrize("language", ["it", "nl", "sv"])
def test_what_has_no_words_yet_is_shown_in_english_and_says_so(language: Any) -> None:
    """A query or a column that is newer than the words."""
    note = texts.texts(language)["label"]["english"]
    assert f"An answer made up [{note}]" == texts.title(language, header())
    assert f"Nothing is counted. [{note}]" == texts.counts(language, header())
    assert "a_text" == texts.column_title(language, "a_text")
    assert "An answer made up" == texts.title("en", header())


@in_each_language
@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx", "pdf"])
def test_notes_say_what_is_there_and_how_to_check_it(language: Any, form: Format) -> None:
    """Files, question, proof and its limits, in lines that a terminal shows; parameters, which may name people, stay out."""
    told = texts.readme(language, form, header(), 3)
    for wanted in (
        f"report.{form}",
        "header.json",
        "verify.py --log-key KEY",
        "report make made_up/1",
        "a_text",
        "acme",
    ):
        assert wanted in told
    assert "2026-01-01" not in told
    assert {True} == {len(line) <= 100 for line in told.splitlines() if not line.startswith(" ")}
    assert ("re.sub(" in told) == (form == "csv")
