"""Child processes and scratch directories that do not outlive the program that made them."""

import ctypes
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

_PR_SET_PDEATHSIG = 1
_PREFIX = "quanopy-servers"
_libc = ctypes.CDLL(None, use_errno=True)


class ServerUnavailable(Exception):
    """A server or tool that tests need is not installed, or did not start."""


class KeptPort:
    """A TCP port of 127.0.0.1 that nobody else is given until it is closed. Servers may listen on
    it, one after another, that reuse addresses as most do (`SO_REUSEADDR`)."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others have it."""
        self._socket.close()


def program(name: str) -> Path:
    """Return where a program of the distribution is, which may be out of an ordinary user's PATH.

    Raises:
        ServerUnavailable: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise ServerUnavailable(
            f"No {name}: run `make test`, which installs it, or tools/install-test-servers alone."
        )
    return Path(found)


def unprivileged_user() -> str | None:
    """Return whom to run servers as that refuse root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise ServerUnavailable("Some servers do not run as root, and there is no user `postgres`.")


def is_listening(port: int) -> bool:
    """Say whether something accepts connections on this port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class ScratchDirectory:
    """A temporary directory named after its process, so that a later one sweeps it if need be."""

    def __init__(self, name: str, *, parent: Path | None = None) -> None:
        parent = parent or _traversable_temporary_directory()
        _sweep(parent)
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{os.getpid()}-{name}-", dir=parent))

    def hand_over(self, user: str | None) -> None:
        """Give the directory and what is in it so far to this user; None: it stays ours."""
        if user:
            for path in (self.path, *self.path.rglob("*")):
                shutil.chown(path, user, user)

    def remove(self) -> None:
        """Delete the directory and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


class ServerProcess:
    """A server in a child process; it gets `stop_signal` when stopped and when its parent dies.

    The kernel sends that signal when the *thread* that started the child ends, so start servers
    from the main thread or from one that lives as long as they should.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment) if environment is not None else None,
                cwd=log.parent,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid(), stop_signal),
            )

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = 60) -> Self:
        """Return once `ready()`; raise ServerUnavailable, with the log, if it ends or is late."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerUnavailable(f"{self._process.args!r} did not start:\n{self.log()}")
            time.sleep(0.02)
        return self

    def log(self) -> str:
        """Return the last lines that the server wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-40:])

    def kill(self) -> None:
        """End the server as a crash would, with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def kill_and_outlive_children(self, *, timeout_s: float = 60) -> None:
        """The same; returns once all that it had started has found out, and ended."""
        self._process.send_signal(signal.SIGSTOP)  # it starts no more
        with ExitStack() as opened:
            handles = []
            for pid in _children_of(self._process.pid):
                with suppress(ProcessLookupError):  # it has ended
                    handles.append(os.pidfd_open(pid))
                    opened.callback(os.close, handles[-1])
            self.kill()
            for handle in handles:
                ended, _, _ = select.select([handle], [], [], timeout_s)
                assert ended, f"a process of {self._process.args!r} runs on"

    def stop(self, *, timeout_s: float = 30) -> None:
        """End the server, gently at first. May be called more than once."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()


def _children_of(parent: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            _state, ppid, *_ = stat.read_text().rpartition(")")[2].split()
            if int(ppid) == parent:
                yield int(stat.parent.name)


def _die_with(parent: int, stop_signal: signal.Signals) -> Callable[[], None]:
    def before_exec() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, stop_signal.value, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def _traversable_temporary_directory() -> Path:
    """Return the temporary directory, or /tmp where other users cannot reach into that."""
    chosen = Path(tempfile.gettempdir()).resolve()
    if all(directory.stat().st_mode & 0o001 for directory in (chosen, *chosen.parents)):
        return chosen
    return Path("/tmp")


def _sweep(parent: Path) -> None:
    for left in parent.glob(f"{_PREFIX}-*"):
        pid = left.name.removeprefix(f"{_PREFIX}-").split("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
