"""What readers of outside bytes take at most: small inputs that would take hours or all memory without the bound, in a table."""

from __future__ import annotations

import ast
import importlib
import io
import os
import pkgutil
import re
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import adapters
import ledger
from adapters import sources, strictjson
from adapters.providers import reading
from adapters.providers.pec_mailbox import daticert, mime
from ledger.errors import LedgerError
from ledger.observations import UnreadableError

SECONDS, MEGABYTES = 10, 100
LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


class Anything(msgspec.Struct):
    """A body with a place for anything, as account settings have."""

    settings: dict[str, Any]


def _json(body: bytes) -> Any:
    return strictjson.decode(msgspec.json.Decoder(Anything), body)


def nested(depth: int) -> bytes:
    """Multiparts in multiparts."""
    heads = [f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n".encode() for n in range(depth)]
    return b"".join(heads) + b"Content-Type: text/plain\r\n\r\nx"


BOUNDS: dict[str, tuple[Callable[[bytes], object], bytes, str]] = {
    "JSON, deep": (reading.json_value, b"[" * 900_000 + b"]" * 900_000, "RecursionError"),
    "JSON, a little too deep": (reading.json_value, b"[" * 40 + b"]" * 40, "deeper than 32"),
    "JSON, many values": (reading.json_value, b"[" + b"{}," * 10_000_000 + b"{}]", "values within values"),
    "JSON, large": (reading.json_value, b" " * (reading.MAX_BODY_BYTES + 1), "at most"),
    "JSON, a long number": (reading.json_value, b"1" * 5_000_000, "ValueError"),
    "API JSON, deep": (
        _json,
        b'{"settings": {"a": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}}",
        "nested too deeply",
    ),
    "XML, a billion laughs": (
        reading.xml_root,
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x>&l9;</x>'.encode(),
        "EntitiesForbidden",
    ),
    "XML, one long entity often": (
        reading.xml_root,
        b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 100_000 + b'">]><x>' + b"&a;" * 100_000 + b"</x>",
        "EntitiesForbidden",
    ),
    "XML, a file": (
        reading.xml_root,
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
        "EntitiesForbidden",
    ),
    "XML, a parameter entity": (
        reading.xml_root,
        b'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:1/"> %e;]><x/>',
        "Forbidden",
    ),
    "XML, many tags": (reading.xml_root, b"<x>" + b"<a/>" * 8_000_000 + b"</x>", "values within values"),
    "certification data, many tags": (daticert.read, b"<postacert>" + b"<a/>" * 1_500_000 + b"</postacert>", "tags in"),
    "certification data, large": (daticert.read, b"<postacert>" + b" " * 9_000_000, "certification data"),
    "e-mail, many parts": (
        mime.read,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 500_000,
        "MIME parts",
    ),
}
"""Name -> reader, bytes, and what the refusal says."""


@pytest.mark.parametrize("case", BOUNDS)
def test_what_would_blow_up_is_refused_in_bounded_time_and_memory(case: str) -> None:
    """As an error that whoever reads it handles, never as MemoryError or for hours."""
    read, body, why = BOUNDS[case]
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises((UnreadableError, LedgerError), match=why):
            read(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < SECONDS
    assert peak < MEGABYTES * 1_000_000


TAKEN: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "XML, deep": (reading.xml_root, b"<a>" * 200_000 + b"</a>" * 200_000),
    "XML, a DTD elsewhere, which nobody fetches": (
        reading.xml_root,
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x>y</x>',
    ),
    "e-mail, deep": (mime.read, nested(5_000)),
    "e-mail, a header without end": (mime.read, b"Subject: " + b"x" * 30_000_000),
    "e-mail, one field in a million lines": (mime.read, b"Subject: x\r\n" + b" y\r\n" * 5_000_000),
    "e-mail, many fields": (mime.read, b"A: b\r\n" * 4_000_000),
    "e-mail, boundaries that never match": (
        mime.read,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--c\r\n" * 5_000_000,
    ),
}
"""What is read as far as the bounds go."""


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_odd_is_read_in_bounded_time(case: str) -> None:
    """Its cost is linear in the bytes, whatever they nest."""
    read, body = TAKEN[case]
    began = time.process_time()
    try:
        assert read(body) is not None
    except UnreadableError as error:
        assert str(error)  # noqa: PT017  either is an answer
    assert time.process_time() - began < SECONDS


def test_an_e_mail_is_read_to_a_depth_and_no_further() -> None:
    """What is deeper is a leaf."""
    part, depth = mime.read(nested(50)), 0
    while part.parts:
        part, depth = part.parts[0], depth + 1
    assert mime.MAX_DEPTH == depth


# --- archives


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data, how in entries:
            archive.writestr(name, data, how, 9)
    return held.getvalue()


def imported(folder: Path, data: bytes) -> list[sources.Source]:
    path = folder / "given.zip"
    path.write_bytes(data)
    return list(sources.items(path))


def test_an_archive_that_unpacks_to_far_more_than_it_is_ends_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before is kept, the rest is told; so ten thousand entries of zeros take no day."""
    monkeypatch.setattr(sources, "MAX_UNPACKED_BYTES", 4_000_000)
    found = imported(tmp_path, zipped(*((f"{n:05}.eml", bytes(1_000_000), zipfile.ZIP_DEFLATED) for n in range(60))))
    packed = (tmp_path / "given.zip").stat().st_size
    most = max(4_000_000, packed * sources.MAX_UNPACKED_TIMES)
    assert "far more" in found[-1].problem
    assert most // 1_000_000 == len([each for each in found if each.body])
    assert len(found) < 60


@pytest.mark.parametrize("is_wide", [False, True])
def test_a_directory_that_would_fill_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_wide: bool
) -> None:
    """The library makes an object for each of its entries, some 46 bytes each, before anybody can count them."""
    data = zipped(*((f"{n:05}.eml", b"A: b\r\n\r\n", zipfile.ZIP_STORED) for n in range(2_000)))
    if is_wide:  # as APPNOTE.TXT has it: the record, its locator, and an end that points there
        end = data.rfind(b"PK\x05\x06")
        size, offset = struct.unpack_from("<LL", data, end + 12)
        record = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 2_000, 2_000, size, offset)
        wide = b"\xff" * 12
        data = data[:end] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1) + data[end : end + 8]
        data += wide + b"\0\0"
    assert 2_000 == len(imported(tmp_path, data))
    monkeypatch.setattr(sources, "MAX_DIRECTORY_BYTES", 100_000)
    monkeypatch.setattr(zipfile, "ZipFile", None)  # it is not even opened
    (found,) = imported(tmp_path, data)
    assert (None, True) == (found.body, "directory" in found.problem)


def test_lzma_is_not_unpacked(tmp_path: Path) -> None:
    """Its header says how much memory the reader takes: up to 4 GiB."""
    (found,) = imported(tmp_path, zipped(("1.eml", b"A: b\r\n\r\n", zipfile.ZIP_LZMA)))
    assert (None, True) == (found.body, "LZMA" in found.problem)


def test_archives_in_archives_are_not_opened(tmp_path: Path) -> None:
    """Nor mbox files in them: what unfolds without end needs a second layer."""
    inner = zipped(("1.eml", b"A: b\r\n\r\n", zipfile.ZIP_STORED))
    found = imported(
        tmp_path, zipped(("in.zip", inner, zipfile.ZIP_STORED), ("in.mbox", b"From x\n", zipfile.ZIP_STORED))
    )
    assert [(None, True)] * 2 == [(each.body, each.skipped) for each in found]


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x.eml", "/etc/x.eml", "..\\..\\x.eml", "C:\\x.eml", "a/../../x.eml", "x\x01\n.eml"]
)
def test_names_in_an_archive_lead_nowhere(tmp_path: Path, name: str) -> None:
    """They are shown, and no file is ever written by them."""
    folder = tmp_path / "in"
    folder.mkdir()
    before = sorted(tmp_path.rglob("*"))
    (found,) = imported(folder, zipped((name, b"A: b\r\n\r\n", zipfile.ZIP_STORED)))
    assert b"A: b\r\n\r\n" == found.body
    assert {*before, folder / "given.zip"} == set(tmp_path.rglob("*"))


def test_links_and_devices_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    """Neither to files, nor to folders, nor round in a circle; a pipe would be waited on for ever."""
    secret, folder = tmp_path / "secret", tmp_path / "in"
    (secret / "deep").mkdir(parents=True)
    (secret / "key.eml").write_bytes(b"secret")
    (folder / "cur").mkdir(parents=True)
    (folder / "good.eml").write_bytes(b"A: b\r\n\r\n")
    (folder / "link.eml").symlink_to(secret / "key.eml")
    (folder / "linked").symlink_to(secret, target_is_directory=True)
    (folder / "round").symlink_to(folder, target_is_directory=True)
    (folder / "dangling.eml").symlink_to(tmp_path / "nothing")
    os.mkfifo(folder / "pipe.eml")
    assert [folder / "good.eml"] == sources.files([folder])


# --- expressions

NASTY = (
    *(
        "a",
        "0",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\n ",
        "=",
        "=?",
        "=?a?q?",
        "=?a?q?x?= ",
        ";",
        ';a="',
        ";a=",
        '\\"',
        "<",
        "<a",
        "<!",
        "<?x ",
        "<?x?>",
    ),
    *(
        "<!a> ",
        "@",
        "a@",
        ".",
        "a.",
        "-",
        "--",
        "--b\n",
        "/",
        "a/",
        "%",
        "%41",
        "(",
        ")",
        "'",
        '"',
        "+",
        "+1 ",
        "1-",
        "_",
        "__",
        ":",
        "a:",
        "a: b\n",
    ),
    *(
        "\ufeff",
        "\u00e9",
        "\u2028",
        "K.",
        "K.a-",
        "?ticket_token=",
        "ID:",
        "[",
        "]",
        "{",
        "$.",
        " - at `$",
        "AB12345678",
        "12 ",
        "\x00",
        "From ",
    ),
)
CHARS = 20_000


def _modules() -> list[ModuleType]:
    """Those that may see outside text: all but the sandboxes, which are ours on both sides."""
    found = (each.name for of in (adapters, ledger) for each in pkgutil.walk_packages(of.__path__, f"{of.__name__}."))
    return [importlib.import_module(name) for name in found if "sandbox" not in name]


def expressions() -> Iterator[tuple[str, tuple[re.Pattern[Any], list[str]]]]:
    """Every compiled expression of these modules, and by which methods it is used."""
    modules, seen = _modules(), set[int]()
    source = "".join(Path(str(module.__file__)).read_text() for module in modules)
    for module in modules:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and id(value) not in seen:
                seen.add(id(value))
                uses = set(re.findall(rf"\b{name}\.(\w+)\(", source)) | {"match"}
                begins = {"match", "fullmatch"} & uses
                yield (
                    f"{module.__name__.removeprefix('adapters.')}.{name}",
                    (value, sorted(begins | ({"search"} if uses - {"match", "fullmatch"} else set()))),
                )


def _written(given: ast.expr, known: dict[str, Any]) -> str:
    """The text of an expression; what is put into it at run time is a word."""
    parts = given.values if isinstance(given, ast.JoinedStr) else [given]
    names = {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}
    stands_for = dict.fromkeys(names - known.keys(), "word")
    return str(eval(ast.unparse(given), {**known, "re": re, **stands_for}))  # noqa: S307  our own source


def inline() -> Iterator[tuple[str, tuple[re.Pattern[Any], list[str]]]]:
    """Every expression that is written where it is used: `re.fullmatch(r"…", text)`."""
    for module in _modules():
        tree = ast.parse(Path(str(module.__file__)).read_text())
        for node in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
            called, given = ast.unparse(node.func), node.args[0] if node.args else None
            if called.startswith("re.") and called != "re.compile" and isinstance(given, ast.Constant | ast.JoinedStr):
                text = _written(given, vars(module))
                flags = next((eval(ast.unparse(k.value)) for k in node.keywords if k.arg == "flags"), 0)  # noqa: S307  likewise
                use = called.removeprefix("re.")
                use = use if use in {"match", "fullmatch"} else "search"
                yield f"{module.__name__.removeprefix('adapters.')}:{node.lineno}", (re.compile(text, flags), [use])


EXPRESSIONS = dict(expressions()) | dict(inline())


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_no_expression_takes_more_than_linear_time(name: str) -> None:
    """On long runs of what it nearly matches, with an end that it does not; catastrophic ones would take minutes or years."""
    pattern, uses = EXPRESSIONS[name]
    began = time.process_time()
    for piece in NASTY:
        for text in (piece * (CHARS // len(piece)), piece * (CHARS // len(piece)) + "\x01!"):
            given: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
            for use in uses:
                getattr(pattern, use)(given)
            took = time.process_time() - began
            assert took < SECONDS, (piece, took)


def test_enough_expressions_are_tried() -> None:
    """The walk finds them where they are."""
    assert len(EXPRESSIONS) >= 40
    assert len([name for name in EXPRESSIONS if "pec_mailbox" in name]) >= 15
    assert len([name for name in EXPRESSIONS if ":" in name]) >= 5
