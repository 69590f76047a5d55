"""The words of reports: the same in every language, for every query and column there is."""

from __future__ import annotations

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
    """Each table has the same keys in each language, and each text the same places for values."""
    english, own = texts.texts("en"), texts.texts(language)
    assert {table: set(words) for table, words in english.items()} == {
        table: set(words) for table, words in own.items()
    }
    for table, words in english.items():
        for name, text in words.items():
            assert _places(text) == _places(own[table][name]), (table, name)
    assert all(text for words in own.values() for text in words.values())


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@in_each_language
def test_every_query_and_column_has_words(language: Any) -> None:
    """Title and what is counted, and a title for each column; and there are no words for what is not there."""
    tables = texts.texts(language)
    columns = {column.name for query in QUERIES.values() for column in query.columns}
    assert (set(QUERIES), set(QUERIES)) == (set(tables["query"]), set(tables["counts"]))
    assert columns == set(tables["column"])


def test_english_words_are_those_of_the_query() -> None:
    """What a report says of a query is what the query says of itself."""
    tables = texts.texts("en")
    assert {q.name: (q.title, q.counts) for q in QUERIES.values()} == {
        name: (tables["query"][name], tables["counts"][name]) for name in QUERIES
    }


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
