"""Clients as they are: each a program of its own, which submits circuits one by one."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.peer import SHOTS, circuit
from benchmarks.serving import Served
from quanopy.client import Client

_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Clients:
    """Processes that wait for numbers of circuits to submit."""

    ends: Sequence[Connection]

    def submit(self, numbers: Sequence[int]) -> list[str]:
        """Submit these, shared among all; the jobs' ids."""
        for place, end in enumerate(self.ends):
            end.send(numbers[place :: len(self.ends)])
        return [job for end in self.ends for job in end.recv()]


@contextlib.contextmanager
def clients(served: Served, count: int) -> Iterator[Clients]:
    """So many, each with a connection to the broker, for as long as the block lasts."""
    spawning = get_context("spawn")
    ends: list[Connection] = []
    processes = []
    for _ in range(count):
        ours, theirs = spawning.Pipe()
        process = spawning.Process(target=_work, args=(served.url, served.token, theirs))
        process.start()
        ends.append(ours)
        processes.append(process)
    try:
        for end in ends:
            if not end.poll(_READY_S):
                raise TimeoutError("a client did not start")
            end.recv()
        yield Clients(ends)
    finally:
        for end in ends:
            end.send(())
        for process in processes:
            process.join(_READY_S)


def _work(url: str, token: str, end: Connection) -> None:
    with Client(url, token) as client:
        client.resources()
        end.send(None)
        while numbers := end.recv():
            made = [client.sample(circuit(n), resource="aer", shots=SHOTS).id for n in numbers]
            end.send(made)
