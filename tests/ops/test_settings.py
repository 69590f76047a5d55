"""Settings and key files: where they come from, and that a bad one is named with its repair."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import ConfigurationError
from ops import keyfiles
from ops.settings import load


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LEDGER_CONFIG", "LEDGER_SECRETS_FOLDER", "LEDGER_DATABASE_URL", "LEDGER_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_environment_outranks_secret_files_and_those_the_toml_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The closer to the running process, the stronger."""
    (tmp_path / "delivery-ledger.toml").write_text('port = 1001\ntenant = "from-toml"\nhost = "10.0.0.1"\n')
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ledger_port").write_text("1002")
    (tmp_path / "secrets" / "ledger_tenant").write_text("from-secret")
    monkeypatch.setenv("LEDGER_SECRETS_FOLDER", str(tmp_path / "secrets"))
    monkeypatch.setenv("LEDGER_PORT", "1003")
    settings = load()
    assert (1003, "from-secret", "10.0.0.1") == (settings.port, settings.tenant, settings.host)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("porrt = 1\n", "setting 'porrt' does not exist; there are database_url"),
        ('port = "many"\n', "setting port (LEDGER_PORT)"),
        ("port = [\n", "is not TOML"),
    ],
)
def test_bad_setting_is_named_with_its_repair(tmp_path: Path, toml: str, said: str) -> None:
    """The error says which setting, what is wrong with it, and what it is."""
    (tmp_path / "delivery-ledger.toml").write_text(toml)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["LEDGER_CONFIG", "LEDGER_SECRETS_FOLDER"])
def test_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whoever names a file means it; it is not silently left out."""
    monkeypatch.setenv(name, "/nowhere/at/all")
    with pytest.raises(ConfigurationError, match="there is no such"):
        load()


def test_key_files_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    """A new keyring is durable, unreadable for others, and read back as the same."""
    folder = tmp_path / "keys"
    made = keyfiles.load(folder, may_create=True)
    assert {0o600} == {path.stat().st_mode & 0o777 for path in folder.glob("*.key")}
    assert made == keyfiles.load(folder, may_create=False)


def test_key_files_of_an_existing_ledger_are_never_made_again(tmp_path: Path) -> None:
    """Without its keys nothing sealed can be read, and new ones would hide that."""
    with pytest.raises(ConfigurationError, match="restore them"):
        keyfiles.load(tmp_path / "lost", may_create=False)


def test_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The repair is the exact command."""
    keyfiles.load(tmp_path, may_create=True)
    (tmp_path / "lookups.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keyfiles.load(tmp_path, may_create=False)


def test_last_key_encryption_key_wraps_and_older_ones_still_open(tmp_path: Path) -> None:
    """Rotation is one more file."""
    before = keyfiles.load(tmp_path, may_create=True)
    wrapped = before.wrap(b"k" * 16, b"s" * 32)
    (tmp_path / "kek-0002.key").write_text("ab" * 32)
    (tmp_path / "kek-0002.key").chmod(0o600)
    after = keyfiles.load(tmp_path, may_create=False)
    assert "kek-0002" == after.wraps_with
    assert b"s" * 32 == after.unwrap(b"k" * 16, wrapped)
