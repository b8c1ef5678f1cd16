"""What takes long to start is started when somebody comes, and not before."""

from pathlib import Path

from tests.unit.server.service import JOB, running


def test_the_reader_is_started_for_the_first_caller_who_is_known(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        for path in ("/v1/health", "/metrics", "/openapi.json"):
            assert service.caller(None).get(path).status_code == 200
        assert service.caller(None).get("/v1/jobs").status_code == 401
        assert service.reader.warmed == 0
        for _ in range(3):
            assert service.client().get("/v1/jobs").status_code == 200
        assert service.reader.warmed == 1


def test_emulators_are_started_when_the_first_job_is_taken(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        client = service.client()
        client.get("/v1/jobs")
        assert service.first == []
        for _ in range(2):
            assert client.post("/v1/jobs", json=JOB).status_code == 201
        assert service.first == ["job"]
