"""Qiskit's own classes over a broker: usable wherever Qiskit takes a V2 primitive or backend."""

from quanopy.qiskit.backend import Backend, BackendJob
from quanopy.qiskit.primitives import Estimator, PrimitiveJob, Sampler

__all__ = ["Backend", "BackendJob", "Estimator", "PrimitiveJob", "Sampler"]
