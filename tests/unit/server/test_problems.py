"""Problem documents: they can be written whatever an error says."""

import json
import math

import pytest

from quanopy.domain.errors import Unavailable
from quanopy.server.problems import error_response


@pytest.mark.parametrize(
    ("asked", "said"),
    [(2.5, "3"), (None, "1"), (math.inf, "86400"), (1e30, "86400"), (math.nan, "1"), (-9.0, "1")],
)
def test_when_to_try_again_is_a_number_of_seconds_within_a_day(
    asked: float | None, said: str
) -> None:
    response = error_response(Unavailable("away", retry_after_s=asked))
    assert response.headers["retry-after"] == said
    again = json.loads(bytes(response.body)).get("retry_after_s", 0.0)
    assert 0 <= again <= 86_400
