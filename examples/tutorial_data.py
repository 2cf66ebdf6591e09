"""Writes tutorial.npz: the data of the usual first tutorial on GRUs, and a target that can be learned.

    pip install numpy && python examples/tutorial_data.py

x         (1000, 10, 1) f4  uniform numbers in 0..1
y         (1000, 10)    u1  0 or 1 by the toss of a coin: nothing can be learned from x, the best accuracy is 0.5
y_mean    (1000, 10)    u1  1 where the mean of the numbers up to this step is above 0.5
test_*                      500 more of each
"""

from pathlib import Path

import numpy as np

random = np.random.default_rng(2026)


def part(series):
    x = random.random((series, 10, 1), dtype=np.float32)
    y = random.integers(0, 2, (series, 10), dtype=np.uint8)
    sums = np.cumsum(x[:, :, 0], axis=1, dtype=np.float64)
    y_mean = (sums > 0.5 * np.arange(1, 11)).astype(np.uint8)
    return x, y, y_mean


arrays = dict(zip(("x", "y", "y_mean"), part(1000)))
arrays |= dict(zip(("test_x", "test_y", "test_y_mean"), part(500)))
np.savez_compressed(Path(__file__).with_name("tutorial.npz"), **arrays)
