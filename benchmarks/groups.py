"""10,000 and 100,000 jobs in one group: made, run to all results, looked at and cancelled, beside
the same jobs without a group on the same broker."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import httpx

from benchmarks.measure import Measure, p95, report, seconds
from benchmarks.serving import JOB, Served, broker, put_offline

T = TypeVar("T")

ALONE = "/v1/jobs/batch"
MANY, LOT, ROUNDS = 10_000, 1_000, 2
MOST = 100_000
BEYOND_S = 1.0
LOOKS = 20


def main() -> None:
    """Measure all, the best round of each."""
    with broker(emulator_processes="1") as served, _http(served) as http:
        _results(http, _posted(http, ALONE, LOT))  # until all is loaded
        rounds = [_round(served, http, number) for number in range(ROUNDS)]
        best = {name: min(one[name] for one in rounds) for name in rounds[0]}
        most = [*_most(served, http)]
    many = f"group of {MANY:,} jobs"
    report(
        [
            _beside(f"{many}: made and filled", best["made"], best["made alone"]),
            _quick(f"{many}: its progress, p95", best["looked"]),
            _quick(f"{many}: all listed in order", best["listed"]),
            _beside(f"{many}: from its run to all results", best["ran"], best["ran alone"]),
            _quick(f"{many}: all its results once they are there", best["fetched"]),
            _beside(f"{many}: cancelled, to its end", best["dropped"], best["dropped alone"]),
            *most,
        ]
    )


def _round(served: Served, http: httpx.Client, number: int) -> dict[str, float]:
    """How long each took."""
    put_offline(served)
    alone, made_alone = _timed(lambda: _posted(http, ALONE, MANY))

    def run_alone() -> None:
        _online(http)
        _results(http, alone)

    ran_alone = seconds(run_alone)
    put_offline(served)
    group = _group(http, f"run {number}")
    ids, made = _timed(lambda: _posted(http, f"/v1/groups/{group}/jobs", MANY))
    looked, listed = _looked(http, group), seconds(lambda: _listed(http, group))

    def run() -> None:
        _online(http)
        _act(http, group, "run")
        _await(http, group)
        _results(http, ids)

    ran, fetched = seconds(run), seconds(lambda: _results(http, ids))
    put_offline(served)
    alone = _posted(http, ALONE, MANY)
    dropped_alone = seconds(lambda: _drop(http, alone))
    group = _group(http, f"dropped {number}")
    _posted(http, f"/v1/groups/{group}/jobs", MANY)
    return {
        "made": made,
        "made alone": made_alone,
        "looked": looked,
        "listed": listed,
        "ran": ran,
        "ran alone": ran_alone,
        "fetched": fetched,
        "dropped": seconds(lambda: _cancelled(http, group)),
        "dropped alone": dropped_alone,
    }


def _most(served: Served, http: httpx.Client) -> Iterator[Measure]:
    """A group as large as can be."""
    name = f"group of {MOST:,} jobs"
    put_offline(served)
    group = _group(http, "most")
    _, made = _timed(lambda: _posted(http, f"/v1/groups/{group}/jobs", MOST))
    yield _figure(f"{name}: made and filled", made)
    yield _quick(f"{name}: its progress, p95", _looked(http, group))
    yield _figure(f"{name}: all listed in order", seconds(lambda: _listed(http, group)))
    yield _figure(f"{name}: cancelled, to its end", seconds(lambda: _cancelled(http, group)))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    found = work()
    return found, time.perf_counter() - began


def _beside(name: str, value: float, alone: float) -> Measure:
    """Beside the same jobs without a group."""
    return Measure(
        measure=name,
        value=value,
        unit="s",
        peer=alone,
        goal=f"at most {BEYOND_S:g} s beyond the same jobs without a group",
        holds=value <= alone + BEYOND_S,
    )


def _quick(name: str, value: float) -> Measure:
    goal = f"at most {BEYOND_S:g} s"
    return Measure(
        measure=name, value=value, unit="s", peer=None, goal=goal, holds=value <= BEYOND_S
    )


def _figure(name: str, value: float) -> Measure:
    return Measure(measure=name, value=value, unit="s", peer=None, goal="told", holds=True)


def _group(http: httpx.Client, name: str) -> str:
    made = http.post("/v1/groups", json={"name": name, "resource": "aer"}).raise_for_status()
    return str(made.json()["id"])


def _posted(http: httpx.Client, path: str, count: int) -> list[str]:
    """Jobs in lots, as the client sends them."""
    job = {**JOB, "options": {"shots": 10}}
    lots = (http.post(path, json={"jobs": [job] * LOT}) for _ in range(count // LOT))
    return [job["id"] for answer in lots for job in answer.raise_for_status().json()["jobs"]]


def _act(http: httpx.Client, group: str, action: str) -> None:
    http.post(f"/v1/groups/{group}/action", json={"action": action}).raise_for_status()


def _await(http: httpx.Client, group: str) -> dict[str, Any]:
    """Its end."""
    while True:
        found = http.get(f"/v1/groups/{group}", params={"wait": 20}).raise_for_status().json()
        if found["ended_at"] is not None:
            return dict(found)


def _looked(http: httpx.Client, group: str) -> float:
    return p95(
        [seconds(lambda: http.get(f"/v1/groups/{group}").raise_for_status()) for _ in range(LOOKS)]
    )


def _listed(http: httpx.Client, group: str) -> None:
    after: int | None = -1
    while after is not None:
        params = {"after": after, "limit": MANY}
        page = http.get(f"/v1/groups/{group}/jobs", params=params).raise_for_status().json()
        after = page["next"]


def _results(http: httpx.Client, ids: Sequence[str]) -> None:
    """All results, as the client asks for them; raises if one is not there."""
    for start in range(0, len(ids), LOT):
        asked = {"ids": list(ids[start : start + LOT])}
        answer = http.post("/v1/results", params={"wait": 60}, json=asked).raise_for_status()
        if any(one["state"] != "completed" for one in answer.json()["results"]):
            raise RuntimeError("a job did not complete")


def _cancelled(http: httpx.Client, group: str) -> None:
    _act(http, group, "cancel")
    _await(http, group)


def _drop(http: httpx.Client, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), LOT):
        body = {"ids": list(ids[start : start + LOT])}
        http.post("/v1/jobs/cancel", json=body).raise_for_status()


def _online(http: httpx.Client) -> None:
    http.put("/v1/resources/aer/state", json={"state": "online"}).raise_for_status()


def _http(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers=served.headers, timeout=300)


if __name__ == "__main__":
    main()
