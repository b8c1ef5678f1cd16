"""A real S3 server of one's own: versitygw over a directory, on a free port of 127.0.0.1."""

import os
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import (
    KeptPort,
    ScratchDirectory,
    ServerProcess,
    ServerUnavailable,
    is_listening,
)

VERSION = "v1.8.0"


def binary() -> Path:
    """Return where the gateway is, or will be once installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "quanopy" / "bin" / f"versitygw-{VERSION}"


class S3Server:
    """An S3 server with one empty bucket, gone when the block ends.

    Raises:
        ServerUnavailable: it is not installed, or did not start.
    """

    region = "us-east-1"

    def __init__(self, *, bucket: str = "quanopy", directory: Path | None = None) -> None:
        self.bucket = bucket
        self.access_key = f"test{secrets.token_hex(8)}"
        self.secret_key = secrets.token_hex(20)
        self.port = 0
        self._parent = directory
        self._cleanup = ExitStack()

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Mapping[str, str]:
        """What obstore's `S3Store.from_url` takes as its `config`, plain http aside."""
        return {
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }

    def create_bucket(self, name: str) -> None:
        """Create another bucket."""
        (self._root / name).mkdir()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            if not binary().exists():
                raise ServerUnavailable(
                    f"No S3 server at {binary()}: run `make test`, which installs it, "
                    "or tools/install-test-servers alone."
                )
            scratch = ScratchDirectory("s3", parent=self._parent)
            cleanup.callback(scratch.remove)
            self._scratch = scratch.path
            self._root = scratch.path / "buckets"
            self._root.mkdir()
            (scratch.path / "users").mkdir()
            self.create_bucket(self.bucket)
            self.port = cleanup.enter_context(KeptPort()).number
            cleanup.callback(self._launch().stop)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def _launch(self) -> ServerProcess:
        keys = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        command: list[str | Path] = [binary(), "--quiet", "--region", self.region]
        command += ["--port", f"127.0.0.1:{self.port}", "--keep-alive"]
        # With users of its own it answers an unknown key as S3 does: 403, not 404.
        command += ["--iam-dir", self._scratch / "users", "posix"]
        command += [*self._where_metadata_goes(), self._root]
        process = ServerProcess(command, log=self._scratch / "log", environment=os.environ | keys)
        return process.wait_until(lambda: is_listening(self.port))

    def _where_metadata_goes(self) -> list[str | Path]:
        """Extended attributes, or files beside the buckets where the file system has none."""
        try:
            os.setxattr(self._root, "user.quanopy", b"1")
        except OSError:
            sidecar = self._scratch / "metadata"
            sidecar.mkdir(exist_ok=True)
            return ["--sidecar", sidecar]
        return []
