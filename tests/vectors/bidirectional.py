"""Makes keras_bidirectional.npz: `KERAS_BACKEND=tensorflow python tests/vectors/bidirectional.py`."""

import keras
import numpy as np

keras.backend.set_floatx("float64")
rng = np.random.default_rng(11)
x = rng.normal(size=(2, 6, 3)).astype(np.float32)
arrays = {"x": x}
for reset in (0, 1):
    for merge in ("concat", "sum", "mul", "ave"):
        def gru(units, every):
            inner = keras.layers.GRU(units, reset_after=bool(reset), return_sequences=every)
            return keras.layers.Bidirectional(inner, merge_mode=merge)

        def network(every):
            return keras.Sequential([keras.Input((None, 3)), gru(5, True), gru(4, every), keras.layers.Dense(2)])

        every, last = network(True), network(False)
        # Representable in f32, and none of them 0.
        weights = [rng.uniform(-0.8, 0.8, size=w.shape).astype(np.float32) for w in every.get_weights()]
        for model in (every, last):
            model.set_weights(weights)
        name = f"ra{reset}_{merge}"
        # One after the other, as Keras lists them.
        arrays[f"{name}_w"] = np.concatenate([weight.ravel() for weight in weights])
        arrays[f"{name}_every"] = every.predict(x.astype(np.float64), verbose=0)
        arrays[f"{name}_last"] = last.predict(x.astype(np.float64), verbose=0)
np.savez(__file__.replace("bidirectional.py", "keras_bidirectional.npz"), **arrays)
