"""Parameters of a query: one that a route does not know is refused, for what it was to say is else
left out without a word, and a filter with a slip in its name lets everything through. What anybody
may ask, probes and scrapers do, and they add what they like."""

from fastapi.routing import APIRoute
from starlette.requests import Request

from quanopy.domain.errors import Invalid
from quanopy.server.gate import OPEN

_MOST_SHOWN = 60


async def only_known(request: Request) -> None:
    """Raise :class:`Invalid` for the first parameter that the request's route does not take."""
    given = request.query_params
    route = request.scope.get("route")
    if not given or not isinstance(route, APIRoute) or route.path in OPEN:
        return
    known = {parameter.alias for parameter in route.dependant.query_params}
    for name in given:
        if name not in known:
            raise Invalid(
                "there is no such parameter of the query",
                where=name[:_MOST_SHOWN],
                hint=f"Known: {', '.join(sorted(known))}." if known else "This route takes none.",
            )
