"""The four jobs: sizes, data, initial weights. Every peer gets the same arrays."""

from dataclasses import dataclass

import numpy as np

# float32 arrays; the order of a job's weights is Keras's: kernel (I, 3H), recurrent kernel (H, 3H), bias of each GRU, then
# kernel (H, O) and bias (O,) of the dense layer. Gates z, r, c. A bias is (3H,) with the reset gate before the matmul, and
# (2, 3H), input and recurrent, with the reset gate after it.
Arrays = list[np.ndarray]

LEARNING_RATE = 1e-3
EPSILON = 1e-7


@dataclass(frozen=True)
class Job:
    """One training job, as in `host-trainer/benches/epoch.rs`."""

    series: int
    steps: int
    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    batch: int
    every_step: bool  # sigmoid at every step and binary cross-entropy; else softmax at the last step, sparse categorical

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (N, T, I), and targets: 0 or 1 (N, T, 1) for an output at every step, class numbers (N,) else."""
        rng = np.random.default_rng(1)
        if self.every_step:  # is the mean of all inputs so far above 0.5?
            x = rng.uniform(size=(self.series, self.steps, self.inputs))
            means = np.cumsum(x, axis=1) / np.arange(1, self.steps + 1)[None, :, None]
            return x.astype(np.float32), (means > 0.5).astype(np.float32)
        classes = rng.integers(self.outputs, size=self.series)
        means = 0.5 * rng.normal(size=(self.outputs, 1, self.inputs))  # in noise of deviation 1
        x = rng.normal(size=(self.series, self.steps, self.inputs)) + means[classes]
        return x.astype(np.float32), classes.astype(np.int32)

    def weights(self, reset: str) -> Arrays:
        """Initial weights: uniform after Glorot and Bengio 2010 for kernels, orthogonal for recurrent ones, biases of 0."""
        rng = np.random.default_rng(2)

        def glorot(rows: int, columns: int) -> np.ndarray:
            limit = np.sqrt(6.0 / (rows + columns))
            return rng.uniform(-limit, limit, size=(rows, columns))

        weights = []
        inputs = self.inputs
        for hidden in self.hidden:
            orthogonal = np.linalg.qr(rng.normal(size=(3 * hidden, hidden)))[0].T
            bias = np.zeros((2, 3 * hidden) if reset == "after" else 3 * hidden)
            weights += [glorot(inputs, 3 * hidden), orthogonal, bias]
            inputs = hidden
        weights += [glorot(inputs, self.outputs), np.zeros(self.outputs)]
        return [np.ascontiguousarray(w, dtype=np.float32) for w in weights]


JOBS = {
    "a": Job(series=1000, steps=10, inputs=1, hidden=(128,), outputs=1, batch=32, every_step=True),
    "b": Job(series=2000, steps=100, inputs=6, hidden=(32,), outputs=4, batch=32, every_step=False),
    "c": Job(series=2000, steps=50, inputs=40, hidden=(64,), outputs=10, batch=32, every_step=False),
    "d": Job(series=640, steps=100, inputs=10, hidden=(128, 128), outputs=10, batch=64, every_step=False),
}
