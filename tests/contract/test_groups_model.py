"""Groups and chains, stepped at random: whatever is asked of them in whatever order, no place is
given twice, order and gaps are kept, and every job ends or waits for a stated reason."""

import json
import sqlite3
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quanopy.domain.errors import Conflict, InvalidTransition
from quanopy.domain.groups import GroupAction, GroupOrder, GroupPolicy, GroupState
from quanopy.domain.jobs import Job, OnFailure
from quanopy.domain.resources import Resource
from quanopy.domain.states import FINAL_JOB_STATES, JobState, TaskState
from quanopy.ports.claims import Claim, Offer
from quanopy.storage.store import SqlStore, open_store
from quanopy.testing.catalogue import MovableClock, ending, execution, job, submission
from quanopy.testing.groups import group
from tests.catalogues import new_catalogue

TTL = 1e9
GAP_S = 10.0
ROUNDS = 200
"""In which all that was ever asked must have come to its end."""
DAY_S = 24 * 3600.0
NO_GAP = timedelta()
policies = st.builds(
    GroupPolicy,
    order=st.sampled_from(GroupOrder),
    max_in_flight=st.sampled_from([None, 1, 2, 3]),
    gap_s=st.sampled_from([0.0, 0.0, GAP_S]),
)
numbers = st.integers(min_value=0, max_value=1000)
fates = st.sampled_from(OnFailure)


class GroupsMachine(RuleBasedStateMachine):
    """A catalogue, workers that end what may run in any way, and people who ask for anything."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="quanopy-model-")
        self.path = Path(self.folder.name, "catalogue.db")
        self.clock = MovableClock()
        self.store = open_store(new_catalogue(self.path), clock=self.clock)
        assert isinstance(self.store, SqlStore)
        with self.store._database.writer.connect() as connection:
            # Nothing crashes here: what is written need not be safe before anything goes on.
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
        self.beside = sqlite3.connect(self.path)
        self.beside.row_factory = sqlite3.Row
        self.store.register(
            "worker_1", [Resource(name="aer", provider="aer", lanes=None)], ttl_s=TTL
        )
        self.groups: list[str] = []
        self.jobs: list[str] = []
        self.after: dict[str, tuple[list[str], OnFailure]] = {}
        self.retried: set[str] = set()
        self.claims: list[Claim] = []
        self.used: dict[str, float] = {}
        self.last_begun: dict[str, Any] = {}
        self.set_back = False

    def teardown(self) -> None:
        if hasattr(self, "store"):
            try:
                self.finish_all()
            finally:
                self.beside.close()
                self.store.close()
                self.folder.cleanup()

    # -- what people ask ----------------------------------------------------------------------
    @rule(policy=policies, runs=st.booleans())
    def make_group(self, policy: GroupPolicy, runs: bool) -> None:
        made, _ = self.store.create_group(group(f"group {len(self.groups)}", policy))
        self.groups.append(made.id)
        if runs:
            self.store.act_on_group(made.id, GroupAction.RUN, actor="alice")

    @rule(which=numbers, count=st.integers(1, 5), before=st.lists(numbers, max_size=2), how=fates)
    def add(self, which: int, count: int, before: list[int], how: OnFailure) -> None:
        """Jobs to a group, or on their own; some come after others."""
        group_id = self.group(which) if which % 5 else None
        after = sorted({self.jobs[one % len(self.jobs)] for one in before if self.jobs})
        made = [
            (replace(one, after=tuple(after), on_failure=how), tasks)
            for one, tasks in (job(parts=1 + index % 2) for index in range(count))
        ]
        try:
            (answer,) = self.store.submit([replace(submission(*made), group_id=group_id)])
        except Conflict:
            (standing,) = self.store.groups([group_id or ""])
            assert standing.state in (GroupState.CANCELLED, GroupState.RUNNING)
            return
        assert not isinstance(answer, Exception)
        self.jobs += [one.id for one in answer]
        if after:
            self.after |= {one.id: (after, how) for one in answer}

    @rule(which=numbers, action=st.sampled_from(GroupAction))
    def act(self, which: int, action: GroupAction) -> None:
        if action is GroupAction.CANCEL and which % 4:
            return
        if group_id := self.group(which):
            try:
                self.store.act_on_group(group_id, action, actor="alice")
            except InvalidTransition:
                assert self.store.groups([group_id])[0].state is GroupState.CANCELLED

    @rule(which=numbers, policy=policies)
    def revise(self, which: int, policy: GroupPolicy) -> None:
        if group_id := self.group(which):
            self.store.revise_group(group_id, name=None, policy=policy, actor="alice")

    @rule(which=numbers)
    def rerun(self, which: int) -> None:
        if group_id := self.group(which):
            try:
                self.retried |= {one.id for one in self.store.rerun_group(group_id, actor="alice")}
            except InvalidTransition:
                assert self.store.groups([group_id])[0].state is GroupState.CANCELLED

    @rule(which=numbers)
    def retry(self, which: int) -> None:
        """One alone; of a cancelled group it would run outside of it, which is no matter here."""
        for one in self.store.jobs([self.jobs[which % len(self.jobs)]] if self.jobs else []):
            standing = self.store.groups([one.group_id] if one.group_id else [])
            if not any(found.state is GroupState.CANCELLED for found in standing):
                self.store.retry([one.id], actor="alice")

    @rule(which=numbers)
    def cancel(self, which: int) -> None:
        if self.jobs:
            self.store.cancel([self.jobs[which % len(self.jobs)]], actor="alice")

    # -- what happens -------------------------------------------------------------------------
    @rule(most=st.integers(1, 4))
    def claim(self, most: int) -> None:
        """A worker takes some of what may run."""
        offer = Offer(resource="aer", seconds=1e9, claims=most, tasks=1)
        self.claims += self.store.claim("worker_1", [offer], ttl_s=TTL)

    @rule(which=numbers, failed=st.booleans())
    def end(self, which: int, failed: bool) -> None:
        if self.claims:
            self.end_claim(self.claims.pop(which % len(self.claims)), failed)

    def end_claim(self, claim: Claim, failed: bool) -> None:
        state = TaskState.FAILED if failed else TaskState.COMPLETED
        self.store.finish(claim.id, [ending(execution(claim), state, seconds=1.0)])
        # The same told again changes nothing: a worker that died after the vendor had finished.
        self.store.finish(claim.id, [ending(execution(claim), state, seconds=1.0)])

    @rule(seconds=st.sampled_from([1.0, GAP_S / 2, GAP_S, DAY_S, -1.0, -DAY_S]))
    def move_clock(self, seconds: float) -> None:
        self.set_back |= seconds < 0
        self.clock.move(seconds)

    @rule()
    def step_once(self) -> None:
        """One worker does some of it."""
        self.step(rounds=1)

    @rule()
    def step_twice(self) -> None:
        """Two workers saw the same to do."""
        work = self.store.group_work()
        for _ in range(2):
            before = self.places()
            self.store.step_groups(work.turns, [one.id for one in work.groups], {})
            self.begun_rightly(before)

    @rule()
    def settle(self) -> None:
        self.step(rounds=1000)
        self.settled()

    # -- what must hold -----------------------------------------------------------------------
    @invariant()
    def no_job_is_lost(self) -> None:
        if not hasattr(self, "store"):
            return
        found = self.all_jobs()
        assert len(found) == len(self.jobs)
        for group_id, places in self.by_group(self.places()).items():
            progress = self.store.progress([group_id])[group_id]
            states = progress.blocked + progress.queued + progress.running
            open_places = [one for one in places if one["free_at"] is None]
            ending_soon = self.turning(group_id)
            assert len(open_places) <= states + ending_soon
            assert states <= len(open_places), "a job without a place can never begin"

    def settled(self) -> None:
        """Every job that has not ended waits for a stated reason, and groups stand as they are."""
        found = {one.id: one for one in self.all_jobs()}
        places = {(one["group_id"], one["position"]): one for one in self.places()}
        by_group: dict[str, list[Job]] = {}
        for one in found.values():
            if one.group_id is not None:
                by_group.setdefault(one.group_id, []).append(one)
            if one.state is JobState.QUEUED and one.blocked:
                self.waits_rightly(one, found, places)
        for standing in self.store.groups(self.groups):
            jobs = by_group.get(standing.id, [])
            assert standing.size == len(jobs)
            over = all(one.state in FINAL_JOB_STATES for one in jobs)
            if standing.state is GroupState.DONE:
                assert over
            if standing.state is GroupState.RUNNING:
                assert not (jobs and over)
            if standing.state is GroupState.CANCELLED:
                waiting = [one for one in jobs if one.state is JobState.QUEUED]
                assert all(self.is_claimed(one) for one in waiting)
                assert standing.ended == over

    def waits_rightly(self, one: Job, found: dict[str, Job], places: dict[Any, Any]) -> None:
        after, how = self.after.get(one.id, ([], OnFailure.RUN))
        open_before = [id_ for id_ in after if found[id_].state not in FINAL_JOB_STATES]
        place = None if one.group_id is None else places[one.group_id, one.position]
        if place is None or place["begun"]:
            assert open_before, "it waits for nothing"
            return
        (standing,) = self.store.groups([one.group_id or ""])
        if standing.state is not GroupState.RUNNING:
            return
        begun = [
            p for (group_id, _), p in places.items() if group_id == one.group_id and p["begun"]
        ]
        full = standing.policy.places is not None and len(begun) >= standing.policy.places
        assert full or standing.next_at is not None, "nobody will look at it"
        assert how in OnFailure

    def begun_rightly(self, before: list[dict[str, Any]]) -> None:
        """What began in a step began in order, in a free place and after the gap."""
        earlier = {(one["group_id"], one["position"]): one["begun"] for one in before}
        for group_id, places in self.by_group(self.places()).items():
            policy = self.store.groups([group_id])[0].policy
            begun = [one for one in places if one["begun"]]
            new = [one for one in begun if not earlier[group_id, one["position"]]]
            if not new:
                continue
            waiting = [one["position"] for one in places if not one["begun"]]
            assert all(one["position"] < min(waiting, default=1e9) for one in new)
            assert policy.places is None or len(begun) <= policy.places
            if policy.gap_s and policy.order is GroupOrder.PARALLEL:
                assert len(new) == 1
                last = self.last_begun.get(group_id)
                if last is not None and not self.set_back:
                    assert self.clock() - last >= timedelta(seconds=policy.gap_s)
            self.last_begun[group_id] = self.clock()

    def finish_all(self) -> None:
        """In the end all jobs end, and nothing is left."""
        for _ in range(ROUNDS):
            self.step(rounds=1000)
            self.settled()
            for standing in self.store.groups(self.groups):
                if standing.state in (GroupState.OPEN, GroupState.PAUSED):
                    self.store.act_on_group(standing.id, GroupAction.RUN, actor="alice")
            offer = Offer(resource="aer", seconds=1e9, claims=50)
            self.claims += self.store.claim("worker_1", [offer], ttl_s=TTL)
            while self.claims:
                self.end_claim(self.claims.pop(), failed=False)
            self.clock.move(GAP_S)
            places = [one for one in self.places() if one["free_at"] is None]
            if not places and not self.store.group_work().turns:
                break
        self.step(rounds=1000)
        found = self.all_jobs()
        assert all(one.state in FINAL_JOB_STATES for one in found)
        seconds = dict.fromkeys(self.groups, 0.0)
        for row in self.rows(
            "SELECT group_id, executions.usage, executions.tasks FROM tasks"
            " JOIN jobs ON jobs.id = job_id JOIN executions ON executions.id = execution_id"
            " WHERE group_id IS NOT NULL AND NOT superseded"
        ):
            share = len(json.loads(row["tasks"]))
            seconds[row["group_id"]] += json.loads(row["usage"])["seconds"] / share
        for standing in self.store.groups(self.groups):
            assert standing.state in (GroupState.DONE, GroupState.CANCELLED) or not standing.size
            # What is run again is used again.
            assert standing.usage.get("seconds", 0.0) >= seconds[standing.id] - 1e-6
        # A gap may outlast the last job: who adds to the group then has to keep it.
        assert self.rows("SELECT * FROM group_places WHERE free_at IS NULL") == []

    # -- looking ------------------------------------------------------------------------------
    def step(self, rounds: int) -> None:
        for _ in range(rounds):
            work = self.store.group_work()
            if not work.turns and not work.groups:
                return
            before = self.places()
            self.store.step_groups(work.turns, [one.id for one in work.groups], {})
            self.begun_rightly(before)
        assert rounds == 1, "there is no end of it"

    def group(self, which: int) -> str | None:
        return self.groups[which % len(self.groups)] if self.groups else None

    def all_jobs(self) -> list[Job]:
        return list(self.store.jobs(self.jobs))

    def is_claimed(self, one: Job) -> bool:
        return any(task.job_id == one.id for claim in self.claims for task in claim.tasks)

    def turning(self, group_id: str) -> int:
        return len(self.rows("SELECT * FROM turns WHERE group_id = ?", group_id))

    def places(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM group_places ORDER BY group_id, position")

    def by_group(self, rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for one in rows:
            found.setdefault(one["group_id"], []).append(one)
        return found

    def rows(self, statement: str, *given: object) -> list[dict[str, Any]]:
        """What the tables hold, beside the store."""
        return [dict(row) for row in self.beside.execute(statement, given)]


TestGroups = GroupsMachine.TestCase
TestGroups.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    # Each case is a catalogue on disk: a failure is shown as it was found.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
