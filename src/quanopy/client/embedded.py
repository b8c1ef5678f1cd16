"""A whole broker inside the program: the one place where the client side runs a server."""

from pathlib import Path
from typing import Any

from quanopy.client.client import Client


class EmbeddedClient(Client):
    """A client of a broker that it runs itself; closing it stops the broker."""

    def __init__(self, path: Path, **settings: Any) -> None:
        """Start a broker with its data under ``path``, on a unix socket there.

        ``settings`` are fields of ``quanopy.server.settings.Settings``.

        Raises:
            Unavailable: it cannot start there.
        """
        from quanopy.server.run import Embedded
        from quanopy.server.settings import Settings

        broker = Embedded(Settings(data=path.absolute(), **settings))
        broker.__enter__()
        self._broker = broker
        try:
            super().__init__(f"unix://{broker.socket}", broker.token)
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Close the connections, then stop the broker; its jobs go on when it runs again."""
        super().close()
        self._stop()

    def _stop(self) -> None:
        self._broker.__exit__(None, None, None)
