"""The energy of H2 and its gradient by the parameter-shift rule, in one estimate job.

For gates ``exp(-i θ P / 2)`` the derivative is exact: ``dE/dθ = (E(θ + π/2) - E(θ - π/2)) / 2``
(Schuld et al., Phys. Rev. A 99, 032331, 2019). P parameters need 2P evaluations; with the energy
itself that is one pub with ``2P + 1`` parameter sets.
"""

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

# H2 at 0.735 Å in the STO-3G basis, parity mapping, two qubits (O'Malley et al., Phys. Rev. X 6,
# 031007, 2016); electronic energy in hartree.
H2 = SparsePauliOp.from_list(
    [
        ("II", -1.052373245772859),
        ("IZ", 0.39793742484318045),
        ("ZI", -0.39793742484318045),
        ("ZZ", -0.01128010425623538),
        ("XX", 0.18093119978423156),
    ]
)


def ansatz(layers: int = 2) -> QuantumCircuit:
    """A hardware-efficient ansatz of two qubits: layers of Ry and Rz joined by CX."""
    theta = ParameterVector("θ", 4 * (layers + 1))
    angles = iter(theta)
    circuit = QuantumCircuit(2)
    for layer in range(layers + 1):
        for qubit in (0, 1):
            circuit.ry(next(angles), qubit)
            circuit.rz(next(angles), qubit)
        if layer < layers:
            circuit.cx(0, 1)
    return circuit


def shifted(theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """``theta``, then each parameter shifted by π/2, then each by -π/2: shape (2P + 1, P)."""
    shifts = np.pi / 2 * np.eye(theta.size)
    return np.vstack([theta, theta + shifts, theta - shifts])


def gradient(evs: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Energy and gradient from the expectation values of :func:`shifted` parameters."""
    energy, shifts = evs[0], evs[1:]
    plus, minus = np.split(shifts, 2)
    return float(energy), (plus - minus) / 2


def main() -> None:
    """Print the energy and gradient at one point, from the broker that is running."""
    from quanopy import Client

    circuit = ansatz()
    theta = np.linspace(0.1, 1.2, circuit.num_parameters)
    with Client() as client:
        job = client.estimate([(circuit, H2, shifted(theta))], name="h2-gradient")
        energy, slope = gradient(np.asarray(job.result()[0].evs))
    print(f"energy {energy:.6f} hartree, gradient {np.array2string(slope, precision=4)}")


if __name__ == "__main__":
    main()
