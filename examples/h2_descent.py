"""The ground state of H2: a sweep of two angles finds where to begin, gradients lead down.

Each step is one job, whose gradient is exact (the parameter-shift rule); the sweep before is one
job too.
"""

import numpy as np
from h2_gradient import H2, ansatz

STEPS, RATE = 40, 0.4


def main() -> None:
    """Print the way down, and how far it ends above the exact ground state."""
    from quanopy import Client

    circuit = ansatz(layers=1)
    first, other, second, *others = circuit.parameters  # those of the first RY of each qubit
    angles = np.linspace(-np.pi, np.pi, 9)
    values = {first: angles, second: angles, **dict.fromkeys([other, *others], 0.1)}
    with Client() as client:
        swept = client.sweep(circuit, values, H2, combine="product", resource="aer").result()
        best = np.unravel_index(swept.evs.argmin(), swept.shape)
        theta = np.array([swept.values[one.name][best] for one in circuit.parameters])
        print(f"begin at {theta[0]:+.2f}, {theta[2]:+.2f}: energy {swept.evs[best]:.6f} hartree")
        for step in range(STEPS):
            job = client.gradient(circuit, H2, theta, resource="aer", name=f"h2-descent-{step}")
            found = job.result()
            theta -= RATE * found.gradient
            if step % 10 == 9:
                slope = np.linalg.norm(found.gradient)
                print(f"step {step + 1:2}: energy {found.values:.6f} hartree, slope {slope:.1e}")
    exact = np.linalg.eigvalsh(H2.to_matrix())[0]
    print(f"{found.values - exact:.1e} hartree above the ground state at {exact:.6f}")


if __name__ == "__main__":
    main()
