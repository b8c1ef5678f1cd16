"""The fake vendor's server as a process of its own."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.servers.process import KeptPort, ScratchDirectory, ServerProcess, is_listening


class FakeVendorServer:
    """A fake vendor that survives its own restarts; see `quanopy.testing.fake_vendor`."""

    def __init__(self, **script: Any) -> None:
        self._script = script
        self._kept = KeptPort()
        self.port = self._kept.number
        self.url = f"http://127.0.0.1:{self.port}"
        # Reading the certificates that it would trust takes longer than all requests.
        self._http = httpx.Client(base_url=self.url, trust_env=False, verify=False, timeout=30)

    def __enter__(self) -> Self:
        self._scratch = ScratchDirectory("vendor")
        self.start()
        self.script(**self._script)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()
        self._process.stop()
        self._kept.close()
        self._scratch.remove()

    def start(self) -> None:
        """Start it, or start it again after a crash."""
        file, log = Path(self._scratch.path, "vendor.db"), Path(self._scratch.path, "vendor.log")
        module = "quanopy.testing.fake_vendor"
        command: list[str | Path] = [sys.executable, "-m", module, file, "--port", str(self.port)]
        self._process = ServerProcess(command, log=log)
        self._process.wait_until(lambda: is_listening(self.port))

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def script(self, **values: Any) -> None:
        """How it behaves from now on; see `quanopy.testing.fake_vendor.Script`."""
        self._script = values
        self._http.put("/script", json=values).raise_for_status()

    def fault(self, route: str, *kinds: str) -> None:
        """What the next requests of a route meet."""
        self.script(**self._script | {"next": {route: list(kinds)}})

    def counts(self) -> Mapping[str, Any]:
        """What it has accepted."""
        found: Mapping[str, Any] = self._http.get("/counts").json()
        return found
