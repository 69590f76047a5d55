"""Settings and key files: where they come from, and that a bad one is named with its repair."""

from __future__ import annotations

from ipaddress import ip_network
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
        ("port = -1\n", "setting port (LEDGER_PORT): Expected `int` >= 0; it is: port the API listens on"),
        ("fsck_every_h = 0\n", "setting fsck_every_h (LEDGER_FSCK_EVERY_H): Expected `float` > 0"),
        ("keks = 5\n", "setting keks (LEDGER_KEKS)"),
        ("seal_file = 5\n", "setting seal_file (LEDGER_SEAL_FILE)"),
        ('trusted_proxies = "10.0.0.0/8"\n', "setting trusted_proxies (LEDGER_TRUSTED_PROXIES)"),
        ('trusted_proxies = ["10.0.0.1/8"]\n', "10.0.0.1/8 has host bits set"),
        ("port = [\n", "is not TOML"),
    ],
)
def test_bad_setting_is_named_with_its_repair(tmp_path: Path, toml: str, said: str) -> None:
    """The error says which setting, what is wrong with it, and what it is."""
    (tmp_path / "delivery-ledger.toml").write_text(toml)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert said in str(caught.value)


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever repairs one finds no second at the next start."""
    monkeypatch.setenv("LEDGER_PORT", "many")
    monkeypatch.setenv("LEDGER_PUBLIC_LOG", "perhaps")
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert ["setting port", "setting public_log"] == [
        " ".join(line.split()[:2]) for line in str(caught.value).splitlines()
    ]


def test_text_of_the_environment_is_read_as_what_the_setting_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, yes and no, paths, and lists as JSON; the case of a name does not matter, and what is no setting is let be."""
    given = {
        "ledger_port": "0",
        "LEDGER_TSA_EVERY_S": "2.5",
        "LEDGER_PUBLIC_LOG": "true",
        "LEDGER_SEAL_FILE": "seal.pem",
        "LEDGER_PUSH_TARGETS": '["heads", "https://witness.example"]',
        "LEDGER_ALLOW_NETWORKS": '["127.0.0.0/8", "::1/128"]',
        "LEDGER_OF_ANOTHER_PROGRAM": "x",
    }
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    found = load(tenant="given")
    assert (0, 2.5, True, Path("seal.pem"), "given") == (
        found.port,
        found.tsa_every_s,
        found.public_log,
        found.seal_file,
        found.tenant,
    )
    assert ("heads", "https://witness.example") == found.push_targets
    assert (ip_network("127.0.0.0/8"), ip_network("::1/128")) == found.allow_networks


def test_secret_is_not_shown_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where they are printed nor where they are wrong."""
    monkeypatch.setenv("LEDGER_KEKS", "kek-0001=hush")
    assert "hush" not in repr(load())
    assert "kek-0001=hush" == load().keks.reveal()


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
