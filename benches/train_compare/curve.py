#!/usr/bin/env python3
"""The losses of 100 steps of training in Keras, for `host-trainer/tests/curve.rs` to follow.

    target/train_compare/venv/bin/python benches/train_compare/curve.py tests/vectors/keras_curve.npz

GRU 8, GRU 6, Dense 4 with softmax at the last step; 20 batches of 8 series of 12 steps and 3 inputs, five times in order;
sparse categorical cross-entropy, Adam at 0.01. Both reset variants, in float32 and float64, from the same weights.
"""

import os
import sys

import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras  # noqa: E402 (reads its backend when it is imported)

BATCHES, ROWS, STEPS, INPUTS, CLASSES = 20, 8, 12, 3, 4
HIDDEN = (8, 6)
EPOCHS = 5


def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs (K, B, T, I), and classes (K, B): which of four places the last inputs are around."""
    rng = np.random.default_rng(3)
    classes = rng.integers(CLASSES, size=(BATCHES, ROWS))
    places = rng.normal(size=(CLASSES, 1, INPUTS))
    noise = rng.normal(size=(BATCHES, ROWS, STEPS, INPUTS))
    return (noise + places[classes]).astype(np.float32), classes.astype(np.int32)


def use(number: str) -> None:
    """Makes layers, optimiser and loss compute in that type."""
    keras.config.set_floatx(number)
    keras.config.set_dtype_policy(number)


def initial_weights(reset_after: bool) -> list[np.ndarray]:
    """Keras's own, but for biases, which are not zeros. Of float32, so that both number types begin at the same place."""
    rng = np.random.default_rng(4)
    keras.utils.set_random_seed(5)
    use("float32")
    weights = model(reset_after).get_weights()
    biases = [w.ndim == 1 or w.shape[0] == 2 for w in weights]  # (3H,) or (2, 3H) or (O,)
    return [w + 0.3 * rng.normal(size=w.shape) if bias else w for w, bias in zip(weights, biases, strict=True)]


def model(reset_after: bool) -> keras.Model:
    return keras.Sequential([
        keras.layers.Input((STEPS, INPUTS)),
        keras.layers.GRU(HIDDEN[0], return_sequences=True, reset_after=reset_after),
        keras.layers.GRU(HIDDEN[1], reset_after=reset_after),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ])


def losses(reset_after: bool, weights: list[np.ndarray], number: str) -> np.ndarray:
    """The loss before each step."""
    use(number)
    trained = model(reset_after)
    trained.set_weights([w.astype(number) for w in weights])
    assert all(w.dtype == number for w in trained.get_weights())
    trained.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    x, y = data()
    found = []
    for _ in range(EPOCHS):
        for batch in range(BATCHES):
            trained.reset_metrics()
            found.append(float(trained.train_on_batch(x[batch].astype(number), y[batch])))
    return np.array(found)


def main() -> None:
    x, y = data()
    arrays = {"x": x, "y": y}
    for variant, reset_after in (("ra0", False), ("ra1", True)):
        weights = [w.astype(np.float32) for w in initial_weights(reset_after)]
        names = ["w_W0", "w_U0", "w_b0", "w_W1", "w_U1", "w_b1", "w_Wd", "w_bd"]
        arrays |= {f"{variant}_{name}": w for name, w in zip(names, weights, strict=True)}
        for number in ("float32", "float64"):
            curve = losses(reset_after, weights, number)
            arrays[f"{variant}_losses_{number}"] = curve
            print(f"{variant} {number}: {curve[0]:.6f}, after 50 steps {curve[50]:.6f}, at the end {curve[-1]:.6f}")
    np.savez_compressed(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
