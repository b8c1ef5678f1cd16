"""A whole broker inside the program: the one place where the client side runs a server."""

from pathlib import Path

from quanopy.client.client import Client


class EmbeddedClient(Client):
    """A client of a broker that it runs itself; closing it stops the broker."""

    def __init__(self, path: Path) -> None:
        """Start a broker on a socket of its own, with its data under ``path``."""
        from quanopy.server.run import Embedded

        self._broker = Embedded(path)
        try:
            super().__init__(self._broker.url, self._broker.token)
        except BaseException:
            self._broker.close()
            raise

    def close(self) -> None:
        """Close the connections, then stop the broker; jobs that queue run on when it starts
        again."""
        super().close()
        self._broker.close()
