"""Work that is told of while it is done, where its caller stays and where it leaves."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from typing import cast

import pytest
from pydantic import BaseModel

from quanopy.domain.errors import Invalid
from quanopy.domain.imports import ImportStep
from quanopy.server import underway
from quanopy.wire.jobs import ImportingOut

FAR = ImportingOut(step=ImportStep.CHECK, done=1, of=2)


async def _all_said(error: Exception | None, *, leaves: bool) -> str:
    """What is said of work that ends with this error, or well; by a caller who ``leaves`` once it
    was told how far it is, nothing more is heard."""
    end = asyncio.Event()

    async def work() -> BaseModel:
        await end.wait()
        if error is not None:
            raise error
        return FAR

    pieces = cast(AsyncIterator[bytes], underway.told(work(), lambda: FAR).body_iterator)
    said = [await anext(pieces)]
    others = asyncio.all_tasks() - {cast("asyncio.Task[object]", asyncio.current_task())}
    end.set()
    if leaves:
        await cast("asyncio.Future[None]", pieces.aclose())  # type: ignore[attr-defined]
    else:
        said += [one async for one in pieces]
    assert others
    await asyncio.wait(others)
    return b"".join(said).decode()


def said(error: Exception | None, *, leaves: bool = False) -> str:
    text = asyncio.run(_all_said(error, leaves=leaves))
    gc.collect()
    return text


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(underway, "EVERY_S", 0.001)


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (None, "event: done\n"),
        (Invalid("no whole zip\n\nevent: done\ndata: {}"), '"status":422'),
        (RuntimeError("what nobody foresaw"), '"status":500'),
    ],
    ids=["done", "problem", "unexpected"],
)
def test_whoever_listens_is_told_how_it_ended(error: Exception | None, last: str) -> None:
    *before, end = said(error).removesuffix("\n\n").split("\n\n")
    assert before
    assert all(one.startswith("event: progress\n") for one in before)
    assert last in end
    assert len(end.splitlines()) == 2


def test_what_a_caller_did_wrong_who_left_is_no_fault_of_the_broker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said(Invalid("no whole zip"), leaves=True)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_what_nobody_foresaw_is_logged_under_its_id_though_the_caller_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said(RuntimeError("what nobody foresaw"), leaves=True)
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert record.getMessage().startswith("unexpected error ")
