"""ONNX, both ways: the ONNX project's own tests of GRU through importer and runtime, and graphs of every variant of a GRU
through importer and exporter, with onnxruntime as the judge.

Usage: with_onnx.py GRULET, as `cargo xtask interop with_onnx` runs it.
"""

import itertools
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

# Errors alone: tensors that a graph does not use are no concern here.
onnxruntime.set_default_logger_severity(3)

GRULET = sys.argv[1]
VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"
# Largest absolute difference from the ONNX project's outputs and from onnxruntime's.
TOLERANCE = 1e-5
NODE_TESTS = [
    "test_gru_defaults",
    "test_gru_seq_length",
    "test_gru_with_initial_bias",
    "test_gru_batchwise",
    "test_gru_reverse",
    "test_gru_bidirectional",
]


def grulet(*arguments):
    return subprocess.run([GRULET, *map(str, arguments)], capture_output=True, text=True)


def imported(path, x, y, *options):
    """Imports a file and compares with outputs `y (N, T, O)` or `(N, O)` for `x (N, T, I)`."""
    np.savez(path.with_suffix(".npz"), x=x, out=y)
    ran = grulet("import", path, "--check", path.with_suffix(".npz"), "--checkpoint", path.with_suffix(".ckpt"), *options)
    assert ran.returncode == 0, f"{path.name}: {ran.stdout}{ran.stderr}"


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def exported(path, x, y):
    """Exports an imported file, from its checkpoint and from its model, and compares what onnxruntime makes of them."""
    for source in [path.with_suffix(".ckpt"), path.with_suffix(".gru")]:
        back = path.with_name("back.onnx")
        ran = grulet("export", source, "--format", "onnx", "--output", back)
        assert ran.returncode == 0, f"{path.name}: {ran.stderr}"
        onnx.checker.check_model(back, full_check=True)
        found = run(back, x)
        assert found.shape == y.shape, f"{path.name}: {found.shape}, not {y.shape}"
        off = np.abs(found - y).max()
        assert off <= TOLERANCE, f"{path.name}, exported from {source.suffix}: {off:.1e} from the source"


def merge(graph):
    """Puts the states of both directions, the graph's output, side by side."""
    states = graph.output[-1].name
    graph.initializer.append(numpy_helper.from_array(np.array([0, -1]), "side_by_side"))
    graph.node.append(helper.make_node("Transpose", [states], ["swapped"], perm=[1, 0, 2]))
    graph.node.append(helper.make_node("Reshape", ["swapped", "side_by_side"], ["merged"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("merged", TensorProto.FLOAT, None))


def node_tests(folder):
    """The ONNX project's tests have weights as inputs of the graph: they become constants."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = {case.name: case for case in collect_testcases("GRU")}
    for name in NODE_TESTS:
        case = cases[name]
        (inputs, outputs), model = case.data_sets[0], case.model
        arrays = [numpy_helper.to_array(each) if isinstance(each, TensorProto) else each for each in inputs]
        expected = [numpy_helper.to_array(each) if isinstance(each, TensorProto) else each for each in outputs]
        graph = model.graph
        for info, array in list(zip(graph.input, arrays))[1:]:
            graph.initializer.append(numpy_helper.from_array(array, info.name))
        del graph.input[1:]
        x, y = arrays[0], expected[-1]
        if name == "test_gru_bidirectional":
            # Its states side by side: what is not merged is no layer.
            merge(graph)
            y = y.transpose(1, 0, 2).reshape(1, y.shape[1], -1)
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        if name == "test_gru_batchwise":
            y = y[:, 0]
        elif name == "test_gru_reverse":
            x, y = x.transpose(1, 0, 2), expected[0][:, 0].transpose(1, 0, 2)
        else:
            x, y = x.transpose(1, 0, 2), y[0]
        imported(path, x, y)
        print(f"{name}: passed")


def graphs():
    """A name, a graph and its inputs for every variant of a GRU, and for layers around it."""
    random = np.random.default_rng(7)

    def tensor(name, *shape):
        return numpy_helper.from_array(random.uniform(-0.6, 0.6, shape).astype(np.float32), name)

    def graph(name, before, attributes, after, out, inputs=3, extra=(), tokens=False, state="Y"):
        hidden = 5
        x = helper.make_tensor_value_info(
            "x", TensorProto.INT64 if tokens else TensorProto.FLOAT, ["b", "t"] if tokens else ["b", "t", 3]
        )
        nodes = [
            *before,
            helper.make_node("Transpose", ["u"], ["ut"], perm=[1, 0, 2]),
            helper.make_node("GRU", ["ut", "W", "R", "B"], ["Y", "Yh"], hidden_size=hidden, **attributes),
            *after,
        ]
        d = 2 if attributes.get("direction") == "bidirectional" else 1
        weights = [tensor("W", d, 3 * hidden, inputs), tensor("R", d, 3 * hidden, hidden), tensor("B", d, 6 * hidden)]
        weights += [numpy_helper.from_array(np.array([axis]), f"axis{axis}") for axis in (0, 1)]
        result = helper.make_tensor_value_info("out", TensorProto.FLOAT, out)
        made = helper.make_graph(nodes, name, [x], [result], [*weights, *extra])
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        shape = (4, 11)
        data = random.integers(0, 6, shape) if tokens else random.normal(size=(*shape, 3)).astype(np.float32)
        return name, model, data

    node = helper.make_node
    plain = [node("Identity", ["x"], ["u"])]
    every = [node("Squeeze", ["Y", "axis1"], ["y"]), node("Transpose", ["y"], ["out"], perm=[1, 0, 2])]
    gates = {
        "sigmoid": ("Sigmoid", [], []),
        "hard": ("HardSigmoid", [0.2], [0.5]),
        "slope": ("HardSigmoid", [1 / 6], [0.5]),
    }
    candidates = {"tanh": ("Tanh", [], []), "relu": ("Relu", [], []), "linear": ("Affine", [1.0], [0.0])}
    for reset, gate, candidate in itertools.product((0, 1), gates, candidates):
        (f, fa, fb), (g, ga, gb) = gates[gate], candidates[candidate]
        attributes = {"linear_before_reset": reset, "activations": [f, g]}
        if fa + ga:
            attributes |= {"activation_alpha": fa + ga, "activation_beta": fb + gb}
        # A state that is not bounded grows; a few small weights keep it in reach.
        yield graph(f"{gate}_{candidate}_{reset}", plain, attributes, every, ["b", "t", 5])

    last = [node("Squeeze", ["Yh", "axis0"], ["h"]), node("Gemm", ["h", "D", "d"], ["g"], transB=1, alpha=0.5, beta=2.0)]
    head = [tensor("D", 4, 5), tensor("d", 4)]
    for op, more in [("Softmax", {"axis": -1}), ("Sigmoid", {}), ("Tanh", {}), ("Relu", {}), ("HardSigmoid", {}), ("Identity", {})]:
        after = [*last, node(op, ["g"], ["out"], **more)]
        yield graph(f"last_{op}", plain, {"linear_before_reset": 1}, after, ["b", 4], extra=head)

    for op in ("ReduceMean", "ReduceMax"):
        after = [*every[:1], node(op, ["y"], ["p"], axes=[0], keepdims=0), node("MatMul", ["p", "D"], ["out"])]
        yield graph(op, plain, {}, after, ["b", 2], extra=[tensor("D", 5, 2)])

    before = [node("Sub", ["x", "mean"], ["c"]), node("Mul", ["c", "scale"], ["u"])]
    after = [*every[:1], node("Transpose", ["y"], ["o"], perm=[1, 0, 2]), node("Mul", ["o", "range"], ["r"]), node("Add", ["r", "low"], ["out"])]
    extra = [tensor("mean", 3), numpy_helper.from_array(np.array([0.5, 2.0, 3.0], np.float32), "scale")]
    extra += [tensor("range", 5), tensor("low", 5)]
    yield graph("scales", before, {"linear_before_reset": 1}, after, ["b", "t", 5], extra=extra)

    norm = [tensor("gamma", 3), tensor("beta", 3), tensor("m", 3), numpy_helper.from_array(np.array([0.5, 2, 1], np.float32), "v")]
    before = [
        node("Transpose", ["x"], ["xt"], perm=[0, 2, 1]),
        node("BatchNormalization", ["xt", "gamma", "beta", "m", "v"], ["n"]),
        node("Transpose", ["n"], ["u"], perm=[0, 2, 1]),
    ]
    yield graph("batch_normalization", before, {}, every, ["b", "t", 5], extra=norm)

    before = [node("Gather", ["table", "x"], ["u"])]
    yield graph("embedding", before, {}, every, ["b", "t", 5], extra=[tensor("table", 6, 3)], tokens=True)

    # Both directions: each way in which exporters merge them or take them apart.
    def whole(name, *values):
        return numpy_helper.from_array(np.array(values), name)

    constants = [whole("side", 0, 0, -1), whole("ends", 0, -1), whole("last", -1), whole("two", 2), whole("five", 5)]
    constants += [whole("far", 2**62), numpy_helper.from_array(np.array(0), "at0"), numpy_helper.from_array(np.array(-1), "at1")]
    constants += [numpy_helper.from_array(np.array(0.5, np.float32), "half")]
    swap = node("Transpose", ["y"], ["out"], perm=[1, 0, 2])
    split = node("Split", ["Y"], ["f4", "b4"], axis=1)
    apart = [split, node("Squeeze", ["f4", "axis1"], ["f"]), node("Squeeze", ["b4", "axis1"], ["r"])]
    side = [node("Transpose", ["Y"], ["yt"], perm=[0, 2, 1, 3]), node("Reshape", ["yt", "side"], ["y"])]
    halves = [node("Slice", ["y", "axis0", "five", "two"], ["f"]), node("Slice", ["y", "five", "far", "two"], ["r"])]
    states = [node("Gather", ["Yh", "at0"], ["f"], axis=0), node("Gather", ["Yh", "at1"], ["r"], axis=0)]
    merges = {
        "reshape": ([*side, swap], 10, True),
        "concat": ([*apart, node("Concat", ["f", "r"], ["y"], axis=2), swap], 10, True),
        "sum": ([*apart, node("Add", ["f", "r"], ["y"]), swap], 5, True),
        "mul": ([*apart, node("Mul", ["r", "f"], ["y"]), swap], 5, True),
        "ave": ([*apart, node("Add", ["f", "r"], ["s"]), node("Mul", ["s", "half"], ["y"]), swap], 5, True),
        "halves": ([*side, *halves, node("Mul", ["f", "r"], ["m"]), node("Transpose", ["m"], ["out"], perm=[1, 0, 2])], 5, True),
        "reduce_mean": ([node("ReduceMean", ["Y"], ["y"], axes=[1], keepdims=0), swap], 5, True),
        "reduce_sum": ([node("ReduceSum", ["Y", "axis1"], ["y"], keepdims=0), swap], 5, True),
        "forward": ([*side, halves[0], node("Transpose", ["f"], ["out"], perm=[1, 0, 2])], 5, True),
        "backward": ([*apart, node("Transpose", ["r"], ["out"], perm=[1, 0, 2])], 5, True),
        "pool": ([*side, node("ReduceMean", ["y"], ["out"], axes=[0], keepdims=0)], 10, False),
        "states": ([node("Transpose", ["Yh"], ["h"], perm=[1, 0, 2]), node("Reshape", ["h", "ends"], ["out"])], 10, False),
        "states_concat": ([*states, node("Concat", ["f", "r"], ["out"], axis=1)], 10, False),
        "states_mul": ([*states, node("Mul", ["f", "r"], ["out"])], 5, False),
        "states_mean": ([node("ReduceMean", ["Yh"], ["out"], axes=[0], keepdims=0)], 5, False),
        "state_forward": ([*states, node("Identity", ["f"], ["out"])], 5, False),
        "state_backward": ([*states, node("Identity", ["r"], ["out"])], 5, False),
        "where_they_end": (
            [
                *side,
                *halves,
                node("Gather", ["f", "at1"], ["fe"], axis=0),
                node("Gather", ["r", "at0"], ["re"], axis=0),
                node("Concat", ["fe", "re"], ["out"], axis=1),
            ],
            10,
            False,
        ),
    }
    for (name, (after, width, every_step)), reset in itertools.product(merges.items(), (0, 1)):
        attributes = {"direction": "bidirectional", "linear_before_reset": reset}
        shape = ["b", "t", width] if every_step else ["b", width]
        yield graph(f"both_{name}_{reset}", plain, attributes, after, shape, extra=constants)

    attributes = {"direction": "reverse", "linear_before_reset": 1}
    yield graph("reverse_every", plain, attributes, every, ["b", "t", 5])
    yield graph("reverse_state", plain, attributes, [node("Squeeze", ["Yh", "axis0"], ["out"])], ["b", 5])
    after = [node("Squeeze", ["Y", "axis1"], ["y"]), node("Gather", ["y", "at0"], ["out"], axis=0)]
    yield graph("reverse_first", plain, attributes, after, ["b", 5], extra=constants)

    # A second GRU over the same series.
    second = [tensor("W2", 1, 15, 3), tensor("R2", 1, 15, 5), tensor("B2", 1, 30)]
    forward = node("GRU", ["ut", "W2", "R2", "B2"], ["F", "Fh"], hidden_size=5, linear_before_reset=1)
    after = [forward, node("Concat", ["F", "Y"], ["c"], axis=3), node("Squeeze", ["c", "axis1"], ["y"]), swap]
    yield graph("two_concat", plain, attributes, after, ["b", "t", 10], extra=second)
    after = [forward, node("Add", ["Yh", "Fh"], ["c"]), node("Squeeze", ["c", "axis0"], ["out"])]
    yield graph("two_sum", plain, attributes, after, ["b", 5], extra=second)

    # A second layer, and the states of both together, as PyTorch writes them.
    deep = [tensor("W2", 2, 15, 10), tensor("R2", 2, 15, 5), tensor("B2", 2, 30)]
    above = node("GRU", ["y", "W2", "R2", "B2"], ["Z", "Zh"], hidden_size=5, direction="bidirectional", linear_before_reset=1)
    after = [*side, above, node("Concat", ["Yh", "Zh"], ["h"], axis=0), node("Slice", ["h", "two", "far", "axis0"], ["hl"])]
    after += [node("Transpose", ["hl"], ["ht"], perm=[1, 0, 2]), node("Reshape", ["ht", "ends"], ["out"])]
    attributes = {"direction": "bidirectional", "linear_before_reset": 1}
    yield graph("both_deep", plain, attributes, after, ["b", 10], extra=[*constants, *deep])


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        node_tests(folder)
        count = 0
        for name, model, x in graphs():
            path = folder / f"{name}.onnx"
            onnx.checker.check_model(model, full_check=True)
            onnx.save(model, path)
            y = run(path, x)
            series = x[:, :, None].astype(np.float32) if x.ndim == 2 else x
            imported(path, series, y)
            exported(path, x, y)
            count += 1
        for path in sorted((VECTORS / "models").glob("onnx_*.onnx")):
            net, reset = path.stem.split("_")[1:]
            arrays = np.load(VECTORS / f"keras_{net}_ra{reset[-1]}_f32.npz")
            copy = folder / path.name
            copy.write_bytes(path.read_bytes())
            imported(copy, arrays["x"], arrays["out"])
            exported(copy, arrays["x"], arrays["out"])
            count += 1
        print(f"{count} graphs imported, exported and run by onnxruntime: within {TOLERANCE:g} of their source")


main()
