"""Pauses between looks at remote work: about as long as nothing has changed, and in step."""

import pytest

from quanopy.services import looks

BASE_S = 2.0


@pytest.mark.parametrize("pause_s", [2.0, 2.5, 4.0, 7.9, 16.0, 32.0])
def test_a_pause_is_cut_by_a_quarter_at_most(pause_s: float) -> None:
    assert max(BASE_S, 0.75 * pause_s) - 0.5 <= looks.in_step(pause_s, BASE_S) <= pause_s + 0.25


def test_who_waits_about_as_long_is_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = set()
    for at in (1000.0, 1001.3, 1003.9, 1005.2):
        monkeypatch.setattr("time.time", lambda at=at: at)
        ends.add(round(at + looks.in_step(32.0, BASE_S)))
    assert len(ends) <= 2
