"""Signals break off what may be broken off, and nothing else; none is lost."""

import signal
import sys
import threading

import pytest

from quanopy.cli import signals as module
from quanopy.cli.signals import Signalled, Signals


class Dying:
    """Is told to end while it is finalised, where Python drops what is raised."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def wait_after(dying: Dying) -> None:
    """Until a signal comes, once this has died."""
    del dying
    threading.Event().wait(60)
    pytest.fail("the signal was lost")


def ended() -> None:
    """Be told to end."""
    signal.raise_signal(signal.SIGTERM)


def test_what_is_dropped_in_a_finaliser_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with Signals() as signals, pytest.raises(Signalled) as caught:
        signals.interruptible(lambda: wait_after(Dying()))
    assert caught.value.exit_code == 143


def test_what_came_before_is_raised_where_it_may_be() -> None:
    with Signals() as signals:
        signal.raise_signal(signal.SIGINT)
        ended()
        with pytest.raises(Signalled, match="SIGINT"):
            signals.interruptible(lambda: pytest.fail("it was not raised"))


def test_what_must_not_be_torn_in_two_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    with Signals() as signals:
        with pytest.raises(Signalled):
            signals.interruptible(ended)
        ended()
        threading.Event().wait(0.05)


def test_afterwards_signals_do_what_they_did() -> None:
    before = [signal.getsignal(one) for one in (*module.CAUGHT, signal.SIGALRM)]
    with Signals() as signals:
        assert signals.interruptible(lambda: 7) == 7
        with pytest.raises(Signalled):
            signals.interruptible(ended)
    assert [signal.getsignal(one) for one in (*module.CAUGHT, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
