"""How an account of Pasqal's cloud is reached."""

from dataclasses import dataclass
from typing import Literal

from quanopy.domain.programs import digest_of
from quanopy.providers.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """See :func:`quanopy.providers.pasqal.create`."""

    project: str
    username: str | None
    password: Secret | None
    token: Secret | None
    region: Literal["fr", "sa"]
    url: str | None
    token_url: str | None
    timeout_s: float

    @property
    def fingerprint(self) -> str:
        """Of the cloud and the project, which is who pays."""
        return digest_of(f"{self.url or self.region}\0{self.project}".encode())
