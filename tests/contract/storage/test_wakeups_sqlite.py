"""Wake-ups beside a SQLite file keep their contract, across processes too."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quanopy.domain.errors import Invalid, Unavailable
from quanopy.ports.wakeups import Topic, Wakeups
from quanopy.storage.wakeups import open_wakeups
from quanopy.storage.wakeups_sqlite import SqliteWakeups
from quanopy.testing.wakeups_contract import Bell, WakeupsContract

_ECHO = """
import sys, threading
from pathlib import Path
from quanopy.ports.wakeups import Topic
from quanopy.storage.wakeups import open_wakeups
from quanopy.storage.wakeups_sqlite import SqliteWakeups
wakeups = SqliteWakeups(Path(sys.argv[1]))
wakeups.subscribe(Topic.WORK, lambda: wakeups.notify(Topic.EVENTS))
print("ready", flush=True)
sys.stdin.read()
wakeups.close()
"""


class TestSqliteWakeups(WakeupsContract):
    @pytest.fixture
    def pair(self, tmp_path: Path) -> Iterator[tuple[Wakeups, Wakeups]]:
        here, there = SqliteWakeups(tmp_path / "db"), SqliteWakeups(tmp_path / "db")
        yield here, there
        here.close()
        there.close()


@pytest.fixture
def wakeups(tmp_path: Path) -> Iterator[SqliteWakeups]:
    wakeups = SqliteWakeups(tmp_path / "db")
    yield wakeups
    wakeups.close()


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that answers each hint of work with one of events."""
    with subprocess.Popen(
        [sys.executable, "-c", _ECHO, str(tmp_path / "db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_hints_cross_processes(
    wakeups: SqliteWakeups,
    echo: subprocess.Popen[str],
    record_property: Callable[[str, object], None],
) -> None:
    bell = Bell()
    wakeups.subscribe(Topic.EVENTS, bell)
    times = []
    for _ in range(50):
        bell.reset()
        start = time.perf_counter()
        wakeups.notify(Topic.WORK)
        assert bell.rang()
        times.append(time.perf_counter() - start)
    record_property("there_and_back_p50_ms", sorted(times)[25] * 1e3)


def test_sockets_of_a_killed_process_are_taken_away(
    tmp_path: Path, wakeups: SqliteWakeups, echo: subprocess.Popen[str]
) -> None:
    sockets = tmp_path / "db.wake"
    assert len(list(sockets.iterdir())) == 2 * len(Topic)
    os.kill(echo.pid, signal.SIGKILL)
    echo.wait(10)
    wakeups.notify(*Topic)
    assert len(list(sockets.iterdir())) == len(Topic)


def test_closing_takes_the_own_sockets_away(tmp_path: Path) -> None:
    SqliteWakeups(tmp_path / "db").close()
    assert list((tmp_path / "db.wake").iterdir()) == []


def test_only_the_owner_may_reach_the_sockets(tmp_path: Path, wakeups: SqliteWakeups) -> None:
    assert stat.S_IMODE((tmp_path / "db.wake").stat().st_mode) == 0o700


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    here, there = SqliteWakeups(folder / "db"), SqliteWakeups(folder / "db")
    bell = Bell()
    there.subscribe(Topic.WORK, bell)
    here.notify(Topic.WORK)
    assert bell.rang()
    here.close()
    there.close()


def test_a_full_queue_blocks_nobody(wakeups: SqliteWakeups, echo: subprocess.Popen[str]) -> None:
    bell = Bell()
    wakeups.subscribe(Topic.EVENTS, bell)
    os.kill(echo.pid, signal.SIGSTOP)
    for _ in range(1000):
        wakeups.notify(Topic.WORK)
    bell.reset()
    os.kill(echo.pid, signal.SIGCONT)
    wakeups.notify(Topic.WORK)
    assert bell.rang()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"no wake-ups beside .*file/db"):
        SqliteWakeups(tmp_path / "file" / "db")


def test_a_sqlite_url_opens_them(tmp_path: Path) -> None:
    wakeups = open_wakeups(f"sqlite:///{tmp_path / 'db'}")
    assert (tmp_path / "db.wake").is_dir()
    wakeups.close()


@pytest.mark.parametrize("url", ["", "sqlite://", "mysql://me:hunter2@there/db", "me:hunter2@x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="no URL of a database") as caught:
        open_wakeups(url)
    assert "hunter2" not in str(caught.value)
