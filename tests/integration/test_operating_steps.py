"""The steps of the operating guide towards PostgreSQL, S3 and several workers lead there."""

import subprocess
from pathlib import Path

import pytest

from quanopy import Client
from quanopy.domain.errors import Denied
from quanopy.wire.service import TokenIn
from tests.integration.processes import QUANOPY, START_S, outside, running
from tests.servers import PgBouncer, S3Server

CIRCUIT = 'OPENQASM 3.0; include "stdgates.inc"; qubit q; bit c; x q; c = measure q;'


@pytest.mark.postgres
@pytest.mark.s3
def test_a_server_and_two_workers_share_a_database_and_a_bucket(
    postgres_dsn: str, s3_server: S3Server, tmp_path: Path
) -> None:
    data = tmp_path / "server"
    environ = {
        **outside(),
        "QUANOPY_DATABASE": postgres_dsn,
        "QUANOPY_OBJECTS": f"s3://{s3_server.bucket}/production",
        "QUANOPY_S3_ENDPOINT": s3_server.endpoint,
        "QUANOPY_S3_REGION": s3_server.region,
        "QUANOPY_S3_ACCESS_KEY": s3_server.access_key,
        "QUANOPY_S3_SECRET_KEY": s3_server.secret_key,
    }
    _migrate(data, environ)
    with running(data, environ, workers=("one", "two")) as url:
        _use(url, (data / "token").read_text().strip())


@pytest.mark.postgres
def test_a_broker_works_through_a_transaction_pooler(
    postgres_dsn: str, pgbouncer: PgBouncer, tmp_path: Path
) -> None:
    data = tmp_path / "server"
    environ = {
        **outside(),
        "QUANOPY_DATABASE": pgbouncer.through(postgres_dsn),
        "QUANOPY_LISTEN_DSN": postgres_dsn,
        "QUANOPY_OBJECTS": (tmp_path / "objects").as_uri(),
    }
    _migrate(data, environ)
    with running(data, environ, workers=("one",)) as url:
        _use(url, (data / "token").read_text().strip())


def _migrate(data: Path, environ: dict[str, str]) -> None:
    migrated = subprocess.run(
        [QUANOPY, "store", "migrate"],
        env=environ | {"QUANOPY_DATA": str(data)},
        check=False,
        capture_output=True,
        text=True,
        timeout=START_S,
    )
    assert migrated.returncode == 0, migrated.stderr


def _use(url: str, owner: str) -> None:
    """A user's and an operator's first steps there."""
    with Client(url, owner) as client:
        made = client.create_token(TokenIn(account="ada"))
        with Client(url, made.secret) as ada:
            job = ada.submit(CIRCUIT, shots=10)
            assert job.result(START_S)[0].counts == {"1": 10}
            with pytest.raises(Denied):
                ada.tokens()
            client.revoke_token(made.id)
            with pytest.raises(Denied):
                ada.job(job.id).status()
        assert client.job(job.id).detail().account == "ada"
