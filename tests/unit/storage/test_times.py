"""Times as rows have them."""

from datetime import UTC, datetime

import pytest

from quanopy.storage.values import moment, stamp


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_vendors_time_beyond_the_calendar_can_be_read_again(text: str) -> None:
    assert moment(stamp(datetime.fromisoformat(text))).tzinfo is UTC


def test_any_other_time_is_kept() -> None:
    now = datetime.now(UTC)
    assert moment(stamp(now)) == now
