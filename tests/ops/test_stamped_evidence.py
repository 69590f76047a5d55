"""From the settings of an authority to a pack whose every time-stamp an outsider can check."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pytest_aiohttp import AiohttpServer

from adapters.evidence import verify
from adapters.evidence.pack import Ask
from ledger.errors import ConfigurationError
from ops import schedule
from ops.evidence import desk, tsa_roots
from ops.settings import Settings, load
from ops.system import opened
from tests.adapters.authorities import NO_OPENSSL, Answering, has_openssl
from tests.evidence.packs import ACCEPTED, TENANT, TO_ANNA, hand_in, members_of, message_of


def settings_of(folder: Path, url: str, roots: Path | None) -> Settings:
    return load(
        database_url=f"sqlite:///{folder / 'ledger.db'}",
        key_folder=folder / "keys",
        head_folder=folder / "heads",
        artifact_folder=folder / "artifacts",
        tenant=TENANT,
        tsa_url=url,
        tsa_roots=roots,
    )


def a_stamped_pack(folder: Path, url: str, answering: Answering) -> tuple[bytes, str]:
    """A pack at a stamped checkpoint, and the log's key."""
    with opened(settings_of(folder, url, answering.folder / "root.pem")) as system:
        hand_in(system, folder, ACCEPTED, TO_ANNA)
        schedule.stamp_originals(system)
        size = system.signed_head().checkpoint.size
        schedule.stamp_head(system)
        pack = desk(system).issue(Ask(tenant=TENANT, message=message_of(system)), at=size)
        (folder / "seal-root.pem").write_bytes(members_of(pack.data)["trust/seal-root.pem"])
        return pack.data, system.identity.keys[0].vkey()


@pytest.mark.skipif(not has_openssl(), reason=NO_OPENSSL)
async def test_pack_carries_every_token_and_verifies(aiohttp_server: AiohttpServer, tmp_path: Path) -> None:
    """Checkpoint, originals, seal and report are stamped by the scheduled jobs and at export, and the verifier accepts all."""
    answering = Answering(tmp_path / "authority")
    server = await aiohttp_server(answering.app())
    data, key = await asyncio.to_thread(a_stamped_pack, tmp_path, str(server.make_url("/")), answering)
    members = members_of(data)
    stamped = {name.removesuffix(".tst") for name in members if name.endswith(".tst")}
    assert {"log/checkpoint", *(name for name in members if name.endswith(".eml"))} == stamped
    assert (answering.folder / "root.pem").read_bytes() == members["trust/tsa-root.pem"]
    path = tmp_path / "pack.asice"
    path.write_bytes(data)
    trust = verify.Trust(
        keys=[verify.parse_key(key)],
        seal_root=str(tmp_path / "seal-root.pem"),
        tsa_root=str(answering.folder / "root.pem"),
    )
    assert verify.EXIT_VOUCHED == verify.verify(str(path), trust).exit_code


def test_authority_without_roots_is_a_configuration_error(tmp_path: Path) -> None:
    """A token that leads nowhere proves nothing: without roots, or with a file that holds none, nothing is served."""
    with pytest.raises(ConfigurationError, match="LEDGER_TSA_ROOTS"):
        tsa_roots(settings_of(tmp_path, "http://127.0.0.1:1/", None))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigurationError, match="LEDGER_TSA_ROOTS"):
        tsa_roots(settings_of(tmp_path, "http://127.0.0.1:1/", tmp_path / "empty.pem"))
