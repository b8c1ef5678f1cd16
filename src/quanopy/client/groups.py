"""Groups: many jobs under one policy, which the broker keeps while scripts come and go."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack

from quanopy.client import bulk, drafts
from quanopy.client.again import added_again
from quanopy.client.choices import all_chosen
from quanopy.client.cutting import cut
from quanopy.client.drafts import Circuit, Draft, How
from quanopy.client.group_view import GroupView
from quanopy.client.handles import Job
from quanopy.client.http import Http
from quanopy.client.polling import LONGEST_S, rounds
from quanopy.client.results import Result, result_of
from quanopy.client.standstill import STILL, standstill
from quanopy.client.streams import BEGINNING, follow, history
from quanopy.client.watching import EVERY_S, display
from quanopy.domain.errors import Invalid, NotReady, QuanopyError
from quanopy.domain.groups import GroupAction, GroupOrder, GroupState
from quanopy.domain.ids import is_id
from quanopy.domain.jobs import JobKind
from quanopy.domain.lots import lots
from quanopy.domain.states import JobState
from quanopy.wire.groups import (
    GroupActionIn,
    GroupChangeIn,
    GroupJobsOut,
    GroupOut,
    PolicyIn,
    SegmentsIn,
)
from quanopy.wire.jobs import (
    JobIn,
    JobOut,
    JobsIn,
    JobsOut,
    ResultsIn,
    ResultsOut,
)
from quanopy.wire.refusals import checked
from quanopy.wire.service import EventOut

if TYPE_CHECKING:
    from quanopy.client.segments import Segments

_PAGE = 10_000
_AT_ONCE = 1_000
"""Jobs in one request, at most."""
_MOST_SENT = 8 * 1024 * 1024
"""Bytes of programs in it, unless one job has more."""
_ENDED = (GroupState.DONE, GroupState.CANCELLED)


def policy(
    order: GroupOrder | str | None = None,
    max_in_flight: int | None = None,
    gap: float | str | None = None,
    stop: Mapping[str, Any] | None = None,
) -> PolicyIn | None:
    """A policy of what is given; ``None`` where nothing is. Raises :class:`Invalid`."""
    given: dict[str, Any] = {
        "order": order,
        "max_in_flight": max_in_flight,
        "gap": gap,
        "stop": stop,
    }
    fields = {name: value for name, value in given.items() if value is not None}
    return checked(PolicyIn, fields) if fields else None


class Group:
    """A group of the broker's, by its id. Letting go of a handle stops nothing."""

    def __init__(self, http: Http, id: str, *, resource: str, named: str | None = None) -> None:
        """``resource`` is what its jobs run on that name none; ``named`` the one that whoever
        attached to it takes it to be of, if they said so."""
        if not is_id(id, "group"):
            raise Invalid(f"{str(id)[:60]!r} is no group's id", hint="Ids look like group_0193….")
        self._http = http
        self.id = id
        self._resource = resource
        self._named = named
        self._seen: GroupOut | None = None
        """As the broker showed it last."""

    # -- what it is ---------------------------------------------------------------------------
    def detail(self) -> GroupOut:
        """All that the broker says of it: state, policy, progress, usage."""
        return self._see(self._http.get(GroupOut, self._path()))

    def progress(self) -> GroupOut:
        """How far it is: as :meth:`detail`."""
        return self.detail()

    def listing(self) -> Iterator[JobOut]:
        """Its jobs in order, as the broker lists them."""
        after: int | None = -1
        while after is not None:
            params = {"after": after, "limit": _PAGE}
            page = self._http.get(GroupJobsOut, self._path("/jobs"), params=params)
            yield from page.jobs
            after = page.next

    def jobs(self) -> list[Job]:
        """Handles on its jobs, in order."""
        return [Job(self._http, one.id) for one in self.listing()]

    def events(self, *, after: str | None = None) -> Iterator[EventOut]:
        """What happened to it and to its jobs, in order, then what happens, until it is done or
        cancelled.

        ``after`` is an event's ``id`` to go on from; without it, from the first. A group that is
        done goes on when it is given jobs; this ends all the same: ask again, ``after`` the last.
        """
        at = after or BEGINNING
        while True:
            # Asked first: all that made it final is in the history that is read then.
            over, ended = self.detail().ended_at is not None, False
            for event in history(self._http, "/events", {"group": self.id, "after": at}):
                at, ended = event.id, self._ends(event, ended)
                yield event
            if over:
                return
            if ended:
                continue  # between the two questions
            for event in follow(self._http, (), at, group=self.id):
                at = event.id
                yield event
                if self._ends(event, False):
                    break

    def _ends(self, event: EventOut, ended: bool) -> bool:
        """Whether it has ended after this event, and had (or not) before."""
        told = event.subject == self.id and event.after is not None
        return event.after in _ENDED if told else ended

    # -- what it is given ---------------------------------------------------------------------
    def add(
        self,
        what: Draft | Circuit | Iterable[Circuit],
        *,
        kind: JobKind | str | None = None,
        resource: str | None = None,
        **how: Unpack[How],
    ) -> Job:
        """Put a job at its end: a draft (see :mod:`quanopy.client.drafts`), or programs as
        :meth:`Client.submit` takes them."""
        draft = drafts.drafted(what, kind=kind, resource=resource, **how)
        return self.extend([draft])[0]

    def extend(self, jobs: Iterable[Draft | Circuit]) -> list[Job]:
        """Put many jobs at its end, in this order: drafts, or programs; a thousand at a time, or
        fewer where they are large, each lot all or none."""
        return self._added([one.to_wire(self._resource) for one in drafts.drafted_each(jobs)])

    def _added(self, wanted: list[JobIn]) -> list[Job]:
        return [
            Job(self._http, one.id)
            for lot in lots(wanted, _size, most=_MOST_SENT, count=_AT_ONCE)
            for one in self._http.post(
                JobsOut,
                self._path("/jobs"),
                JobsIn(jobs=lot),
                headers={"Idempotency-Key": str(uuid.uuid4())},
            ).jobs
        ]

    def segment(
        self,
        draft: Draft | Circuit,
        *,
        total_shots: int | None = None,
        shots: int | None = None,
        count: int | None = None,
    ) -> list[Job]:
        """Cut one job into segments at its end. A group is cut once: asking for the same again,
        from whatever script, gives those. Raises :class:`Conflict` for another program or plan;
        it says in what they differ."""
        asked = {
            "job": drafts.drafted(draft).to_wire(self._resource),
            "total_shots": total_shots,
            "shots": shots,
            "count": count,
        }
        answer = cut(self._http, self.id, checked(SegmentsIn, asked))
        return [Job(self._http, one.id) for one in answer.jobs]

    # -- what it does -------------------------------------------------------------------------
    def run(self) -> Self:
        """Begin, or go on after a pause."""
        return self._act(GroupAction.RUN)

    def pause(self) -> Self:
        """Begin nothing more until :meth:`resume`; what runs may finish."""
        return self._act(GroupAction.PAUSE)

    def resume(self) -> Self:
        """Go on."""
        return self._act(GroupAction.RUN)

    def cancel(self) -> Self:
        """End it: what waits is cancelled, and it is asked of what runs."""
        return self._act(GroupAction.CANCEL)

    def rerun_failed(
        self, *, replace: bool = True, on_progress: Callable[[int, int], object] | None = None
    ) -> list[Job]:
        """Give jobs that failed or were cancelled their turn again, in their places; with
        ``replace=False`` as new jobs at the end, which leaves the old ones as they are, and come
        after each other as those did: ``on_progress`` is told of how many is known what was
        submitted, of so many."""
        if replace:
            answer = self._http.post(JobsOut, self._path("/rerun"))
            return [Job(self._http, one.id) for one in answer.jobs]
        missed = (JobState.FAILED, JobState.CANCELLED)
        found = [one for one in self.listing() if one.state in missed]
        return added_again(self._http, found, self._added, on_progress)

    def change(
        self,
        *,
        name: str | None = None,
        order: GroupOrder | str | None = None,
        max_in_flight: int | None = None,
        gap: float | str | None = None,
        stop: Mapping[str, Any] | None = None,
    ) -> Self:
        """Give it another name, or another policy from now on: all of it, for what is left out is
        the default again."""
        wanted = {"name": name, "policy": policy(order, max_in_flight, gap, stop)}
        changed = {key: value for key, value in wanted.items() if value is not None}
        if not changed:
            raise Invalid("there is nothing to change", hint="Give a name, or a policy.")
        body = checked(GroupChangeIn, changed)
        self._http.read(GroupOut, self._http.request("PATCH", self._path(), body=body))
        return self

    def remove(self) -> None:
        """Forget the group; its jobs stay. Raises :class:`Conflict` until they have ended."""
        self._http.request("DELETE", self._path())

    # -- what comes of it ---------------------------------------------------------------------
    def wait(
        self,
        timeout: float | None = None,
        *,
        states: Iterable[GroupState | str] = (),
        told: Callable[[GroupOut], object] | None = None,
    ) -> GroupOut:
        """Wait for its end, or for one of ``states``; what the broker says of it then. ``told`` is
        called with its progress about once a second meanwhile.

        Raises :class:`NotReady` after ``timeout`` seconds. Without one, also for a group of which
        nothing more comes by itself: it was never run, is paused and none of its jobs is under
        way, or has none. With a timeout (``math.inf``: however long), or where ``running`` is one
        of the states, it is waited for somebody to run it.
        """
        wanted = all_chosen(GroupState, states, "state")
        by_itself = timeout is None and GroupState.RUNNING not in wanted
        until = wanted.union(STILL if by_itself else ())
        for wait_s in rounds(timeout, longest_s=LONGEST_S if told is None else 1.0):
            params = {"wait": wait_s, "until": sorted(until)}
            detail = self._see(self._http.get(GroupOut, self._path(), params=params, wait_s=wait_s))
            if told is not None:
                told(detail)
            if detail.ended_at is not None or detail.state in wanted:
                return detail
            if by_itself:
                if (error := standstill(detail)) is not None:
                    raise error
                # What still runs of a paused one is waited for.
                until = wanted.union(() if detail.state in STILL else STILL)
        late = f"the group is not done after {timeout or 0:g} s"
        raise standstill(detail, waited=True) or NotReady(late, hint="It goes on.")

    def watch(self, timeout: float | None = None, *, every: float = EVERY_S) -> GroupOut:
        """Follow it until it has ended or pauses, and show how far it is: jobs by state, shots,
        what was used, when the next begins, how long it will take, and why it stopped.

        In a notebook and in a terminal (standard error) that is shown in place; elsewhere as a
        line when something has changed, at most every so many seconds. Letting go stops nothing.
        Raises :class:`NotReady` as :meth:`wait`.
        """
        with display(every_s=every) as show:
            return self.wait(
                timeout, states=[GroupState.PAUSED], told=lambda found: show(GroupView.now(found))
            )

    def results(
        self, timeout: float | None = None, *, partial: bool = False
    ) -> list[Result[Any] | None]:
        """Results of its jobs in order, ``None`` where there is none: the job failed, was
        cancelled or (``partial``) has not ended. Without ``partial``, waits for the end of the
        group, and raises :class:`NotReady` as :meth:`wait`."""
        if not partial:
            self.wait(timeout)
        found: list[Result[Any] | None] = []
        ids = [one.id for one in self.listing()]
        for start in range(0, len(ids), bulk.AT_ONCE):
            body = ResultsIn(ids=ids[start : start + bulk.AT_ONCE], partial=True)
            answers = self._http.post(ResultsOut, "/results", body).results
            found += [
                result_of(one) if one and one.state is JobState.COMPLETED else None
                for one in answers
            ]
        return found

    def segments(self) -> "Segments":
        """Its jobs as segments of one experiment, as they are now: merged results, by calibration,
        as a table and a picture; see :class:`~quanopy.client.segments.Segments`."""
        from quanopy.client.segmented import segments_of

        return segments_of(self._http, [one.id for one in self.listing()], named=self._named)

    def __repr__(self) -> str:
        """With what was seen of it last; nothing is asked."""
        if self._seen is None:
            return f"Group({self.id!r})"
        return f"<{GroupView.now(self._seen)}; {self.id}>"

    def __rich__(self) -> Any:
        from rich.text import Text

        return self._now() or Text(repr(self))

    def _repr_html_(self) -> str | None:
        view = self._now()
        return view._repr_html_() if view else None

    def _now(self) -> GroupView | None:
        """As it is now, to be shown; where the broker does not answer there is nothing new."""
        try:
            return GroupView.now(self.detail())
        except QuanopyError:
            return None

    def _see(self, found: GroupOut) -> GroupOut:
        self._seen = found
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def _path(self, rest: str = "") -> str:
        return f"/groups/{self.id}{rest}"

    def _act(self, action: GroupAction) -> Self:
        self._see(self._http.post(GroupOut, self._path("/action"), GroupActionIn(action=action)))
        return self


def _size(job: JobIn) -> int:
    """Bytes of its programs, as they are sent."""
    return sum(len(one.text or one.data or "") for one in job.programs)
