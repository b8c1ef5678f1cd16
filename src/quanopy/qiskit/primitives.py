"""``Sampler`` and ``Estimator``: V2 primitives whose calls are jobs of a broker."""

from collections.abc import Iterable
from typing import Any, Unpack

from qiskit.primitives import (
    BaseEstimatorV2,
    BasePrimitiveJob,
    BaseSamplerV2,
    PrimitiveResult,
)
from qiskit.primitives.containers import EstimatorPubLike, SamplerPubLike
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from quanopy.client import Client, How, Job
from quanopy.domain.states import FINAL_JOB_STATES, JobState


class PrimitiveJob(BasePrimitiveJob[PrimitiveResult[Any], JobState]):
    """A call of a primitive, in Qiskit's terms; ``job`` is the broker's handle on it.

    It can be pickled, and ``PrimitiveJob(Client().job(id))`` takes it up again anywhere.
    """

    def __init__(self, job: Job, metadata: list[dict[str, Any]] | None = None) -> None:
        """``metadata`` has the metadata of each pub's circuit, where it is known."""
        super().__init__(job.id)
        self.job = job
        self._circuits = metadata

    def result(self, timeout: float | None = None) -> PrimitiveResult[Any]:
        """Wait for the result.

        Raises:
            TaskFailed: the job failed or was cancelled.
            NotReady: it is not done after ``timeout`` seconds.
        """
        found: PrimitiveResult[Any] = self.job.result(timeout).to_primitive_result()
        for pub, metadata in zip(found, self._circuits or (), strict=False):
            pub.metadata["circuit_metadata"] = metadata
        return found

    def status(self) -> JobState:
        """The job's state."""
        return self.job.status()

    def done(self) -> bool:
        """Whether it has completed."""
        return self.status() is JobState.COMPLETED

    def running(self) -> bool:
        """Whether it runs now."""
        return self.status() is JobState.RUNNING

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.status() is JobState.CANCELLED

    def in_final_state(self) -> bool:
        """Whether it has completed, failed or was cancelled."""
        return self.status() in FINAL_JOB_STATES

    def cancel(self) -> None:
        """Ask for its end."""
        self.job.cancel()


class Sampler(BaseSamplerV2):
    """Qiskit's sampler on a broker's resource. All pubs of one call are one job.

    Without arguments, broker and resource are those of the environment (``QUANOPY_URL``,
    ``QUANOPY_TOKEN``, ``QUANOPY_RESOURCE``).
    """

    def __init__(
        self,
        client: Client | None = None,
        resource: str | None = None,
        *,
        default_shots: int | None = None,
        **options: Unpack[How],
    ) -> None:
        """``default_shots`` ``None`` takes the resource's; ``options`` go with every job."""
        self._client = client or Client()
        self._resource = resource
        self._options = options
        self.default_shots = default_shots

    def run(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> PrimitiveJob:
        """Submit pubs as one job; ``shots`` is for those that do not say their own."""
        if shots is None:
            shots = self.default_shots
        coerced = [SamplerPub.coerce(pub, shots) for pub in pubs]
        job = self._client.sample(coerced, resource=self._resource, **self._options)
        return PrimitiveJob(job, [pub.circuit.metadata for pub in coerced])


class Estimator(BaseEstimatorV2):
    """Qiskit's estimator on a broker's resource; arguments as for :class:`Sampler`."""

    def __init__(
        self,
        client: Client | None = None,
        resource: str | None = None,
        *,
        default_precision: float | None = None,
        **options: Unpack[How],
    ) -> None:
        """``default_precision`` ``None`` takes the resource's; ``options`` go with every job."""
        self._client = client or Client()
        self._resource = resource
        self._options = options
        self.default_precision = default_precision

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob:
        """Submit pubs as one job; ``precision`` is for those that do not say their own."""
        if precision is None:
            precision = self.default_precision
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        job = self._client.estimate(coerced, resource=self._resource, **self._options)
        return PrimitiveJob(job, [pub.circuit.metadata for pub in coerced])
