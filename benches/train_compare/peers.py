"""What grulet is compared with: a class per framework, each with an `epoch` that trains once over the data and returns the
mean loss of its batches, weighted by their sizes. A framework is imported only when its class is made."""

import os
from collections.abc import Callable
from typing import Protocol

import numpy as np

from jobs import EPSILON, LEARNING_RATE, Arrays, Job


class Peer(Protocol):
    """One framework with one job, ready to train."""

    def epoch(self) -> float: ...


class Keras:
    """`keras.Model.fit` over the arrays in order, nothing printed."""

    def __init__(self, backend: str, jit: bool, job: Job, reset: str, threads: int) -> None:
        os.environ["KERAS_BACKEND"] = backend
        import keras

        if backend == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        elif backend == "torch":
            import torch

            torch.set_num_threads(threads)

        layers = [keras.layers.Input((job.steps, job.inputs))]
        for index, hidden in enumerate(job.hidden):
            sequence = job.every_step or index + 1 < len(job.hidden)
            layers.append(keras.layers.GRU(hidden, return_sequences=sequence, reset_after=reset == "after"))
        layers.append(keras.layers.Dense(job.outputs, activation="sigmoid" if job.every_step else "softmax"))
        self.model = keras.Sequential(layers)
        self.model.set_weights(job.weights(reset))
        self.model.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON),
            loss="binary_crossentropy" if job.every_step else "sparse_categorical_crossentropy",
            jit_compile=True if jit else "auto",
        )
        x, y = job.data()
        if backend == "tensorflow":  # batches that are TensorFlow's already: faster than arrays
            batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(job.batch).cache()
            self.fit = lambda: self.model.fit(batches, shuffle=False, verbose=0)
        else:
            self.fit = lambda: self.model.fit(x, y, batch_size=job.batch, shuffle=False, verbose=0)

    def epoch(self) -> float:
        return self.fit().history["loss"][0]


class Torch:
    """PyTorch: `nn.GRU` with the reset gate after the matmul; before it, which `nn.GRU` cannot, a loop compiled by
    `torch.jit.script`. Adam is the fused one, the fastest of its three."""

    def __init__(self, job: Job, reset: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        weights = [torch.tensor(w) for w in job.weights(reset)]
        self.layers = torch_layers(torch, job, reset, weights[:-2])
        self.dense = torch.nn.Linear(job.hidden[-1], job.outputs)
        with torch.no_grad():
            self.dense.weight.copy_(weights[-2].T)
            self.dense.bias.copy_(weights[-1])
        params = [p for layer in [*self.layers, self.dense] for p in layer.parameters()]
        self.optimizer = torch.optim.Adam(params, lr=LEARNING_RATE, eps=EPSILON, fused=True)
        x, y = (torch.tensor(array) for array in job.data())
        y = y if job.every_step else y.long()
        self.batches = []
        for start in range(0, job.series, job.batch):
            rows = slice(start, start + job.batch)
            targets = y[rows].transpose(0, 1).contiguous() if job.every_step else y[rows]
            self.batches.append((x[rows].transpose(0, 1).contiguous(), targets))  # (T, B, I)
        self.loss = torch.nn.BCEWithLogitsLoss() if job.every_step else torch.nn.CrossEntropyLoss()
        self.job = job

    def epoch(self) -> float:
        total = 0.0
        for x, y in self.batches:
            rows = x.shape[1]
            self.optimizer.zero_grad()
            for layer in self.layers:
                x = layer(x)[0]
            loss = self.loss(self.dense(x if self.job.every_step else x[-1]), y)
            loss.backward()
            self.optimizer.step()
            total += float(loss.detach()) * rows
        return total / self.job.series


def torch_layers(torch, job: Job, reset: str, weights: list) -> list:
    """The GRUs as modules from (T, B, I) to a tuple that begins with all states (T, B, H)."""

    class ResetBefore(torch.nn.Module):
        def __init__(self, kernel: torch.Tensor, recurrent: torch.Tensor, bias: torch.Tensor) -> None:
            super().__init__()
            hidden = recurrent.shape[0]
            self.kernel = torch.nn.Parameter(kernel)
            self.gates = torch.nn.Parameter(recurrent[:, : 2 * hidden].contiguous())
            self.candidate = torch.nn.Parameter(recurrent[:, 2 * hidden :].contiguous())
            self.bias = torch.nn.Parameter(bias)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            hidden = self.candidate.shape[0]
            projected = torch.matmul(x, self.kernel) + self.bias
            gates, candidates = projected.split([2 * hidden, hidden], dim=2)
            h = torch.zeros(x.shape[1], hidden)
            states: list[torch.Tensor] = []
            for gate, candidate in zip(gates.unbind(0), candidates.unbind(0)):
                z, r = torch.sigmoid(torch.addmm(gate, h, self.gates)).chunk(2, dim=1)
                c = torch.tanh(torch.addmm(candidate, r * h, self.candidate))
                h = c + z * (h - c)
                states.append(h)
            return (torch.stack(states),)

    def reset_after(kernel: torch.Tensor, recurrent: torch.Tensor, bias: torch.Tensor) -> torch.nn.Module:
        gru = torch.nn.GRU(kernel.shape[0], recurrent.shape[0])

        def reordered(tensor: torch.Tensor) -> torch.Tensor:  # gates z, r, c along the last axis to r, z, c along the first
            z, r, c = tensor.chunk(3, dim=-1)
            return torch.cat([r, z, c], dim=-1).movedim(-1, 0)

        with torch.no_grad():
            gru.weight_ih_l0.copy_(reordered(kernel))
            gru.weight_hh_l0.copy_(reordered(recurrent))
            gru.bias_ih_l0.copy_(reordered(bias[0]))
            gru.bias_hh_l0.copy_(reordered(bias[1]))
        return gru

    groups = [weights[index : index + 3] for index in range(0, len(weights), 3)]
    if reset == "after":
        return [reset_after(*group) for group in groups]
    return [torch.jit.script(ResetBefore(*group)) for group in groups]


class Jax:
    """JAX: `lax.scan` over the steps, the products with the inputs before it, loss, gradient and Adam in one `jit`."""

    def __init__(self, job: Job, reset: str) -> None:
        import jax
        import jax.numpy as jnp

        self.params = [jnp.asarray(w) for w in job.weights(reset)]
        self.mean = [jnp.zeros_like(w) for w in self.params]
        self.square = [jnp.zeros_like(w) for w in self.params]
        self.count = jnp.zeros(())
        x, y = job.data()
        self.batches = []
        for start in range(0, job.series, job.batch):
            rows = slice(start, start + job.batch)
            targets = y[rows].swapaxes(0, 1) if job.every_step else y[rows]
            self.batches.append((jnp.asarray(x[rows].swapaxes(0, 1)), jnp.asarray(targets)))  # (T, B, I)
        self.train = jax_step(jax, jnp, job, reset)
        self.job = job

    def epoch(self) -> float:
        losses = []
        for x, y in self.batches:
            state, loss = self.train(self.params, self.mean, self.square, self.count, x, y)
            self.params, self.mean, self.square, self.count = state
            losses.append((loss, x.shape[1]))
        self.params[0].block_until_ready()
        return sum(float(loss) * rows for loss, rows in losses) / self.job.series


def jax_step(jax, jnp, job: Job, reset: str) -> Callable:
    """One step of training, compiled."""

    def gru(x, kernel, recurrent, bias):
        hidden = recurrent.shape[0]
        projected = x @ kernel + (bias[0] if reset == "after" else bias)

        def before(h, inputs):
            zr = jax.nn.sigmoid(inputs[:, : 2 * hidden] + h @ recurrent[:, : 2 * hidden])
            z, r = jnp.split(zr, 2, axis=1)
            c = jnp.tanh(inputs[:, 2 * hidden :] + (r * h) @ recurrent[:, 2 * hidden :])
            h = z * h + (1 - z) * c
            return h, h

        def after(h, inputs):
            sums = h @ recurrent + bias[1]
            z, r = jnp.split(jax.nn.sigmoid(inputs[:, : 2 * hidden] + sums[:, : 2 * hidden]), 2, axis=1)
            c = jnp.tanh(inputs[:, 2 * hidden :] + r * sums[:, 2 * hidden :])
            h = z * h + (1 - z) * c
            return h, h

        return jax.lax.scan(after if reset == "after" else before, jnp.zeros((x.shape[1], hidden)), projected)[1]

    def mean_loss(params, x, y):
        for layer in range(len(job.hidden)):
            x = gru(x, *params[3 * layer : 3 * layer + 3])
        logits = (x if job.every_step else x[-1]) @ params[-2] + params[-1]
        if job.every_step:
            return jnp.mean(jnp.maximum(logits, 0) - logits * y + jnp.log1p(jnp.exp(-jnp.abs(logits))))
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))

    def train(params, mean, square, count, x, y):
        loss, gradients = jax.value_and_grad(mean_loss)(params, x, y)
        count = count + 1
        rate = LEARNING_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        mean = [m + 0.1 * (g - m) for m, g in zip(mean, gradients)]
        square = [v + 0.001 * (g * g - v) for v, g in zip(square, gradients)]
        params = [w - rate * m / (jnp.sqrt(v) + EPSILON) for w, m, v in zip(params, mean, square)]
        return (params, mean, square, count), loss

    return jax.jit(train, donate_argnums=(0, 1, 2, 3))


PEERS: dict[str, Callable[[Job, str, int], Peer]] = {
    "jax": lambda job, reset, threads: Jax(job, reset),
    "keras-jax": lambda job, reset, threads: Keras("jax", False, job, reset, threads),
    "keras-tensorflow": lambda job, reset, threads: Keras("tensorflow", False, job, reset, threads),
    "keras-tensorflow-jit": lambda job, reset, threads: Keras("tensorflow", True, job, reset, threads),
    "keras-torch": lambda job, reset, threads: Keras("torch", False, job, reset, threads),
    "torch": lambda job, reset, threads: Torch(job, reset, threads),
}
