"""The machine that was measured: what a reader needs to judge the numbers, and whether it was doing something else."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import resource
import statistics
import time
from pathlib import Path

import msgspec

from ledger.sqlite import driver
from ops.postgres import Server

PACKAGES = ("aiohttp", "cryptography", "eventsourcing", "msgspec", "orjson", "psycopg", "uvloop")
WRITES, WRITTEN_BYTES = 200, 8192
IDLE_LOAD = 0.25
"""Runnable processes a core, over the last minute, up to which the machine counts as idle."""
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class Machine(msgspec.Struct, frozen=True):
    """What was measured on.

    Attributes:
        memory_mib: of the machine, 0 where it does not say.
        file_system: on which the databases lie.
        fsync_ms: median and 99th percentile of writing 8 KiB and waiting until they are durable.
        load: runnable processes over the last minute, before anything was started.
        packages: name -> version, of those that are installed.
    """

    cpu: str
    cores: int
    memory_mib: int
    kernel: str
    file_system: str
    fsync_ms: tuple[float, float]
    load: float
    python: str
    postgresql: str
    sqlite: str
    packages: dict[str, str]

    @property
    def is_idle(self) -> bool:
        return self.load <= IDLE_LOAD * self.cores


def described(server: Server, folder: Path, load: float) -> Machine:
    """The machine, and the databases as they run on it.

    Args:
        folder: in which SQLite's files lie.
        load: see `Machine`.
    """
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_mib=_memory_mib(),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        file_system=" and ".join(sorted({file_system(folder), file_system(Path(server.host))})),
        fsync_ms=_fsync_ms(folder),
        load=round(load, 2),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        postgresql=f"{server.version} ({server.origin})",
        sqlite=str(driver().sqlite_version),
        packages=dict(_packages()),
    )


def load_before() -> float:
    """How many processes want to run, over the last minute."""
    return os.getloadavg()[0]


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _memory_mib() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
    except (ValueError, OSError):
        return 0


def file_system(folder: Path) -> str:
    """The kind of file system a folder lies on; "unknown" where the system has no list of them."""
    try:
        mounted = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    whole = folder.resolve()
    holding = [(point, kind) for point, kind in mounted if whole.is_relative_to(point)]
    return max(holding, key=lambda each: len(each[0]))[1] if holding else "unknown"


def peak_mib() -> float:
    """The most memory that this process ever held; on Linux `ru_maxrss` would begin with what the starting process had."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def _fsync_ms(folder: Path) -> tuple[float, float]:
    times = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(WRITES):
            begun = time.perf_counter()
            file.write(bytes(WRITTEN_BYTES))
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begun) * 1000)
    path.unlink()
    return round(statistics.median(times), 3), round(statistics.quantiles(times, n=100)[98], 3)


def _packages() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
