"""Prints the coefficients of `src/math.rs`: minimax rational approximations tanh(x) = x·P(x²)/Q(x²) on [-c, c].

Lawson's iteration: linearised weighted least squares, each point's weight multiplied by its error until the error is level
(Lawson 1961; Barrodale & Mason 1970 for the linearised quotient). Needs numpy:  python3 docs/fit_tanh.py
"""

import numpy as np


def fit(p, q, c, rounds=600):
    x = c * (np.cos(np.linspace(0, np.pi, 4000)) + 1) / 2
    x = x[x > 1e-6]
    target, u = np.tanh(x), (x / c) ** 2
    powers = lambda n: np.vander(u, n + 1, increasing=True)
    weight, below, best = np.ones_like(x), np.ones_like(x), None
    for _ in range(rounds):
        s = np.sqrt(weight) / np.abs(below)
        rows = np.hstack([powers(p) * x[:, None], -powers(q)[:, 1:] * target[:, None]])
        solution = np.linalg.lstsq(rows * s[:, None], target * s, rcond=None)[0]
        P, Q = solution[: p + 1], np.append(1, solution[p + 1 :])
        below = powers(q) @ Q
        error = np.abs(powers(p) @ P * x / below - target)
        if best is None or error.max() < best[0]:
            best = error.max(), P, Q
        weight = weight * (error / error.max() + 1e-3)
        weight /= weight.sum()
    error, P, Q = best
    unscale = lambda k: [np.float32(a / c ** (2 * i)) for i, a in enumerate(k)]
    return error, unscale(P), unscale(Q)


for name, p, q, c in [("Exact", 4, 4, 7.9), ("Fast", 2, 2, 5.0)]:
    error, P, Q = fit(p, q, c)
    print(f"{name}: |x| <= {c}, fit error {error:.2e}")
    print("  P =", ", ".join(f"{a!s}" for a in P))
    print("  Q =", ", ".join(f"{a!s}" for a in Q))
