"""Where the broker is and who asks: arguments, environment, config file, embedded server.

The first of these that has a value wins, field by field, save that a token found in one place
is never sent to a server named in another: a token beside a ``url`` belongs to that server.
"""

import json
import os
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_IWGRP, S_IWOTH
from typing import Any

from quanopy.domain.errors import Denied, Invalid, Unavailable

DEFAULT_RESOURCE = "aer"
"""What runs a job that names no resource: the emulator, for nothing is billed there."""

START = "Start one with `quanopy serve`, or set QUANOPY_URL and QUANOPY_TOKEN."
STARTING_S = 2.0
"""How long a broker that does not listen may be starting."""
STOPPED_S = 1.0
"""How long one that stopped as it should may be about to start again."""
RESTARTING_S = 5.0
"""How long one may be starting that has begun to, or that left signs of having died."""
LOOK_S = 0.1
MAX_SETTINGS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a client needs to know. The token is kept out of ``repr``."""

    url: str
    """``http(s)://host:port``, or ``unix:///path/of/socket``."""
    token: str | None = None
    ca: Path | None = None
    """A file of certificates to trust instead of the system's."""
    resource: str = DEFAULT_RESOURCE
    lease: str | None = None

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r}, resource={self.resource!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one place says; ``None`` where it says nothing."""

    url: str | None = None
    token: str | None = None
    ca: str | None = None
    resource: str | None = None
    lease: str | None = None


def find(
    url: str | None = None,
    token: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Settings:
    """The settings in force. Where a broker has run here, and runs no longer, one that may be
    starting again is waited for a little.

    Raises:
        Unavailable: no broker is named anywhere and none is running here.
        Denied: a file with a token in it could be read by others, or belongs to another.
        Invalid: a settings file cannot be understood.
    """
    env = os.environ if environ is None else environ
    began = clock()
    while True:
        try:
            return _found(url, token, env)
        except Unavailable:
            if clock() - began >= _patience_s(data_path(env)):
                raise
            pause(LOOK_S)


def _patience_s(data: Path) -> float:
    """How long to wait for the broker of a data folder. While it starts, or once it has died, its
    lock has its process in it; ``server.json`` stays where it died."""
    with suppress(OSError):
        if (data / "server.json").exists() or (data / "server.lock").stat().st_size:
            return RESTARTING_S
    return STOPPED_S if (data / "token").exists() else 0.0


def _found(url: str | None, token: str | None, env: Mapping[str, str]) -> Settings:
    sources = [Source(url=url, token=token), _environment(env), _config(config_path(env))]
    if not any(source.url for source in sources) or _lacks_token(sources):
        sources.append(_embedded(data_path(env), needed=not any(s.url for s in sources)))
    chosen = _first(sources, "url")
    if chosen is None:
        raise Unavailable("no broker is named, and none runs here", hint=START)
    ca = _first(sources, "ca")
    return Settings(
        url=chosen,
        token=next((s.token for s in sources if s.token and s.url in (None, chosen)), None),
        ca=Path(ca) if ca else None,
        resource=_first(sources, "resource") or DEFAULT_RESOURCE,
        lease=_first(sources, "lease"),
    )


def config_path(env: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/quanopy/config.toml``."""
    return _home(env, "XDG_CONFIG_HOME", ".config") / "quanopy" / "config.toml"


def data_path(env: Mapping[str, str] | None = None) -> Path:
    """Where an embedded server keeps its data: ``$QUANOPY_DATA``, or the user's data folder."""
    found = os.environ if env is None else env
    if folder := found.get("QUANOPY_DATA"):
        return Path(folder)
    return _home(found, "XDG_DATA_HOME", ".local/share") / "quanopy"


def _home(env: Mapping[str, str], variable: str, default: str) -> Path:
    folder = env.get(variable)
    return Path(folder) if folder else Path(env.get("HOME", "~")).expanduser() / default


def _first(sources: list[Source], field: str) -> str | None:
    return next((value for source in sources if (value := getattr(source, field))), None)


def _lacks_token(sources: list[Source]) -> bool:
    url = _first(sources, "url")
    return not any(source.token and source.url in (None, url) for source in sources)


def _environment(env: Mapping[str, str]) -> Source:
    return Source(
        url=env.get("QUANOPY_URL"),
        token=env.get("QUANOPY_TOKEN"),
        ca=env.get("QUANOPY_CA"),
        resource=env.get("QUANOPY_RESOURCE"),
        lease=env.get("QUANOPY_LEASE"),
    )


def _config(path: Path) -> Source:
    try:
        text = _read(path, private=False)
        values: dict[str, Any] = tomllib.loads(text.decode()) if text else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"not TOML: {error}", where=str(path)) from error
    known = {"url", "token", "ca", "resource"}
    for key, value in values.items():
        if key not in known or not isinstance(value, str):
            raise Invalid(
                f"{key} = {value!r} is no setting", where=str(path), hint=f"Known: {sorted(known)}."
            )
    if "token" in values:
        _read(path, private=True)
    return Source(**values)


def _embedded(data: Path, *, needed: bool) -> Source:
    """What the embedded server wrote down. Where it is only asked for a token, silence is fine."""
    path = data / "server.json"
    text = _read(path, private=False)
    if text is None:
        return Source()
    try:
        found = json.loads(text)
        pid = int(found["pid"])
        socket = found.get("socket")
        url = f"unix://{socket}" if socket else str(found["url"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid("not what `quanopy serve` writes", where=str(path), hint=START) from error
    if not _alive(pid):
        if needed:
            raise Unavailable(f"the broker of {data} (process {pid}) no longer runs", hint=START)
        return Source()
    token = _read(data / "token", private=True)
    return Source(url=url, token=token.decode().strip() if token else None)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: Path, *, private: bool) -> bytes | None:
    """A settings file, or ``None``; it must be ours, and where ``private`` ours to read alone."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            forbidden = 0o077 if private else S_IWGRP | S_IWOTH
            if status.st_uid != os.geteuid():
                raise Denied("belongs to another user", where=str(path), hint="Remove it.")
            if status.st_mode & forbidden:
                raise Denied(
                    f"other users may {'read' if private else 'change'} it",
                    where=str(path),
                    hint=f"Run `chmod 600 {path}`, and make a new token if one was in it.",
                )
            return file.read(MAX_SETTINGS_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise Denied("cannot be read", where=str(path)) from error
