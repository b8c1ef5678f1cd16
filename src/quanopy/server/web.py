"""What the routes share: the broker's parts, and those that belong to one HTTP server."""

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from quanopy.domain.accounts import Identity
from quanopy.server.auth import Authenticator
from quanopy.server.bodies import read_body
from quanopy.server.feed import Feed
from quanopy.server.loop import Calls, Mailbox
from quanopy.server.metrics import Metrics
from quanopy.server.parts import Parts
from quanopy.server.reads import JobReads
from quanopy.services.importing import Importing
from quanopy.services.submit import Submitted

_UNPACKED = 10
"""How much larger a receipt may be once it is unpacked: JSON is packed to a tenth."""


class Web:
    """One HTTP server's parts; ``close`` ends those it made itself."""

    def __init__(self, parts: Parts) -> None:
        self.settings = parts.settings
        self.store = parts.store
        self.objects = parts.objects
        self.wakeups = parts.wakeups
        self.reader = parts.reader
        self.submit = parts.submit
        self.targets = parts.targets
        self.calibrations = parts.calibrations
        self.registration_token = parts.registration_token
        self.candidates = parts.candidates
        self.egress = parts.egress
        self.webhook_secrets = parts.webhook_secrets
        self.calls = Calls()
        self.importing = Importing(
            store=parts.store,
            objects=parts.objects,
            reader=parts.reader,
            most_bytes=_UNPACKED * parts.settings.receipt_limit,
        )
        self.asks = Calls()
        """For calls that may wait for a vendor, a stranger's virtual QPU, or a command that tells a
        key: however long those take, all other requests are answered."""
        self.feed = Feed(parts.store, parts.wakeups, parts.hints)
        self.reads = JobReads(parts.store)
        self.authenticator = Authenticator(parts.store, self.calls)
        self.metrics = Metrics(
            waiting=lambda: self.feed.waiting, submitting=lambda: self.submit.waiting
        )
        self.submitted: Mailbox[Submitted] | None = None

    def close(self) -> None:
        """Stop the threads of this server; idempotent."""
        self.feed.close()
        self.reads.close()
        self.calls.close()
        self.asks.close()


def web_of(request: Request) -> Web:
    """The server that a request came to."""
    web: Web = request.app.state.web
    return web


def identity_of(request: Request) -> Identity:
    """Who a request speaks for, as the gate found."""
    identity: Identity = request.scope["identity"]
    return identity


async def body_of(request: Request, web: Web) -> bytes:
    """The JSON body of a request."""
    settings = web.settings
    return await read_body(request, limit=settings.body_limit, timeout_s=settings.body_timeout_s)


def answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A model as a JSON response, serialised once."""
    return json_response(model.model_dump_json(), status, headers)


def json_response(
    content: str | bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON text as a response."""
    return Response(content, status, headers, media_type="application/json")
