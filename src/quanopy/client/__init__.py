"""The HTTP client: finding the broker, submitting, waiting, fetching. Qiskit is optional here."""

from quanopy.client.client import Client
from quanopy.client.drafts import Draft, How
from quanopy.client.handles import Job
from quanopy.client.results import EstimateResult, Result, SampleResult, load

__all__ = ["Client", "Draft", "EstimateResult", "How", "Job", "Result", "SampleResult", "load"]
