"""Makes the keras2_* and keras3_* files beside it: small models with random weights, and what Keras computes with them.

    python keras_models.py 3    # needs keras and a backend, such as jax
    python keras_models.py 2    # needs tensorflow-cpu and tf_keras
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

VERSION = sys.argv[1]
if VERSION == "2":
    import tf_keras as keras
else:
    import keras

layers = keras.layers
FOLDER = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(5)
x = rng.normal(0, 1, (4, 9, 3)).astype("float32")


def randomize(model):
    for weight in model.weights:
        name = weight.path if hasattr(weight, "path") else weight.name
        if "float" in str(weight.dtype):
            values = rng.normal(0, 0.4, weight.shape).astype("float32")
            weight.assign(np.abs(values) + 0.3 if "variance" in name else values)


def save(name, model, inputs, random=True, **more):
    if random:
        randomize(model)
    path = os.path.join(FOLDER, f"keras{VERSION}_{name}")
    inputs = inputs if isinstance(inputs, list) else [inputs]
    out = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    model.save(path + (".h5" if VERSION == "2" else ".keras"))
    np.savez(path + ".npz", x=inputs[0], out=out, **more)


def chain(name, parts, inputs=x, shape=(9, 3), random=True):
    save(name, keras.Sequential([keras.Input(shape), *parts]), inputs, random)


def gru(units, sequences=True, **more):
    return layers.GRU(units, return_sequences=sequences, **more)


def bidirectional(units, merge, sequences, **more):
    return layers.Bidirectional(gru(units, sequences, **more), merge_mode=merge)


chain("nobias", [gru(5, use_bias=False), gru(4, False, use_bias=False, reset_after=False), layers.Dense(2, use_bias=False)])
hard = {"recurrent_activation": "hard_sigmoid"}
chain("hard", [gru(5, activation="relu", **hard), layers.TimeDistributed(layers.Dense(2, activation="hard_sigmoid"))])
chain("hard_before", [gru(5, False, activation="linear", reset_after=False, **hard), layers.Dense(2, activation="tanh")], 0.3 * x)
norm = layers.BatchNormalization
chain("batch_norm", [norm(), gru(5), norm(scale=False), gru(4, False), norm(center=False), layers.Dense(3), norm(), layers.ReLU(), layers.Dense(2)])
chain("pool_max", [gru(5), norm(), layers.GlobalMaxPooling1D(), layers.Flatten(), layers.Dense(3, activation="softmax")])
i = keras.Input((9, 3), name="sensor")
h = gru(6, name="first")(i)
h = layers.Dropout(0.1)(h)
h = gru(6, False, name="second")(h)
h = layers.Dense(8, activation="relu", name="zz")(h)
save("functional", keras.Model(i, layers.Dense(2, name="aa")(h)), x)

for merge in ["concat", "sum", "mul", "ave"]:
    parts = [bidirectional(5, merge, True), bidirectional(4, merge, False, reset_after=False), layers.Dense(2)]
    chain(f"bidirectional_{merge}", parts)
chain("bidirectional_every_step", [bidirectional(5, "concat", True), layers.TimeDistributed(layers.Dense(2, activation="softmax"))])
chain("backwards", [gru(5, False, go_backwards=True), layers.Dense(2)])

if VERSION == "3":
    chain("pool_mean", [gru(5, dropout=0.2), layers.Dropout(0.3), layers.GlobalAveragePooling1D(), layers.Dense(3), layers.Activation("softmax")])
    adapted = layers.Normalization(axis=-1)
    adapted.adapt(rng.normal(3, 2, (100, 9, 3)).astype("float32"))
    chain("normalization", [adapted, gru(5, False), layers.Dense(2)], 2 * x + 3, random=False)
    chain("rescaling", [layers.Rescaling(0.5, offset=1), layers.GaussianNoise(0.1), gru(5, False), layers.Dense(2), layers.Rescaling(3.0, offset=-1)])
    chain("rnn_cell", [layers.RNN(layers.GRUCell(5), return_sequences=True), layers.Dense(1)])
    chain("activation", [layers.Dense(4, activation="tanh"), layers.Masking(), gru(5), layers.Activation("relu"), layers.Dense(1)])
    chain("embedding", [layers.Embedding(11, 4, mask_zero=True), gru(5, False), layers.Dense(3, activation="softmax")], rng.integers(1, 11, (4, 9)).astype("int32"), (9,))

    # One-hot vectors into the decoder, as in the tutorial.
    i = keras.Input((6, 5))
    _, state = layers.GRU(8, return_state=True)(i)
    d = keras.Input((None, 4))
    out = layers.Dense(4, activation="softmax")(gru(8)(d, initial_state=state))
    tokens = rng.integers(0, 4, (5, 5)).astype("int32")
    tokens[:, 0] = 0
    one_hot = np.eye(4, dtype="float32")[tokens]
    save("sequence_one_hot", keras.Model([i, d], out), [rng.normal(0, 1, (5, 6, 5)).astype("float32"), one_hot], tokens=one_hot)

# Tokens to tokens, through two GRUs each.
i = keras.Input((None,))
e, first = gru(8, return_state=True)(layers.Embedding(7, 3)(i))
_, second = layers.GRU(6, return_state=True)(e)
d = keras.Input((None,))
h = gru(8)(layers.Embedding(9, 4)(d), initial_state=first)
out = layers.Dense(9, activation="softmax")(gru(6)(h, initial_state=second))
tokens = rng.integers(0, 9, (5, 5)).astype("int32")
tokens[:, 0] = 1
save("sequence_tokens", keras.Model([i, d], out), [rng.integers(0, 7, (5, 6)).astype("int32"), tokens], tokens=tokens)

if VERSION == "3":
    # One-hot vectors of tokens, made by the model itself.
    one_hot = layers.CategoryEncoding(num_tokens=7, output_mode="one_hot")
    chain("category_encoding", [one_hot, gru(5, False), layers.Dense(3, activation="softmax")], rng.integers(0, 7, (4, 9)).astype("int32"), (9,))
