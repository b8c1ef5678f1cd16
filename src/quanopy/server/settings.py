"""Settings of server and worker, and the only place on their side that reads the environment.

Each setting may be given in a TOML file under its name (``port = 8420``), in the environment in
capitals after ``QUANOPY_`` (``QUANOPY_PORT=8420``), or on the command line; the later of these
goes before the earlier. A list in the environment is separated by commas.

The file is the one that is named, or else the first of ``$XDG_CONFIG_HOME/quanopy/quanopy.toml``
and ``/etc/quanopy/quanopy.toml`` that is there.
"""

import os
import stat
import tomllib
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from quanopy.domain.errors import Denied, Invalid
from quanopy.domain.texts import is_showable

PREFIX = "QUANOPY_"
FILE = Path("quanopy") / "quanopy.toml"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def default_data() -> Path:
    """``$XDG_DATA_HOME/quanopy``, or ``~/.local/share/quanopy``."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "quanopy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server or worker is to run."""

    data: Path = field(default_factory=default_data)
    """Folder of everything kept here: the SQLite file, local objects, the embedded token."""
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs ``tls_cert`` or ``insecure``."""
    port: int = 8420
    """TCP port; 0 takes a free one."""
    uds: Path | None = None
    """Unix socket to listen on instead of host and port."""
    tls_cert: Path | None = None
    """Certificate chain in PEM; with ``tls_key`` the server speaks HTTPS."""
    tls_key: Path | None = None
    """Private key of the certificate, in PEM."""
    insecure: bool = False
    """Allow plain HTTP beyond loopback, where something in front speaks TLS."""
    database: str = ""
    """``sqlite:////path`` or ``postgresql://…``; empty: a SQLite file in the data folder."""
    listen_dsn: str | None = None
    """Direct PostgreSQL connection for wake-ups, where ``database`` goes through a pooler."""
    objects: str = ""
    """``file:///path`` or ``s3://bucket/prefix``; empty: a folder in the data folder."""
    s3_endpoint: str | None = None
    """URL of the S3 service, where it is not Amazon's."""
    s3_region: str | None = None
    """Region of the bucket; ``None``: as the environment of the process says."""
    s3_access_key: str | None = None
    """Key id for the bucket; ``None``: the machine's own identity, if it has one."""
    s3_secret_key: str | None = field(default=None, repr=False)
    """Secret of the key id."""
    worker: bool = True
    """Whether ``serve`` also works on tasks, in threads of its own."""
    worker_ttl_s: float = 15.0
    """Seconds after which a worker that is not heard of is taken for dead, and its work for
    anybody's."""
    calibrate_s: float = 300.0
    """Seconds between questions for a resource's calibration."""
    calibration_fresh_s: float = 60.0
    """Seconds for which what was seen of a calibration is taken for current where work starts or
    ends; 0 asks each time."""
    providers: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"aer": {}, "vqpu": {}}, repr=False
    )
    """Tables of providers by their names: ``plugin`` (default: the name), ``resources``, and the
    options of the plugin. In the environment and on the command line: the names of those to load;
    one without a table is loaded without options."""
    registration_hosts: tuple[str, ...] = ("peer",)
    """Where resources that register themselves may be: networks, addresses, host names; ``peer``
    is the registrar's own address. Workers connect there."""
    registration_key: str | None = None
    """Where the key is that their tokens, and the secrets of webhooks, are made with
    (``env:NAME``, ``file:PATH``, ``command:…``), the same for servers and workers; ``None``: a
    file in the data folder."""
    registration_ttl_s: float = 15.0
    """Seconds without a heartbeat after which one of them is offline."""
    webhooks: bool = True
    """Whether this worker delivers webhooks: it connects to where users say."""
    webhook_networks: tuple[str, ...] = ()
    """Networks and addresses that webhooks may reach beside public ones, there also without
    TLS."""
    webhook_ca: Path | None = None
    """Certificates in PEM of authorities that webhooks are trusted by, beside the system's."""
    emulator_processes: int = 0
    """Processes that emulate; 0: one for every ``emulator_threads`` cores."""
    emulator_threads: int = 1
    """Threads of each emulating process."""
    emulator_memory_mb: int = 0
    """Memory of each emulating process; 0: its share of most of what the machine has."""
    reader_memory_mb: int = 2048
    """Memory that reading programs may use in a process."""
    read_deadline_s: float = 5.0
    """Seconds a submission waits for its programs to be read; then it is accepted unread and
    checked at dispatch."""
    body_limit: int = 32 * 1024 * 1024
    """Bytes of a request's body, at most."""
    body_timeout_s: float = 60.0
    """Seconds a request's body may take to arrive."""
    receipt_limit: int = 1024 * 1024 * 1024
    """Bytes of a receipt that is imported, at most; unpacked it may have ten times as many."""
    most_waiting: int = 5_000
    """Submissions that may wait to be stored; more are asked to come again."""
    shutdown_s: float = 10.0
    """Seconds that requests under way may take to end when the server stops."""
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""
    log_format: str = "console"
    """``console`` for people, ``json`` for machines."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; raises :class:`Invalid` naming the setting."""
        _check(0 <= self.port < 65536, "port", "is no TCP port")
        _check(self.log_level in _LEVELS, "log_level", f"is none of {', '.join(_LEVELS)}")
        _check(self.log_format in ("console", "json"), "log_format", "is neither console nor json")
        _check((self.tls_cert is None) == (self.tls_key is None), "tls_key", "goes with tls_cert")
        for name in (
            "body_limit",
            "receipt_limit",
            "most_waiting",
            "emulator_threads",
            "reader_memory_mb",
        ):
            _check(getattr(self, name) > 0, name, "must be more than 0")
        for name in (
            *("read_deadline_s", "body_timeout_s", "shutdown_s", "worker_ttl_s"),
            *("calibrate_s", "registration_ttl_s"),
        ):
            _check(getattr(self, name) > 0, name, "must be more than 0 seconds")
        _check(self.calibration_fresh_s >= 0, "calibration_fresh_s", "must not be negative")

    @property
    def database_url(self) -> str:
        """The database, wherever it was chosen."""
        return self.database or f"sqlite:///{self.data.absolute() / 'quanopy.db'}"

    @property
    def objects_url(self) -> str:
        """The object store, wherever it was chosen."""
        return self.objects or (self.data.absolute() / "objects").as_uri()

    @property
    def exposed(self) -> bool:
        """Whether anybody but this machine could connect."""
        return self.uds is None and self.host not in LOOPBACK


_LONGEST_NAME = 64
_LEVELS = ("debug", "info", "warning", "error")


def _check(holds: bool, name: str, complaint: str) -> None:
    if not holds:
        raise Invalid(f"it {complaint}", where=name)


def load(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    **overrides: object,
) -> Settings:
    """Settings from a TOML file (by default the one ``QUANOPY_CONFIG`` names), the environment
    and overrides (``None``: not given).

    Raises :class:`Invalid`, naming the setting, for what is not known or cannot be meant.
    """
    environ = os.environ if environ is None else environ
    file = file or _default_file(environ)
    given: dict[str, object] = dict(_from_file(file)) if file else {}
    tables = _provider_tables(given.pop("providers", {}))
    names = {setting.name for setting in fields(Settings)}
    given |= {
        name: environ[PREFIX + name.upper()]
        for name in names
        if environ.get(PREFIX + name.upper(), "") != ""
    }
    given |= {name: value for name, value in overrides.items() if value is not None}
    if unknown := sorted(given.keys() - names):
        raise _no_setting(unknown[0], names, file)
    chosen = _names(given.pop("providers", ()))
    hints = typing.get_type_hints(Settings)
    converted: dict[str, Any] = {
        name: _convert(name, value, hints[name]) for name, value in given.items()
    }
    if chosen or tables:
        converted["providers"] = {name: tables.get(name, {}) for name in chosen or tables}
    return Settings(**converted)


def _no_setting(name: str, names: Collection[str], file: Path | None) -> Invalid:
    """The error of a name that no setting has: where it stands, and what may have been meant."""
    alike = get_close_matches(name, names, n=1)
    hints = [f"Did you mean {alike[0]}?"] if alike else []
    if file:
        hints.append(f"It stands in {file}.")
    return Invalid(
        f"there is no setting {name[:60]}", where=name[:60], hint=" ".join(hints) or None
    )


def _default_file(environ: Mapping[str, str]) -> Path | None:
    """The file that is read where none is given: the one named, or the first one there."""
    if named := environ.get("QUANOPY_CONFIG"):
        return Path(named)
    home = environ.get("XDG_CONFIG_HOME") or (
        str(Path(environ["HOME"]) / ".config") if environ.get("HOME") else None
    )
    places = [*([Path(home)] if home else []), Path("/etc")]
    return next((place / FILE for place in places if (place / FILE).is_file()), None)


def _from_file(file: Path) -> Mapping[str, object]:
    try:
        with file.open(encoding="utf-8") as opened:
            found = os.fstat(opened.fileno())
            if found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IWOTH:
                # It says which commands are run and where credentials are.
                raise Denied("others may change it", where=str(file), hint="chmod o-w, and own it.")
            return tomllib.loads(opened.read())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        said = (isinstance(error, OSError) and error.strerror) or error
        raise Invalid(f"cannot read settings: {said}", where=str(file)) from error


def _convert(name: str, value: object, hint: Any) -> object:
    """The value in the type of its setting; text is read, anything else must be of the type."""
    if isinstance(hint, types.UnionType):
        hint = next(one for one in typing.get_args(hint) if one is not types.NoneType)
    wanted = typing.get_origin(hint) or hint
    try:
        return _READ[wanted](value)
    except (TypeError, ValueError) as error:
        raise Invalid(f"{value!r} is no {wanted.__name__}", where=name) from error


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False}
    if str(value).lower() not in known:
        raise ValueError(value)
    return known[str(value).lower()]


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(str(part) for part in value)
    raise TypeError(value)


def _provider_tables(value: object) -> dict[str, dict[str, Any]]:
    """The tables of providers. What is in them may be a secret in the wrong place, so that it is
    never shown."""
    if not isinstance(value, dict):
        raise Invalid("is no table of tables: [providers.NAME]", where="providers")
    for name, table in value.items():
        if not (0 < len(name) <= _LONGEST_NAME and is_showable(name)):
            raise Invalid(
                f"no provider has a name like {name[:_LONGEST_NAME]!r}", where="providers"
            )
        if not isinstance(table, dict):
            raise Invalid("is no table", where=f"providers.{name}", hint=f"[providers.{name}]")
    return value


_READ: Mapping[type, Callable[[Any], object]] = {
    bool: _boolean,
    int: int,
    float: float,
    str: str,
    Path: lambda value: Path(value).expanduser(),
    tuple: _names,
}
