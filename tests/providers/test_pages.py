"""Pages about providers: nothing that the code runs on is missing, and no page claims more than the grades do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from adapters.providers import registry
from adapters.providers.describe import describe
from adapters.providers.page import overview, page
from ops.providers_cli import pages
from projections.grades import BASE, BY_CHANNEL
from projections.rules import EFFECTS

PROVIDERS = sorted(registry())


def cells(name: str) -> set[str]:
    """Every cell of every table of a provider's page."""
    lines = page(describe(registry()[name])).splitlines()
    rows = (line.replace("\\|", "\x00").strip("|").split("|") for line in lines if line.startswith("|"))
    return {cell.strip().strip("`").replace("\x00", "|") for row in rows for cell in row}


@pytest.mark.parametrize("name", PROVIDERS)
def test_page_has_every_setting_credential_operation_and_word(name: str) -> None:
    """What an account may set, what is called and what is understood all stand in the page."""
    provider, found = registry()[name], cells(name)
    named = {o.name for o in provider.operations} | set(provider.notes)
    named |= {" ".join(row.word.split()) for rows in provider.tables.values() for row in rows}
    if provider.client is not None:
        named |= {f.encode_name for f in msgspec.structs.fields(provider.client.settings)}
        named |= {f.encode_name for f in msgspec.structs.fields(provider.client.options)}
        named |= set(provider.client.secrets)
    assert set() == named - found


@pytest.mark.parametrize("name", PROVIDERS)
def test_page_says_how_it_is_set_up_and_what_is_odd(name: str) -> None:
    """The exact commands with what must be given, the documentation, and the quirks of the folder's docstring."""
    provider = registry()[name]
    text, view = page(describe(provider)), describe(provider)
    assert f"delivery-ledger accounts add NAME --provider {name}\n" in text
    assert all(f"--set {s.name}=VALUE" in text for s in view.settings if not s.default)
    assert all(f"--secret {s.name}=@FILE" in text for s in view.secrets)
    assert ("accounts rotate NAME" in text) == bool(provider.signed_operations)
    assert view.quirks
    assert all(f"- {quirk}" in text for quirk in view.quirks)
    assert provider.documentation in text


@pytest.mark.parametrize("name", PROVIDERS)
def test_page_claims_no_more_than_the_grades(name: str) -> None:
    """Unsigned, no status has a better grade than the table gives its types; signed originals reach E4 where they are checked."""
    provider = registry()[name]
    view = describe(provider)
    assert view.proves
    for proof in view.proves:
        best = max(BY_CHANNEL.get((proof.channel, kind), BASE.get(kind, "E0")) for kind in proof.types)
        assert all(EFFECTS[kind].status == proof.status for kind in proof.types)
        assert proof.grade <= best or provider.attest is not None


def test_the_table_of_all_tells_what_each_proves_at_best() -> None:
    """Signed certified mail proves most; a report of a fax machine or a handset least; who never says it is shown so."""
    table = overview([describe(p) for p in registry().values()])
    rows = {
        line.split("|")[1].split("]")[0].strip(" ["): line.split("|")[2:5]
        for line in table.splitlines()
        if "](" in line
    }
    best = {title: [cell.strip() for cell in row] for title, row in rows.items()}
    assert ["certified_email", "E4", "never said"] == best["PEC Massiva"]
    assert ["fax", "E2", "E3"] == best["KPN Cloud Fax"]
    assert ["sms", "E2", "never said"] == best["KPN SMS"]
    assert "| [Ekopost](ekopost.md) | post | E3 | E3 |" in table
    assert "| [Ekopost](ekopost.md) | sms | E2 | never said |" in table


def test_pages_are_written_for_all(tmp_path: Path) -> None:
    """The command writes one page for each provider, and the table that links them."""
    pages(tmp_path / "pages")
    written = {path.name for path in (tmp_path / "pages").iterdir()}
    assert {"README.md", *(f"{name}.md" for name in PROVIDERS)} == written
    for name in PROVIDERS:
        assert f"({name}.md)" in (tmp_path / "pages" / "README.md").read_text()
