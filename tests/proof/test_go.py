"""Go's golang.org/x/mod/sumdb, which others wrote, checks our checkpoints, proofs and tiles."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ledger import exports, proofs
from tests.proof.kit import Installation, flipped, grow

DEBIAN_SOURCES = Path("/usr/share/gocode")
GO = shutil.which("go")
NEEDED = "Go with golang.org/x/mod (Debian: golang-go, golang-golang-x-mod-dev) is not installed"
SIZE = 700

pytestmark = pytest.mark.skipif(
    GO is None or not (DEBIAN_SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir(), reason=NEEDED
)


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built from Debian's sources without a network."""
    folder = tmp_path_factory.mktemp("go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(DEBIAN_SOURCES),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    source = Path(__file__).parent / "go" / "main.go"
    built = folder / "checker"
    subprocess.run([str(GO), "build", "-o", built, source], check=True, env=environment, cwd=folder)
    return built


class Handed:
    """What an auditor was handed, as files."""

    def __init__(self, installation: Installation, folder: Path, position: int) -> None:
        self.tiles = folder / "tiles"
        self.proof, self.leaf = folder / "event.tlog-proof", folder / "event.json"
        with installation.opened() as system:
            head = grow(system, SIZE)
            exports.write_tiles(system.ledger, self.tiles, head)
            self.proof.write_bytes(proofs.of_position(system.ledger, position, head.note))
            self.leaf.write_bytes(system.ledger.event(position).leaf)
            self.key = system.identity.keys[0].vkey()
        self.checkpoint = self.tiles / "checkpoint"

    def checked(self, checker: Path) -> subprocess.CompletedProcess[str]:
        arguments: list[str | Path] = [self.key, self.checkpoint, self.proof, self.leaf, self.tiles]
        return subprocess.run([checker, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("position", [1, 256, 257, SIZE + 1])
def test_go_verifies_checkpoint_proof_and_tiles(
    checker: Path, on_sqlite: Installation, tmp_path: Path, position: int
) -> None:
    """The note under the key, the tlog-proof, and a proof of its own made from tiles alone."""
    done = Handed(on_sqlite, tmp_path, position).checked(checker)
    assert ("", f"leaf {position - 1} of {SIZE + 1}\n") == (done.stderr, done.stdout)


@pytest.mark.parametrize("name", ["leaf", "proof", "checkpoint", "tile"])
def test_go_refuses_what_was_changed(checker: Path, on_sqlite: Installation, tmp_path: Path, name: str) -> None:
    """The same checker, so that its yes above says something."""
    handed = Handed(on_sqlite, tmp_path, 300)
    path = handed.tiles / "tile/0/001" if name == "tile" else getattr(handed, name)
    path.write_bytes(flipped(path.read_bytes(), 40 if name == "proof" else 30))
    assert 0 != handed.checked(checker).returncode
