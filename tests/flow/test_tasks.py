"""Long work: in the queue, fair, with progress, cancelled, expired, sealed at rest, and not lost when a process dies."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from adapters.tasks import files
from adapters.tasks.contract import GiveUpError, Kind, Made, TaskStoppedError, Work
from adapters.tasks.rows import Row
from adapters.tasks.runner import Runner
from adapters.tasks.store import Tasks
from adapters.tasks.views import view
from ledger.errors import CorruptError, IdempotencyError, NotFoundError
from ledger.events import parse_time
from ledger.tenants import tenant as working_tenant
from tests.postgres import Database
from tests.world import TENANT, World, world

KEEP = timedelta(days=7)
PAUSE = timedelta(minutes=1)
PATIENCE_S = 20.0
ROWS = b"anna@example.com\n"


class Writing:
    """Work that writes the lines it is asked for, and can be held, stopped or made to fail.

    Attributes:
        begun: tenants whose tries began, in order.
        told: what `finished` was told, by task.
        failures: (try, why, whether it was the last) of each failure.
        fails: how many tries fail.
        at_end: called before a try ends.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.told: dict[str, list[Mapping[str, Any]]] = {}
        self.failures: list[tuple[int, str, bool]] = []
        self.fails = 0
        self.error: Exception = RuntimeError("anna@example.com")
        self.at_end: Callable[[Work], object] = lambda _work: None

    def run(self, work: Work) -> Made:
        self.begun.append(work.tenant)
        path = work.folder / "rows.csv"
        with path.open("wb") as file:
            for number in range(work.request["rows"]):
                if work.is_stopped():
                    raise TaskStoppedError
                file.write(ROWS)
                work.progress(number + 1, work.request["rows"])
        self.at_end(work)
        if work.number <= self.fails:
            raise self.error
        return Made((path,), {"rows": work.request["rows"]})

    def finished(self, work: Work, said: Mapping[str, Any]) -> None:
        self.told.setdefault(work.task, []).append(said)

    def failed(self, work: Work, why: str, is_last: bool) -> None:  # noqa: FBT001  the contract's order
        self.failures.append((work.number, why, is_last))

    def kind(self) -> Kind:
        return Kind(
            name="writing",
            title="writes lines",
            run=self.run,
            finished=self.finished,
            failed=self.failed,
            pauses=(PAUSE,),
        )


class Place:
    """A ledger with tasks."""

    def __init__(self, w: World, folder: Path) -> None:
        self.world = w
        self.folder = folder
        self.writing = Writing()
        self.tasks = Tasks(w.ledger, folder, KEEP)
        self.runner = Runner(self.tasks, [self.writing.kind()])

    def ask(self, rows: int = 3, tenant: str = TENANT, **how: Any) -> Row:
        return self.tasks.ask(tenant, "writing", {"rows": rows}, **how)

    def row(self, row: Row) -> Row:
        return self.tasks.rows.get(row.tenant, row.task)

    def read(self, row: Row, name: str = "rows.csv") -> bytes:
        return b"".join(self.tasks.file(self.row(row), name)[1])

    def later(self, by: timedelta) -> None:
        """Let time go on, for the tasks only."""
        now = self.runner.clock() + by
        self.runner.clock = lambda: now

    def kept(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    @contextmanager
    def working(self, may_work: Callable[[], bool] = lambda: True) -> Iterator[None]:
        thread = threading.Thread(target=self.runner.work, args=(may_work,))
        thread.start()
        try:
            yield
        finally:
            self.runner.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Place]:
    with world(database.url, tmp_path) as w:
        yield Place(w, tmp_path / "reports")


def until(holds: Callable[[], object]) -> None:
    """Wait for what other threads do."""
    waiting, tries = threading.Event(), int(PATIENCE_S / 0.02)
    assert any(holds() or waiting.wait(0.02) for _ in range(tries))


# --- from the question to the result


def test_what_was_asked_is_done_and_can_be_fetched(place: Place) -> None:
    """With its name, size and digest; who has to know was told once."""
    row = place.ask(3, owner="key_1", scopes=("compliance",))
    assert ("queued", "key_1", "compliance") == (row.state, row.owner, row.scopes)
    assert 1 == place.runner.run()
    found = view(place.tasks, place.row(row))
    assert ("done", 1, {"rows": 3}, {"rows": 3}) == (found.state, found.tries, found.request, found.result)
    assert [("rows.csv", 3 * len(ROWS))] == [(file.name, file.bytes) for file in found.files]
    assert 3 * ROWS == place.read(row)
    assert [{"rows": 3, "files": [{"name": "rows.csv", "bytes": 51, "sha256": found.files[0].sha256}]}] == (
        place.writing.told[row.task]
    )


def test_asked_again_under_the_same_name_it_is_the_same_task(place: Place) -> None:
    """Whatever came of it meanwhile; another request under that name is refused."""
    row = place.ask(3, once=("mine",))
    place.runner.run()
    assert row.task == place.ask(3, once=("mine",)).task
    assert row.task != place.ask(3, once=("yours",)).task
    with pytest.raises(IdempotencyError):
        place.ask(4, once=("mine",))


def test_another_tenants_task_does_not_exist(place: Place) -> None:
    """Neither seen nor cancelled."""
    row = place.ask()
    for act in (place.tasks.rows.get, place.tasks.cancel):
        with pytest.raises(NotFoundError):
            act("other", row.task)
    assert [] == place.tasks.rows.newest("other")
    assert [row] == place.tasks.rows.newest(TENANT)


def test_one_tenants_many_tasks_do_not_hold_up_anothers(place: Place) -> None:
    """The tenant that was served longest ago is next."""
    for _ in range(4):
        place.ask(1, "busy")
    place.ask(1, "other")
    place.ask(1, "third")
    place.runner.run()
    assert ["busy", "other", "third"] == place.writing.begun[:3]
    assert 6 == len(place.writing.begun)


def test_two_run_at_once_and_the_second_is_another_tenants(place: Place) -> None:
    """A place is not given twice to one tenant while another waits."""
    gate = threading.Event()
    place.writing.at_end = lambda _work: gate.wait(PATIENCE_S)
    rows = [place.ask(1, tenant) for tenant in ("busy", "busy", "other")]
    with place.working():
        until(lambda: len(place.writing.begun) == 2)
        assert {"busy", "other"} == set(place.writing.begun)
        assert ["running", "queued", "running"] == [place.row(row).state for row in rows]
        gate.set()
        until(lambda: {"done"} == {place.row(row).state for row in rows})


# --- cancelling, failing, expiring


def test_a_cancelled_task_stops_between_two_rows(place: Place) -> None:
    """Within a second or so; nothing of it is left, nobody is told, and it is not begun again."""
    row = place.ask(10**9)
    with place.working():
        until(lambda: place.row(row).done > 0)
        assert "cancelled" == place.tasks.cancel(TENANT, row.task).state
        until(lambda: not place.kept())
    found = place.row(row)
    assert ("cancelled", 10**9) == (found.state, found.total)
    assert ({}, [], []) == (place.writing.told, place.writing.failures, place.kept())
    assert 0 == place.runner.run()


def test_a_task_cancelled_at_its_very_end_is_cancelled(place: Place) -> None:
    """What it made is deleted though it was whole."""
    place.writing.at_end = lambda work: place.tasks.cancel(TENANT, work.task)
    row = place.ask()
    place.runner.run()
    assert ("cancelled", {}, []) == (place.row(row).state, place.writing.told, place.kept())


def test_a_failed_try_is_made_again_after_a_pause(place: Place) -> None:
    """Each failure is told in our own words, which quote nobody; the last one ends it."""
    place.writing.fails = 1
    row = place.ask()
    assert 1 == place.runner.run()
    assert ("queued", "RuntimeError", 1) == (place.row(row).state, place.row(row).error, place.row(row).tries)
    assert 0 == place.runner.run()
    place.later(PAUSE)
    assert 1 == place.runner.run()
    assert ("done", 2) == (place.row(row).state, place.row(row).tries)
    assert [(1, "RuntimeError", False)] == place.writing.failures


def test_the_last_failure_ends_the_task(place: Place) -> None:
    """So does one after which trying again is of no use."""
    place.writing.fails = 9
    row = place.ask()
    place.runner.run()
    place.later(PAUSE)
    place.runner.run()
    assert ("failed", [False, True]) == (place.row(row).state, [last for *_, last in place.writing.failures])
    place.writing.error = GiveUpError("there is no such query")
    hopeless = place.ask()
    place.runner.run()
    assert ("failed", 1, "there is no such query") == (
        place.row(hopeless).state,
        place.row(hopeless).tries,
        place.row(hopeless).error,
    )
    assert [] == place.kept()


def test_work_that_this_version_does_not_know_fails(place: Place) -> None:
    """And says so; the others go on."""
    strange = place.tasks.ask(TENANT, "dancing", {})
    row = place.ask()
    place.runner.run()
    assert ("failed", "done") == (place.row(strange).state, place.row(row).state)
    assert "dancing" in place.row(strange).error


def test_results_are_deleted_with_their_key_when_they_expire(place: Place, tmp_path: Path) -> None:
    """The row stays a while and says that there was something."""
    row = place.ask(owner="key_1")
    place.runner.run()
    ended = parse_time(place.row(row).ended_at)
    assert ended + KEEP == parse_time(place.row(row).expires_at)
    place.world.ledger.clock = lambda: ended + KEEP - timedelta(seconds=1)
    place.tasks.expire()
    assert 3 * ROWS == place.read(row)
    place.world.ledger.clock = lambda: ended + KEEP
    place.tasks.expire()
    found = view(place.tasks, place.row(row))
    assert ("expired", {}, {}, ()) == (found.state, found.request, found.result, found.files)
    assert ([], None) == (place.kept(), place.tasks.rows.key(row))
    with pytest.raises(NotFoundError):
        place.read(row)
    place.world.ledger.clock = lambda: ended + KEEP + timedelta(days=91)
    place.tasks.expire()
    assert [] == place.tasks.rows.newest(TENANT)


# --- processes that die


def test_what_another_process_left_is_begun_again(place: Place) -> None:
    """With what lay around of it removed; the lost try does not count as a failure."""
    row = place.ask()
    (begun,) = place.runner.begin(1)
    lost = files.private_folder(place.tasks.making() / begun.run) / "rows.csv"
    lost.write_bytes(ROWS)
    half = files.private_folder(place.folder / begun.run) / "rows.csv.part"
    half.write_bytes(b"half")
    heir = Place(place.world, place.folder)
    heir.runner.run()
    assert ("done", 1, 3 * ROWS) == (heir.row(row).state, heir.row(row).tries, heir.read(row))
    assert (False, False) == (lost.exists(), half.exists())


def test_what_was_whole_when_the_process_died_is_ended_not_repeated(place: Place) -> None:
    """Whoever has to be told is told, by the next one."""
    row = place.ask()

    def dies(_work: Work, _said: Mapping[str, Any]) -> None:
        msg = "as if it died here"
        raise RuntimeError(msg)

    place.runner.kinds["writing"] = Kind(name="writing", title="", run=place.writing.run, finished=dies)
    place.runner.run()
    assert "running" == place.row(row).state
    heir = Place(place.world, place.folder)
    heir.runner.run()
    assert ("done", [], 1) == (heir.row(row).state, heir.writing.begun, len(heir.writing.told[row.task]))
    assert 3 * ROWS == heir.read(row)


def test_a_process_that_lost_the_lead_writes_nothing_more(place: Place) -> None:
    """Its try ends without a trace, whatever the one that took over did meanwhile."""
    heir = Place(place.world, place.folder)
    place.writing.at_end = lambda _work: heir.runner.run()
    row = place.ask()
    place.runner.run()
    assert ("done", 3 * ROWS) == (place.row(row).state, place.read(row))
    assert ({}, 1) == (place.writing.told, len(heir.writing.told[row.task]))
    assert 1 == len(place.kept())


def test_a_stopped_process_puts_its_work_back(place: Place) -> None:
    """So that the next start goes on without waiting."""
    row = place.ask(10**9)
    with place.working():
        until(lambda: place.row(row).done > 0)
    assert ("queued", 0, []) == (place.row(row).state, place.row(row).tries, place.kept())


def test_nothing_is_done_by_a_process_that_does_not_lead(place: Place) -> None:
    """Nor taken over from the one that does."""
    row = place.ask()
    place.runner.begin(1)
    asked = threading.Event()

    def never() -> bool:
        asked.set()
        return False

    with Place(place.world, place.folder).working(never):
        assert asked.wait(PATIENCE_S)
    assert "running" == place.row(row).state


def test_while_nothing_can_be_appended_nothing_is_begun(place: Place) -> None:
    """It waits until an operator has found out why."""
    row = place.ask()
    place.world.ledger.freeze("the tree contradicts a signed head")
    assert 0 == place.runner.run()
    place.world.ledger.thaw()
    assert 1 == place.runner.run()
    assert "done" == place.row(row).state


def test_the_service_role_may_do_all_of_it(postgresql_database: Database, tmp_path: Path) -> None:
    """Without being the owner."""
    with world(postgresql_database.url, tmp_path) as w:
        sql = (
            "SELECT bool_and(has_table_privilege(?, 'tasks', right_)) "
            "FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_"
        )
        assert [(True,)] == w.ledger.database.read(sql, ("delivery_ledger_service",))


# --- at rest


def test_nothing_of_a_task_is_readable_at_rest(place: Place) -> None:
    """Neither the request, nor the result, nor the files; and only this account of the machine may enter the folders."""
    row = place.ask(4, scopes=("compliance",))
    modes = []
    place.writing.at_end = lambda work: modes.append(stat.S_IMODE(work.folder.stat().st_mode))
    place.runner.run()
    (path,) = place.kept()
    assert ROWS.strip() not in path.read_bytes()
    assert [0o700] * 3 == [*modes, *(stat.S_IMODE(p.stat().st_mode) for p in (place.folder, path.parent))]
    columns = place.world.ledger.database.read("SELECT request, result FROM tasks WHERE task = ?", (row.task,))[0]
    assert all(b"rows" not in bytes(column) for column in columns)


CHUNK = files.CHUNK_BYTES


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_sealed_file_gives_back_its_bytes(tmp_path: Path, size: int) -> None:
    """Of any size, also at the borders of its chunks."""
    plain = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "plain").write_bytes(plain)
    files.write(tmp_path / "plain", tmp_path / "sealed", b"k" * 32)
    assert plain == b"".join(files.read(tmp_path / "sealed", b"k" * 32))
    assert ["plain", "sealed"] == sorted(path.name for path in tmp_path.iterdir())


HEAD = len(files.MAGIC) + files.SALT_BYTES
SEALED = CHUNK + files.TAG_BYTES


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two whole chunks and a short one."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "plain").write_bytes(b"a" * CHUNK + b"b" * CHUNK + b"c")
    files.write(folder / "plain", folder / "sealed", b"k" * 32)
    return (folder / "sealed").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda s: s[: HEAD + SEALED], id="cut after the first chunk"),
        pytest.param(lambda s: s[: HEAD + 2 * SEALED], id="cut before the last chunk"),
        pytest.param(lambda s: s[:-1], id="cut by a byte"),
        pytest.param(lambda s: s[:HEAD], id="without chunks"),
        pytest.param(lambda s: s[:10], id="without a head"),
        pytest.param(lambda s: b"", id="empty"),
        pytest.param(lambda s: s + b"x", id="longer by a byte"),
        pytest.param(lambda s: s + s[HEAD:], id="twice"),
        pytest.param(
            lambda s: (
                s[:HEAD] + s[HEAD + SEALED : HEAD + 2 * SEALED] + s[HEAD : HEAD + SEALED] + s[HEAD + 2 * SEALED :]
            ),
            id="in another order",
        ),
        pytest.param(lambda s: s[:HEAD] + s[HEAD + SEALED :], id="without the first chunk"),
        pytest.param(lambda s: s[: HEAD - 1] + bytes([s[HEAD - 1] ^ 1]) + s[HEAD:], id="another salt"),
    ],
)
def test_a_sealed_file_that_was_damaged_does_not_open(
    sealed: bytes, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Chunks missing, doubled, in another order, cut off: told, never read as a shorter whole."""
    (tmp_path / "sealed").write_bytes(damage(sealed))
    with pytest.raises(CorruptError):
        b"".join(files.read(tmp_path / "sealed", b"k" * 32))


@hypothesis.given(at=st.integers(0, HEAD + 2 * SEALED + 16), bit=st.integers(0, 7))
@hypothesis.settings(max_examples=30, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_no_flipped_bit_goes_unseen(sealed: bytes, tmp_path: Path, at: int, bit: int) -> None:
    """Anywhere in the file."""
    (tmp_path / "sealed").write_bytes(sealed[:at] + bytes([sealed[at] ^ 1 << bit]) + sealed[at + 1 :])
    with pytest.raises(CorruptError):
        b"".join(files.read(tmp_path / "sealed", b"k" * 32))


@pytest.mark.parametrize(("name", "key"), [("other", b"k" * 32), ("sealed", b"K" * 32)])
def test_a_sealed_file_is_read_under_its_own_name_and_key_only(
    sealed: bytes, tmp_path: Path, name: str, key: bytes
) -> None:
    """One file never passes for another of the same task."""
    (tmp_path / name).write_bytes(sealed)
    with pytest.raises(CorruptError):
        b"".join(files.read(tmp_path / name, key))


def test_a_task_works_for_its_organisation_and_the_queue_for_all(place: Place) -> None:
    """What it reads belongs to whoever asked, where the database can refuse the rest; afterwards the runner sees all tasks again."""
    seen: list[str] = []
    place.writing.at_end = lambda _work: seen.append(working_tenant())
    rows = [place.ask(tenant=tenant) for tenant in (TENANT, "other")]
    place.runner.run()
    assert [TENANT, "other"] == seen
    assert ["done", "done"] == [place.row(row).state for row in rows]
    assert working_tenant() == ""
