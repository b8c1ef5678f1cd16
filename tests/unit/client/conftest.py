"""What tests of the client share."""

import pytest

from quanopy.client import http


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has never answered is asked once."""
    monkeypatch.setattr(http, "STARTING_S", 0.0)
    monkeypatch.setattr(http, "FIRST_PATIENCE_S", 0.0)
