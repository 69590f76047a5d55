"""The contract that every provider folder keeps: one set of rules, run over all samples of all folders."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.providers import registry
from ledger.observations import Observation, UnreadableError, Verdict
from ledger.types import TYPES
from tests.providers import samples

CASES = samples.cases()
WORD_LISTS = samples.cases(".words")
SIGNED = [c for c in CASES if samples.keys(c)]
PROVIDERS = sorted(registry())
READABLE = [c for c in CASES if not json.loads((c / "expected.json").read_bytes()).get("unreadable")]


def read(case: Path, body: bytes | None = None) -> tuple[Observation, ...]:
    return registry()[samples.provider_of(case)].parse(samples.arrival(case, body=body))


def expected(case: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((case / "expected.json").read_bytes())
    return loaded


@pytest.mark.parametrize("case", CASES, ids=samples.case_id)
def test_sample_parses_to_what_a_person_wrote_down(case: Path) -> None:
    """Each sample gives exactly the observations of its expected.json, and each value names an existing source line."""

    def check(where: str) -> None:
        name, _, line = where.rpartition(":")
        path = case / name if (case / name).exists() else case.parents[1] / name
        text = path.read_bytes().decode("utf-8", "replace").splitlines()
        assert 1 <= int(line) <= len(text), f"{where}: {path} has {len(text)} lines"
        assert text[int(line) - 1].strip(), f"{where}: that line is empty"

    want = expected(case)
    if want.get("unreadable"):
        with pytest.raises(UnreadableError):
            read(case)
    elif "observations" in want:
        assert samples.unwrap(want["observations"], check) == [samples.plain(o) for o in read(case)]
    else:
        assert want == {"refused": True}


@pytest.mark.parametrize("case", CASES, ids=samples.case_id)
def test_sample_names_its_origin(case: Path) -> None:
    """Every sample says who wrote it and from which source."""
    assert len((case / "ORIGIN").read_text().strip()) > 20


@pytest.mark.parametrize("case", READABLE, ids=samples.case_id)
def test_same_sample_twice_gives_the_same_identities(case: Path) -> None:
    """Reading is pure: the same bytes give equal observations, so a repetition can be recognised."""
    assert read(case) == read(case)


@pytest.mark.parametrize("case", READABLE + WORD_LISTS, ids=samples.case_id)
def test_every_observation_is_in_our_words(case: Path) -> None:
    """Types, codes, reasons and notes come from the tables; every time is aware UTC with its original beside it."""
    provider = registry()[samples.provider_of(case)]
    for seen in read(case):
        assert seen.type in TYPES
        assert seen.about in {"message", "recipient", "batch", "account"}
        assert not seen.code or seen.code in provider.words()
        assert not seen.reason or seen.reason in provider.words()
        assert set(seen.notes) <= set(provider.notes)
        if seen.occurred is not None:
            assert seen.occurred.at.utcoffset() == timedelta(0)
            assert seen.occurred.original


@pytest.mark.parametrize("case", SIGNED, ids=samples.case_id)
def test_signed_sample_verifies_and_a_flipped_byte_does_not(case: Path) -> None:
    """Where the provider signs: the sample passes; one flipped byte, a missing signature, another secret do not."""
    provider = registry()[samples.provider_of(case)]
    assert provider.verify is not None
    arrival, keys = samples.arrival(case), samples.keys(case)
    now = arrival.observed_at
    wanted = Verdict.REFUSED if expected(case).get("refused") else Verdict.VERIFIED
    assert wanted == provider.verify(arrival, keys, now).verdict
    for index in range(len(arrival.body)):
        body = bytearray(arrival.body)
        body[index] ^= 1
        flipped = dataclasses.replace(arrival, body=bytes(body))
        assert Verdict.REFUSED == provider.verify(flipped, keys, now).verdict
    unsigned = dataclasses.replace(arrival, headers={})
    assert Verdict.REFUSED == provider.verify(unsigned, keys, now).verdict
    other = dict.fromkeys(keys, b"another secret")
    assert Verdict.REFUSED == provider.verify(arrival, other, now).verdict
    assert Verdict.REFUSED == provider.verify(arrival, {}, now).verdict


@pytest.mark.parametrize("name", PROVIDERS)
def test_provider_says_what_is_relied_on_where_it_does_not_sign(name: str) -> None:
    """A provider signs the operations it names, or says in words what is relied on instead."""
    provider = registry()[name]
    assert (provider.verify is not None) == bool(provider.signed_operations)
    assert len(provider.relied_on) > 20
    assert provider.signed_operations <= {o.name for o in provider.operations}


@pytest.mark.parametrize("name", PROVIDERS)
def test_provider_has_at_least_four_samples_and_one_per_used_operation(name: str) -> None:
    """Every operation that parse() reads is shown by a sample of our own making."""
    mine = [c for c in CASES if samples.provider_of(c) == name]
    assert len(mine) >= 4
    used = {o.name for o in registry()[name].operations if o.use == "used"}
    assert used == used & {samples.arrival(c).operation for c in mine + WORD_LISTS if samples.provider_of(c) == name}


@pytest.mark.parametrize("case", WORD_LISTS, ids=samples.case_id)
def test_word_list_reads_each_word_as_written_down(case: Path) -> None:
    """Each word of a list, put into its template, gives the type and reason that a person wrote beside it."""
    template = (case / "body.raw").read_bytes()
    for line in (case / "words.tsv").read_text().splitlines():
        word, kind, reason = line.split("\t")
        seen = [
            o for o in read(case, template.replace(b"{{word}}", word.encode())) if o.code == word or o.reason == reason
        ]
        assert [(kind, reason)] == sorted({(o.type, o.reason) for o in seen}), word


@pytest.mark.parametrize("case", WORD_LISTS, ids=samples.case_id)
def test_unknown_word_is_kept_and_never_refused(case: Path) -> None:
    """A word no table knows becomes channel.unmapped (or loses only its reason) and stands in the texts as it was written."""
    template = (case / "body.raw").read_bytes()
    word = "zz77"
    seen = read(case, template.replace(b"{{word}}", word.encode()))
    assert seen
    assert all(word not in (o.code, o.reason) for o in seen)
    assert any(word in o.texts.values() for o in seen)


def test_every_mapped_word_is_exercised() -> None:
    """A word that no sample and no word list exercises is a word nobody ever read."""
    exercised: set[tuple[str, str]] = set()
    for case in READABLE:
        for seen in read(case):
            exercised |= {(samples.provider_of(case), seen.code), (samples.provider_of(case), seen.reason)}
    for case in WORD_LISTS:
        for line in (case / "words.tsv").read_text().splitlines():
            exercised.add((samples.provider_of(case), line.split("\t")[0]))
    missing = [row for row in samples.vocabulary() if (row[0], row[2]) not in exercised]
    assert missing == []


def test_stale_signature_is_refused() -> None:
    """Where a provider signs a time-stamp, a webhook from long ago does not pass."""
    checked = 0
    for case in SIGNED:
        arrival, keys = samples.arrival(case), samples.keys(case)
        verify = registry()[samples.provider_of(case)].verify
        if verify is not None and any("timestamp" in h for h in arrival.headers):
            late = datetime.fromisoformat("2099-01-01T00:00:00+00:00")
            assert Verdict.REFUSED == verify(arrival, keys, late).verdict
            checked += 1
    assert checked >= 1
