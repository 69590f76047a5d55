"""Normal forms of addresses: total, their own form, one for all spellings of a recipient and another for another recipient."""

from __future__ import annotations

import time
import unicodedata

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.addresses import (
    _EMAIL_OPTIONS,
    _PLAIN_EMAIL,
    _PLAIN_PHONE,
    candidates,
    forms,
    guess,
    is_region,
    kept,
    located,
    normal,
    value_of,
)
from ledger.observations import Address

KINDS = ("email", "phone", "fax", "postal", "person_number", "organisation", "other")
REGIONS = ("", "NL", "SE", "IT", "DE", "US", "ZZ")
BIDI = "\u202a\u200e\u2066"
ANYTHING = st.text() | st.text(alphabet="0123456789+-() .#extEXT@<>\"'\u202a\u0660\uff11\u00b2", max_size=40)


@given(st.sampled_from(KINDS), ANYTHING, st.sampled_from(REGIONS))
@example("phone", "+31000612345678", "")
@example("phone", "0800-KPN", "NL")
@example("email", "\ud800@example.org", "")
@example("email", 'Anna <"a b"@Example.org.>', "")
@example("fax", "+31101234567#12", "")
@example("postal", "\u1e9e \u00a8", "")
def test_any_text_has_a_form_and_a_form_is_its_own_form(kind: str, value: str, region: str) -> None:
    """Whatever a provider or a person writes, lone surrogates included."""
    form = normal(Address(kind, value, region))
    assert form == normal(Address(kind, form, region))
    assert forms(Address(kind, value, region))[0] == form


_COUNTRIES = [
    code
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    if regions[0] in phonenumbers.SUPPORTED_REGIONS
]


@st.composite
def numbers(draw: st.DrawFn) -> phonenumbers.PhoneNumber:
    """A number that exists, of any country."""
    region = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
    sample = phonenumbers.example_number(region)
    assert sample is not None
    national = str(sample.national_number)
    changed = national[:-4] + "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=4, max_size=4)))
    number = phonenumbers.PhoneNumber(
        sample.country_code, int(changed), italian_leading_zero=sample.italian_leading_zero
    )
    return number if phonenumbers.is_valid_number(number) else sample


@given(numbers(), st.sampled_from(["phone", "fax"]))
def test_all_spellings_of_one_number_are_one(number: phonenumbers.PhoneNumber, kind: str) -> None:
    """With its country by + or 00, as it is written at home, in other digits, with white space and marks that nobody sees."""
    region = phonenumbers.region_code_for_number(number) or ""
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    abroad = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    spellings = [
        abroad,
        abroad.replace(" ", "\u00a0"),
        f"{BIDI}{abroad}\u202c",
        abroad.translate(_ARABIC),
        f"00{e164[1:]}",
    ]
    assert {e164} == {normal(Address(kind, each)) for each in (e164, *spellings)}
    home = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    is_told = (
        home.startswith("0") or metadata.national_prefix != "0"
    )  # else it looks like a number that begins with its country
    if is_told and phonenumbers.parse(home, region) == phonenumbers.parse(
        e164
    ):  # some regions share a country, or dial otherwise
        assert e164 == normal(Address(kind, home, region))


_ARABIC = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")


@given(numbers(), numbers())
def test_different_numbers_have_different_forms(one: phonenumbers.PhoneNumber, other: phonenumbers.PhoneNumber) -> None:
    """E.164 names a subscriber."""
    same = (one.country_code, one.national_number) == (other.country_code, other.national_number)
    said = [phonenumbers.format_number(each, phonenumbers.PhoneNumberFormat.INTERNATIONAL) for each in (one, other)]
    assert same == (normal(Address("phone", said[0])) == normal(Address("phone", said[1])))


@pytest.mark.parametrize(
    ("value", "region", "form"),
    [
        ("070-174 06 05", "SE", "+46701740605"),
        ("070-174 06 05", "", "+31701740605"),
        ("0046 70 174 06 05", "SE", "+46701740605"),
        ("46701740605", "SE", "+46701740605"),
        ("391 2345678", "IT", "+393912345678"),
        ("06 6982", "IT", "+39066982"),
        ("+39 06 6982", "NL", "+39066982"),
        ("112", "SE", "112"),
        ("\uff11\uff11\uff12", "", "112"),
        ("72456", "SE", "72456"),
        ("0800-KPN", "NL", "+31800576"),
        ("020 123 4567 ext. 12", "NL", "+31201234567;ext=12"),
        ("+31201234567;ext=12", "", "+31201234567;ext=12"),
        ("+31201234567;sub=12", "", "+31201234567;sub=12"),
        ("nobody", "NL", "nobody"),
        ("", "NL", ""),
    ],
)
def test_a_number_is_read_in_its_region(value: str, region: str, form: str) -> None:
    """Short codes, letters, extensions and subaddresses included; what is no number is compared as text."""
    assert form == normal(Address("phone", value, region))


def test_an_extension_makes_another_recipient() -> None:
    """Behind one number sit many people; the form that left extensions out finds nobody any more."""
    number, one = Address("phone", "+31 20 123 4567"), Address("phone", "+31 20 123 4567 ext. 12")
    assert ("+31201234567",) == forms(number)
    assert ("+31201234567;ext=12",) == forms(one)


FILED = {  # what the first version wrote, by hand
    ("phone", "0612345678"): "+31612345678",
    ("phone", "06-12 34 56 78"): "+31612345678",
    ("phone", "31612345678"): "+31612345678",
    ("phone", "0031612345678"): "+31612345678",
    ("phone", "+46701740605"): "+46701740605",
    ("phone", "+4915112345678"): "+4915112345678",
    ("fax", "010-1234567"): "+31101234567",
    ("phone", "1234"): "1234",
    ("email", "Anna.Jansen+post@Example.ORG"): "anna.jansen+post@example.org",
    ("email", "<a@example.org>"): "a@example.org",
    ("email", "m\u00fcller@b\u00fccher.example"): "m\u00fcller@xn--bcher-kva.example",
    ("email", "a@localhost"): "a@localhost",
    ("postal", "Anna  Jansen\nDam 1"): "anna jansen dam 1",
    ("person_number", "19 121212-1212"): "191212121212",
}


@pytest.mark.parametrize(("kind", "value"), FILED)
def test_what_was_filed_before_is_filed_alike_today(kind: str, value: str) -> None:
    """A digest of then is a digest of now: nothing is written again."""
    assert (FILED[kind, value],) == forms(Address(kind, value))


@pytest.mark.parametrize(
    ("address", "former"),
    [
        (Address("phone", "070-174 06 05", "SE"), "+31701740605"),
        (Address("phone", "\uff11\uff11\uff12"), "\uff11\uff11\uff12"),
        (Address("email", "a@stra\u00dfe.example"), "a@strasse.example"),
        (Address("email", "Anna <a@example.org>"), "anna <a@example.org"),
    ],
)
def test_where_the_form_is_another_today_the_former_one_finds_too(address: Address, former: str) -> None:
    """It was filed once, and is never written again."""
    assert former in forms(address)
    assert former != normal(address)


@given(st.emails())
def test_plain_e_mail_addresses_are_what_the_library_says(value: str) -> None:
    """The short way for nearly all there are leads where the long one leads."""
    folded = value.casefold()
    if _PLAIN_EMAIL.fullmatch(folded):
        try:
            read = validate_email(folded, **_EMAIL_OPTIONS)
        except EmailNotValidError:
            return
        assert read.normalized == normal(Address("email", value))


@given(st.from_regex(_PLAIN_PHONE, fullmatch=True), st.sampled_from(REGIONS))
def test_plain_numbers_are_what_the_library_says(value: str, region: str) -> None:
    """The short way for nearly all there are here leads where the long one leads, and led before."""
    read = phonenumbers.parse(value, "NL")
    assert phonenumbers.is_possible_number(read)
    said = phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
    assert (said,) == forms(Address("phone", value, region))


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("Jo\u0301zef@Example.org", "j\u00f3zef@example.org"),
        ("a@b\u00fccher.example", "a@xn--bcher-kva.example"),
        ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
        ("a@fa\u00df.example", "a@xn--fa-hia.example"),
        ("a@ex\u200bample.org", "a@example.org"),
        ("Anna <A@Example.org>", "a@example.org"),
        ('"anna"@example.org', "anna@example.org"),
        ("a+claims@example.org", "a+claims@example.org"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@b@example.org", "a@b@example.org"),
        ("@", "@"),
        ("no address", "no address"),
    ],
)
def test_an_e_mail_address_is_read_by_the_library(value: str, form: str) -> None:
    """NFC, UTS 46 and IDNA 2008; names before it and needless quotes fall off, what follows a + stays; the rest is text."""
    assert form == normal(Address("email", value))


def test_what_is_far_too_long_costs_no_time() -> None:
    """A megabyte from a provider is compared as text."""
    begun = time.process_time()
    for kind in KINDS:
        for value in ("9" * 1_000_000, "a@" + "\u00fc" * 500_000, "<" * 1_000_000, "\u202a" * 1_000_000):
            normal(Address(kind, value))
    assert time.process_time() - begun < 30


def test_a_region_is_kept_only_where_it_makes_another_number() -> None:
    """So Dutch numbers, and numbers with their country, are kept as they always were."""
    swedish, dutch = Address("phone", "070-174 06 05"), Address("phone", "0612345678")
    assert "SE" == located(swedish, "SE").region
    assert [dutch, dutch] == [located(dutch, region) for region in ("NL", "")]
    assert Address("phone", "+46701740605") == located(Address("phone", "+46701740605"), "SE")
    assert Address("email", "a@example.org") == located(Address("email", "a@example.org"), "SE")
    assert "SE" == located(located(swedish, "SE"), "DE").region


def test_an_address_is_kept_as_it_was_given() -> None:
    """The value is what the sender or the provider wrote, mark for mark."""
    given_ = Address("phone", "070-174\u00a006 05", "SE")
    assert {"kind": "phone", "address": "070-174\u00a006 05", "region": "SE"} == value_of(given_)
    assert {"kind": "email", "address": "A@Example.org"} == value_of(Address("email", "A@Example.org"))
    assert given_ == kept(value_of(given_))


def test_a_number_without_a_country_is_looked_for_in_every_region() -> None:
    """Nobody who searches knows by which account it went."""
    tried = {each.region for each in candidates("070-174 06 05", regions=("NL", "SE", "IT")) if each.kind == "phone"}
    assert {"", "SE", "IT"} == tried
    assert [Address("phone", "+46701740605")] == candidates("+46701740605", "phone", ("NL", "SE"))


@pytest.mark.parametrize("value", ["112", f"{BIDI}+31612345678", "0800-KPN", "0612345678".translate(_ARABIC)])
def test_whatever_begins_like_a_number_is_also_looked_for_as_one(value: str) -> None:
    """Whether it is one is for the digest to say."""
    assert {"phone", "fax"} <= {each.kind for each in guess(value)}


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("tel:+31-6-1234-5678", Address("phone", "+31612345678")),
        ("TEL:0612345678", Address("phone", "+31612345678")),
        ("tel:06-1234 5678", Address("fax", "+31612345678")),
        ("mailto:Anna@example.org", Address("email", "anna@example.org")),
    ],
)
def test_a_link_to_an_address_means_the_address(link: str, address: Address) -> None:
    """Else a hold on a copied link would hold nothing, and an erasure would find nobody."""
    assert (address.kind, normal(address)) in [(each.kind, normal(each)) for each in candidates(link)]


def test_what_only_begins_like_a_link_is_read_all_the_same() -> None:
    """Nothing behind the colon is no address; a link in a link, however often, is looked for as one."""
    assert [Address("other", "tel:")] == [each for each in guess("tel:") if each.kind == "other"]
    assert len(guess("tel:0612345678")) == len(guess("tel:" * 200 + "0612345678"))


def test_countries_are_those_whose_numbers_are_known() -> None:
    """Two letters; the region of nobody is no country."""
    assert [True, False, False, False] == [is_region(each) for each in ("SE", "se", "ZZ", 46)]


def test_no_mark_that_nobody_sees_is_left_in_a_number() -> None:
    """Else two that look alike would be two."""
    form = normal(Address("phone", f"1{BIDI}23\u00ad4"))
    assert "1234" == form
    assert not [c for c in form if unicodedata.category(c) == "Cf"]
