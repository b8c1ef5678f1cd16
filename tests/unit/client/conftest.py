"""What tests of the client share."""

import pytest

from quanopy.client import http, polling


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has never answered is asked once."""
    monkeypatch.setattr(http, "STARTING_S", 0.0)
    monkeypatch.setattr(http, "FIRST_PATIENCE_S", 0.0)


@pytest.fixture
def breathless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that holds no request is asked again at once."""
    monkeypatch.setattr(polling, "BREATH_S", 0.0)
