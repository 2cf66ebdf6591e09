"""Keras loads what `grulet export --format keras-npz` has written, and PyTorch's layouts are those of its GRU.

    python tests/interop/keras_npz.py GRULET      # the path of the binary; needs numpy, keras and safetensors

For each variant of the GRU a model is trained for an epoch, exported, loaded with `set_weights`, and compared with what
`grulet predict` gives. Of the safetensors, PyTorch's equations are computed here, so that PyTorch is not needed.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from safetensors.numpy import load_file

CONFIG = """
[data]
train = "train.npz"
normalize = "none"
[model]
output = "every_step"
layers = [{{ type = "gru", units = 5, reset = "{reset}" }}, {{ type = "dense", units = 2, activation = "sigmoid" }}]
[train]
loss = "mse"
epochs = 1
run_dir = "{reset}"
"""


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def pytorch(state, x):
    """`nn.GRU` and a sigmoid of `nn.Linear`, by PyTorch's documentation."""
    outputs = []
    for series in x:
        h = np.zeros(state["gru.weight_hh_l0"].shape[1])
        for step in series:
            ir, iz, i_n = np.split(state["gru.weight_ih_l0"] @ step + state["gru.bias_ih_l0"], 3)
            hr, hz, hn = np.split(state["gru.weight_hh_l0"] @ h + state["gru.bias_hh_l0"], 3)
            r, z = sigmoid(ir + hr), sigmoid(iz + hz)
            h = (1 - z) * np.tanh(i_n + r * hn) + z * h
            outputs.append(sigmoid(state["dense.weight"] @ h + state["dense.bias"]))
    return np.array(outputs)


def main(grulet):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 9, 3)).astype(np.float32)
    y = sigmoid(x[:, :, :2]).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run = lambda *args: subprocess.run([grulet, *args], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
        np.savez(folder / "train.npz", x=x, y=y)
        for reset in ("before", "after"):
            (folder / "config.toml").write_text(CONFIG.format(reset=reset))
            run("train", "config.toml")
            run("export", reset, "--format", "keras-npz", "-o", "keras.npz")
            model = keras.Sequential(
                [
                    keras.Input((None, 3)),
                    keras.layers.GRU(5, return_sequences=True, reset_after=reset == "after"),
                    keras.layers.Dense(2, activation="sigmoid"),
                ]
            )
            z = np.load(folder / "keras.npz")
            model.set_weights([z[k] for k in z.files])
            expected = model.predict(x, verbose=0).reshape(-1, 2)
            csv = run("predict", reset, "train.npz")
            found = np.array([[float(cell) for cell in line.split(",")[-2:]] for line in csv.splitlines()[1:]])
            difference = np.abs(found - expected).max()
            print(f"Keras, reset {reset}: max difference {difference:.1e}")
            assert difference < 2e-6
            if reset == "after":
                run("export", reset, "--format", "safetensors", "-o", "torch.safetensors")
                difference = np.abs(pytorch(load_file(folder / "torch.safetensors"), x) - found).max()
                print(f"PyTorch's equations: max difference {difference:.1e}")
                assert difference < 2e-6


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
