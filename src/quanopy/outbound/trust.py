"""Whose certificates are believed."""

import ssl
from pathlib import Path

from quanopy.domain.errors import Invalid


def trusting(authorities: Path | None) -> ssl.SSLContext:
    """This machine's authorities, and those in a file in PEM; raises :class:`Invalid`."""
    context = ssl.create_default_context()
    if authorities is not None:
        try:
            context.load_verify_locations(cafile=authorities)
        except OSError as error:
            raise Invalid(
                f"no certificates can be read: {error.strerror or 'it is no PEM file'}",
                where="webhook_ca",
            ) from error
    return context
