"""The report: complete in every language, the same bytes each time, unmoved by hostile words, and signed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from string import Formatter

import msgspec
import pytest
import typst

from adapters.evidence import claims, report, seal, texts
from adapters.evidence.originals import ROLES, WITHHELD
from adapters.evidence.report import Story
from adapters.evidence.signing import sign_pdf
from adapters.providers import registry
from ledger.observations import ArrivalKind, Verdict, ZoneBasis
from ledger.types import TYPES
from projections.grades import GRADE_TEXTS, MISSING_TEXTS, NOT_PROVEN_TEXTS, PROVEN_TEXTS, Evidence, Grade, Missing
from projections.rules import MILESTONES, RULE_TEXTS, Status
from tests.evidence.stories import ENTRIES, HOSTILE, LONG_ADDRESS, MESSAGE, STORY, delivery, entry, message

NO_POPPLER = "poppler-utils is not installed"
needs_poppler = pytest.mark.skipif(not shutil.which("pdfsig"), reason=NO_POPPLER)
in_each_language = pytest.mark.parametrize("language", texts.LANGUAGES)


def poppler(tool: str, pdf: bytes, folder: Path, *arguments: str) -> str:
    """What a tool of Poppler says of a PDF."""
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    command = [tool, *arguments, str(path), *(["-"] if tool == "pdftotext" else [])]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def text_of(story: Story, language: str, folder: Path) -> str:
    """All text of a rendered report as a reader copies it, on one line."""
    return " ".join(poppler("pdftotext", report.render(story, language), folder, "-raw").split())


# --- texts


@in_each_language
@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("status", set(Status)),
        ("type", set(TYPES)),
        ("rule", set(RULE_TEXTS)),
        ("milestone", set(MILESTONES)),
        ("evidence_grade", set(GRADE_TEXTS)),
        ("evidence_claim", set(PROVEN_TEXTS)),
        ("evidence_doubt", set(NOT_PROVEN_TEXTS)),
        ("evidence_missing", set(MISSING_TEXTS)),
        ("arrival", set(ArrivalKind)),
        ("verdict", set(Verdict)),
        ("zone", {*ZoneBasis, "observed"}),
        ("withheld", set(WITHHELD)),
        ("role", set(ROLES)),
        ("effect", {"decides", "agrees", "overruled", "set_aside", "unattributed", "shown"}),
    ],
)
def test_every_word_of_ours_has_a_text(language: str, table: str, names: set[str]) -> None:
    """Each status, type, rule, milestone, grade, way, verdict, zone and effect is said in each language, and nothing else is."""
    assert names == set(texts.texts(language)[table])
    assert all(texts.texts(language)[table].values())


@in_each_language
def test_languages_say_the_same_things(language: str) -> None:
    """Each table has the same keys in each language, and each text the same places for numbers."""
    english, own = texts.texts("en"), texts.texts(language)
    assert {t: set(words) for t, words in english.items()} == {t: set(words) for t, words in own.items()}
    for table, words in english.items():
        for name, text in words.items():
            assert _places(text) == _places(own[table][name]), (table, name)


def _places(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


@in_each_language
def test_no_language_only_repeats_english(language: str) -> None:
    """A sentence that was never translated would be the same as in English."""
    tables = ("status", "rule", "type", "proven", "unproven", "evidence_grade", "evidence_claim", "evidence_doubt")
    same = [n for t in tables for n, text in texts.texts(language)[t].items() if text == texts.texts("en")[t][n]]
    assert language == "en" or not same


def test_words_of_providers_are_shown_as_they_are() -> None:
    """Codes and reasons are the provider's own words: they are never translated, and none needs a character we cannot show."""
    words = sorted({word for provider in registry().values() for word in provider.words()})
    assert words
    assert [] == [w for w in words if " ".join(w.split()) != texts.plain(w).replace("\u200b", "")]


def test_what_has_no_text_is_said_in_a_documented_way() -> None:
    """An event type of a later version is named as unknown; a rule of a later version by its id."""
    assert texts.texts("it")["label"]["unknown_type"] == texts.event_type("it", "teleport.completed")
    assert "some.rule" == texts.rule("sv", "some.rule")


@in_each_language
def test_no_text_claims_what_only_a_court_can_say(language: str) -> None:
    """The report never calls anything court-proof or legally valid."""
    text = (texts.FOLDER / f"{language}.toml").read_text(encoding="utf-8").lower()
    forbidden = (
        "court-proof",
        "legally valid",
        "a prova di tribunale",
        "valore legale",
        "rechtsgeldig",
        "rättsligt bindande",
    )
    assert [] == [word for word in forbidden if word in text]
    assert tomllib.loads(text)


def test_unknown_language_is_refused() -> None:
    """A language is one of the tables."""
    with pytest.raises(ValueError, match="there are en, it, nl, sv"):
        report.render(STORY, "../en")


# --- what it tells


@needs_poppler
@in_each_language
def test_report_tells_the_whole_story(language: str, tmp_path: Path) -> None:
    """Status, times with their basis, who said it, what follows, fingerprints, checkpoint, log key and commands are there."""
    found, words = text_of(STORY, language, tmp_path), texts.texts(language)
    expected = [
        *(words["status"][status] for status in ("delivered", "failed", "pending")),
        *(words["type"][each.type] for each in ENTRIES),
        *(words["rule"]["final.positive"], words["zone"]["stated"], words["verdict"]["unsigned"]),
        *("avvenuta-consegna", "02/03/2026 10:12:44 +0100", "2026-03-02 09:13:01.25", "events/0004.json", "ERDS D.1"),
        *("studio@pec.colle.example", LONG_ADDRESS, "ufficio@pec.acme.example", "case 8811"),
        *(d["sha256"] for d in STORY.message.documents),
        *(each.sha256 for each in STORY.originals if each.sha256),
        *(STORY.checkpoint.root.hex(), STORY.log_keys[0].vkey(), STORY.log_keys[0].fingerprint()),
        *(
            "python3 verify.py --log-key KEY",
            "pdfsig report.pdf",
            words["unproven"]["truth"],
            words["proven"]["complete"],
        ),
    ]
    assert [] == [text for text in expected if _bare(text) not in _bare(found)]


def _bare(text: str) -> str:
    """Without spaces: where a line breaks is not what a report says."""
    return re.sub(r"\s+", "", text)


@needs_poppler
@in_each_language
def test_report_says_how_strong_the_evidence_is(language: str, tmp_path: Path) -> None:
    """Beside each status: the grade in words, what is proven, what is not, and what is missing."""
    weighed = Evidence(Grade.E3, tuple(PROVEN_TEXTS), tuple(NOT_PROVEN_TEXTS), tuple(map(Missing, MISSING_TEXTS)))
    weighing = msgspec.structs.replace(STORY.message.deliveries[0], evidence=weighed)
    story = msgspec.structs.replace(STORY, message=message(deliveries=(weighing,)))
    found, words = _bare(text_of(story, language, tmp_path)), texts.texts(language)
    said = [t for table in ("claim", "doubt", "missing") for t in words[f"evidence_{table}"].values()]
    assert [] == [text for text in [f"E3: {words['evidence_grade']['E3']}", *said] if _bare(text) not in found]


def test_claims_follow_from_the_story() -> None:
    """What is not there is not claimed: no originals, documents, checks or tokens, but what follows from that."""
    words = texts.texts("en")
    bare = msgspec.structs.replace(
        STORY, originals=(), message=message(documents=()), entries=tuple(e for e in ENTRIES if e.verdict != "verified")
    )
    gained, lost = claims.unproven(bare, words), claims.proven(bare, words)
    assert words["unproven"]["documents_unknown"] in gained
    assert not [claim for claim in lost if claim.startswith(("Originals", "Statements", "Time-stamps", "Whoever"))]
    stamped = msgspec.structs.replace(STORY, entries=(*ENTRIES, entry(6, "evidence.timestamped")))
    assert words["proven"]["timestamped"].format(count=1) in claims.proven(stamped, words)
    assert words["unproven"]["clocks"] not in claims.unproven(stamped, words)


@needs_poppler
def test_report_shows_what_is_left_out(tmp_path: Path) -> None:
    """Recipients, fields and originals that are kept back are counted, not passed over."""
    found, words = _bare(text_of(STORY, "en", tmp_path)), texts.texts("en")
    for text in (
        words["label"]["recipients_withheld"].format(count=1),
        words["label"]["withheld_fields"].format(count=1),
        words["label"]["left_out"].format(reason=words["withheld"]["other_persons"]),
        words["label"]["not_shown"],
    ):
        assert _bare(text) in found


@needs_poppler
def test_very_long_story_is_cut_and_says_so(tmp_path: Path) -> None:
    """100,000 events or recipients give a report that opens, and names how many it leaves to the pack."""
    many = tuple(entry(n, "relay.delayed") for n in range(1, report.MAX_ENTRIES + 50))
    deliveries = tuple(delivery(n, f"n{n}@example.org", "delivered") for n in range(report.MAX_DELIVERIES + 5))
    story = msgspec.structs.replace(
        STORY, entries=many, message=message(deliveries=deliveries, recipients=100_001), recipients_withheld=0
    )
    found = _bare(text_of(story, "en", tmp_path))
    label = texts.texts("en")["label"]
    assert _bare(label["entries_cut"].format(shown=report.MAX_ENTRIES, count=len(many))) in found
    assert _bare(label["deliveries_cut"].format(shown=report.MAX_DELIVERIES, count=100_001)) in found


def test_empty_story_renders() -> None:
    """A message of which nothing is held any more still has a report."""
    bare = message(
        values={}, references=(), labels=(), documents=(), deliveries=(), recipients=0, account="", provider=""
    )
    story = msgspec.structs.replace(STORY, message=bare, entries=(), originals=(), recipients_withheld=0)
    assert report.render(story, "nl").startswith(b"%PDF")


# --- hostile words


@needs_poppler
def test_hostile_words_stay_words(tmp_path: Path) -> None:
    """Markup is shown as it came, controls and characters that turn or hide text as their numbers; a long word is cut and breaks."""
    found = text_of(STORY, "en", tmp_path)
    shown = _bare(found)
    assert _bare('[U+202E]evil[U+2066] #panic() $x$ *b* @ref <a> \\ " [x] [U+0000][U+0007][U+001B][31m') in shown
    assert '[U+1F4A9][U+4E2D][U+0627]#read("/etc/passwd")' in shown
    assert "root:" not in shown
    assert [] == re.findall("[\u202a-\u202e\u2066-\u2069\u200b\x00-\x08\x0b\x0e-\x1f]", found)
    assert "z" * (texts.MAX_CHARACTERS + 1) not in shown
    assert f"[+{100_000 - texts.MAX_CHARACTERS}]" in shown


@needs_poppler
def test_nothing_runs_off_the_page(tmp_path: Path) -> None:
    """Every word stands inside the margins, however long it is."""
    boxes = poppler("pdftotext", report.render(STORY, "en"), tmp_path, "-bbox")
    right = [float(x) for x in re.findall(r'<word .*?xMax="([\d.]+)"', boxes)]
    assert max(right) <= 595.3 - 20 / 25.4 * 72


def test_every_character_that_is_let_through_can_be_shown() -> None:
    """A character that neither typeface has would make the report fail (PDF/A) or show a box; each is tried in each face."""
    shown = "".join(c for c in map(chr, range(0x3000)) if not texts._UNSHOWN.match(c))  # noqa: SLF001  the table itself
    source = b'#set text(font: "Libertinus Serif", fallback: false, size: 6pt)\n#let d = sys.inputs.d\n#d #strong(d) #emph(d)'
    spaced = " ".join(shown)
    found = typst.compile(
        source, format="pdf", sys_inputs={"d": spaced}, pdf_standards="a-3a", ignore_system_fonts=True
    )
    assert found
    assert {"A", "é", "ß", "Ł", "ș", "Ω", "Ж", "€", "…"} <= set(shown)


@pytest.mark.parametrize("value", [HOSTILE, "x" * 100_000, "\u0301" * 500, "\ud7ff", {"a": [1, "\u202e"]}, 5, None])
def test_any_value_becomes_one_harmless_line(value: object) -> None:
    """Whatever stands in a sealed value, the report gets one short line of characters that it can show."""
    found = texts.plain(value)
    assert len(found) <= 10 * texts.MAX_CHARACTERS
    assert not texts._UNSHOWN.search(found.replace("\u200b", ""))  # noqa: SLF001  the table itself


# --- the file


@in_each_language
def test_same_story_gives_the_same_bytes(language: str) -> None:
    """The report is a function of story and language."""
    assert report.render(STORY, language) == report.render(STORY, language)


@needs_poppler
def test_file_is_tagged_pdf_a3(tmp_path: Path) -> None:
    """XMP claims PDF/A-3 with tags, fonts are embedded, and the date is that of the story, signed or not."""
    pdf = report.render(STORY, "sv")
    sealed = sign_pdf(pdf, seal.load_or_create(tmp_path))
    for each in (pdf, sealed):
        assert re.search(rb"pdfaid:part>3<.*pdfaid:conformance>A<", each, re.DOTALL)
        about = poppler("pdfinfo", each, tmp_path)
        assert re.search(r"Tagged:\s+yes", about)
        assert re.search(r"CreationDate:\s+Mon Mar  2 09:20:00 2026", about)
        assert f"{texts.texts('sv')['label']['report']} {MESSAGE}" in about
        assert {"yes"} == {line.split()[-5] for line in poppler("pdffonts", each, tmp_path).splitlines()[2:]}


@needs_poppler
def test_pdfsig_accepts_the_signature_and_no_flipped_byte(tmp_path: Path) -> None:
    """The PAdES signature covers the whole file; one changed byte spoils it."""
    pdf = sign_pdf(report.render(STORY, "it"), seal.load_or_create(tmp_path))
    said = poppler("pdfsig", pdf, tmp_path)
    assert "Signature is Valid." in said
    assert "Total document signed" in said
    assert "ETSI.CAdES.detached" in said
    broken = pdf[:5000] + bytes([pdf[5000] ^ 1]) + pdf[5001:]
    assert "Signature is Valid." not in poppler("pdfsig", broken, tmp_path)
