"""Starting: orders are told to their vQPU, and each gets an answer, whatever breaks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quanopy.domain.errors import (
    OutcomeUnknown,
    QuanopyError,
    Rejected,
    Transient,
    Unavailable,
)
from quanopy.ports.providers import Order, Work
from quanopy.providers.vqpu.description import Description
from quanopy.providers.vqpu.dialects import Dialect
from quanopy.providers.vqpu.errands import Late
from quanopy.providers.vqpu.fleet import Fleet, Vqpu
from quanopy.providers.vqpu.places import Place
from quanopy.providers.vqpu.recent import Recent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """An order, ready to be sent."""

    order: Order
    circuits: Sequence[Mapping[str, Any]]


class Starting:
    """Sends orders to the vQPUs of a fleet."""

    def __init__(
        self,
        fleet: Fleet,
        dialect: Dialect,
        works: Recent[Sequence[Work]],
        *,
        patience_s: float | None,
    ) -> None:
        """``works`` remembers what was sent, by the provider's id of it."""
        self._fleet = fleet
        self._dialect = dialect
        self._works = works
        self._patience_s = patience_s

    def tell(self, orders: Sequence[Order]) -> dict[str, str | QuanopyError]:
        """Send the orders for one vQPU, and what came of each, by its key. Once it is late, the
        others are not begun: nobody waits for it twice."""
        answers: dict[str, str | QuanopyError] = {}
        late: QuanopyError | None = None
        for order in orders:
            answers[order.key] = self._told(order) if late is None else late
            late = late or _not_begun(answers[order.key])
        return answers

    def _told(self, order: Order) -> str | QuanopyError:
        """What came of one. What breaks here breaks this one alone: before it was sent it is
        refused, and after that nobody knows."""
        try:
            vqpu = self._fleet.get(order.resource)
            letter = self._letter(order, vqpu)
        except QuanopyError as error:
            return error
        except Exception as error:
            log.exception("%s cannot be sent", order.key)
            return Rejected(f"the provider broke before it was sent: {type(error).__name__}")
        try:
            return self._sent(letter, vqpu)
        except QuanopyError as error:
            return error
        except Exception as error:
            log.exception("%s may have been sent", order.key)
            return OutcomeUnknown(f"the provider broke: {type(error).__name__}")

    def _letter(self, order: Order, vqpu: Vqpu) -> _Letter:
        description = self._fleet.described(vqpu)
        if not vqpu.heard:
            # What it takes is not known yet.
            raise vqpu.error or Unavailable(f"{vqpu.name} has not answered yet")
        return _Letter(order=order, circuits=circuits_for(order.works[0], description))

    def _sent(self, letter: _Letter, vqpu: Vqpu) -> str:
        order = letter.order
        (work,) = order.works
        to = vqpu.connection
        try:
            there = vqpu.errands.run(
                f"start {order.key}",
                lambda: self._dialect.submit(to, letter.circuits, work.options, order.key),
                patience_s=self._patience_s,
            )
        except Late as error:
            raise OutcomeUnknown(error.message, retry_after_s=error.retry_after_s) from error
        made = str(Place(vqpu=vqpu.name, instance=vqpu.instance, there=there))
        self._works.keep(made, order.works)
        return made


def circuits_for(work: Work, description: Description) -> list[dict[str, Any]]:
    """The circuits of a work for a vQPU; raises :class:`Invalid` or :class:`Rejected`."""
    from quanopy.providers.vqpu.translation import circuits_of  # loads Qiskit

    if len(work.pubs) > description.circuits:
        raise Rejected(f"{len(work.pubs)} pubs, at most {description.circuits} at once")
    return circuits_of(work, description.gates)


def _not_begun(answer: str | QuanopyError) -> QuanopyError | None:
    """Why the next order for the same vQPU is not sent either, where its answer is late."""
    if isinstance(answer, Transient) or (
        isinstance(answer, OutcomeUnknown) and isinstance(answer.__cause__, Late)
    ):
        return Transient(answer.message, retry_after_s=answer.retry_after_s)
    return None
