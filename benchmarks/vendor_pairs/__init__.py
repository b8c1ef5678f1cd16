"""Each vendor's own client beside our provider, on the same job at the same loopback server.

A vendor's module has a function that yields its :class:`~benchmarks.vendor_pairs.pair.Pair` and
imports the vendor's client itself, so that a client which is missing breaks no other pair. To add
a vendor, write such a module and name its function in :data:`PAIRS`.

IQM's client does not go with the packages of the others, and is installed in an environment of its
own, ``.venv-iqm``: its pair runs there.
"""

import contextlib
from collections.abc import Callable, Mapping

from benchmarks.vendor_pairs.braket import braket, quera
from benchmarks.vendor_pairs.ibm import ibm, qrmi
from benchmarks.vendor_pairs.iqm import iqm
from benchmarks.vendor_pairs.pair import Pair
from benchmarks.vendor_pairs.pasqal import pasqal
from benchmarks.vendor_pairs.perceval import perceval
from benchmarks.vendor_pairs.vqpu import vqpu

PAIRS: Mapping[str, Callable[[], contextlib.AbstractContextManager[Pair]]] = {
    "braket": braket,
    "ibm": ibm,
    "iqm": iqm,
    "pasqal": pasqal,
    "perceval": perceval,
    "qrmi": qrmi,
    "quera": quera,
    "vqpu": vqpu,
}
