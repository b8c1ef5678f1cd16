"""The data folder: one broker at a time has it; its owner finds the server and a token in it."""

import contextlib
import fcntl
import getpass
import json
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from quanopy.domain.accounts import Scope
from quanopy.domain.errors import Unavailable
from quanopy.ports.tokens import TokenStore
from quanopy.server.auth import digest_of_secret, make_token, new_secret

TOKEN = "token"
SERVER = "server.json"
LOCK = "server.lock"
CATALOGUE = "quanopy.db"
logger = logging.getLogger(__name__)


def open_folder(data: Path) -> None:
    """Make the data folder, for its owner alone; raises :class:`Unavailable`.

    One that is there and open to others is closed to them if it is ours and holds nothing else;
    of any other the log warns.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close_to_others(data)
    except OSError as error:
        raise Unavailable(
            f"the data folder {data} cannot be made: {error.strerror}",
            hint="Choose another with --data or QUANOPY_DATA.",
        ) from error


def _close_to_others(data: Path) -> None:
    found = data.stat()
    if not found.st_mode & 0o077:
        return
    names = {path.name for path in data.iterdir()}
    ours = found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX
    if ours and (not names or names & {TOKEN, LOCK, CATALOGUE}):
        data.chmod(0o700)
        logger.warning("%s was open to other users; it is closed to them now", data)
    else:
        logger.warning("%s is open to other users: chmod 700 it, or choose another folder", data)


@contextlib.contextmanager
def sole(data: Path) -> Iterator[None]:
    """Be the only broker on a data folder; raises :class:`Unavailable` where there is one.

    The kernel lets go of the lock when its holder ends, however that ends (flock(2)). The file
    stays, with the holder's process in it until the holder stops: one that has died leaves it
    there, so that clients know of it. Workers beside a broker do not take it.
    """
    try:
        file = os.open(data / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"{data / LOCK} cannot be written: {error.strerror}") from error
    try:
        _lock(file, data)
        try:
            yield
        finally:
            os.ftruncate(file, 0)
    finally:
        os.close(file)


def _lock(file: int, data: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
    except BlockingIOError as error:
        raise Unavailable(
            f"a broker already runs on {data}",
            hint="Use it, or stop it, or choose another --data; more workers: `quanopy worker`.",
        ) from error
    except OSError as error:
        raise Unavailable(f"{data / LOCK} cannot be locked: {error.strerror}") from error


def owner_token(store: TokenStore, data: Path) -> str:
    """The secret in ``token``, made with the file if need be, and known to the store.

    It is an administrator's, for the account of the operating system's user. A store that does
    not know it (a rebuilt one) is told it again; once revoked it stays so.
    """
    secret = _read_or_make(data / TOKEN)
    if store.token(digest_of_secret(secret)) is None:
        store.add_token(make_token(account(), Scope.ADMIN, secret=secret, label="owner"))
    return secret


def account() -> str:
    """The operating system's user as an account name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid-{os.getuid()}"
    return re.sub(r"[^A-Za-z0-9._@-]", "-", name).lstrip(".-_@")[:100] or f"uid-{os.getuid()}"


def _read_or_make(path: Path) -> str:
    """The secret in a file; a new one where there is none yet. Whoever asks has the folder
    alone."""
    secret = path.read_text(encoding="ascii").strip() if path.exists() else ""
    if secret:
        return secret
    secret = new_secret()
    try:
        _replace(path, secret + "\n")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    return secret


@contextlib.contextmanager
def announced(data: Path, place: dict[str, str]) -> Iterator[None]:
    """Keep ``server.json``, which tells clients on this machine where the server is, while it
    runs; afterwards it is removed, unless another server has replaced it."""
    path = data / SERVER
    content = json.dumps(place | {"pid": os.getpid()})
    _replace(path, content)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            if path.read_text(encoding="utf-8") == content:
                path.unlink()


def _replace(path: Path, content: str) -> None:
    """For its owner alone, and whole as soon as it is there; what cannot be put there is left
    nowhere."""
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(file, "w", encoding="utf-8") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
