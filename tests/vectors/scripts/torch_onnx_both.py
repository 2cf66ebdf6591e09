"""Writes tests/vectors/models/torch_both_*: bidirectional GRUs with random weights as both exporters of PyTorch write them.

    python tests/vectors/scripts/torch_onnx_both.py      # needs torch, onnx, onnxscript and numpy

Beside each is a `.npz` with its inputs x (N, T, I) and outputs out (N, T, O) or (N, O).
"""

import pathlib

import numpy as np
import onnx
import torch
from torch import nn

MODELS = pathlib.Path(__file__).parent.parent / "models"
HIDDEN = 3
# What becomes of the outputs y (N, T, 2H) and the states h (2·layers, N, H); and the layers.
NETS = {
    "every": (lambda y, h: y, 1),
    "states": (lambda y, h: torch.cat((h[-2], h[-1]), 1), 2),
    "ends": (lambda y, h: torch.cat((y[:, -1, :HIDDEN], y[:, 0, HIDDEN:]), 1), 1),
    "last": (lambda y, h: y[:, -1], 1),
}


class Net(nn.Module):
    """A bidirectional GRU and a linear layer."""

    def __init__(self, merge, layers):
        super().__init__()
        self.gru = nn.GRU(2, HIDDEN, layers, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * HIDDEN, 2)
        self.merge = merge

    def forward(self, x):
        return self.head(self.merge(*self.gru(x)))


torch.manual_seed(5)
for name, (merge, layers) in NETS.items():
    net = Net(merge, layers).eval()
    x = torch.randn(2, 6, 2)
    for exporter, dynamo in (("legacy", False), ("dynamo", True)):
        path = MODELS / f"torch_both_{name}.{exporter}.onnx"
        options = {"external_data": False} if dynamo else {}
        torch.onnx.export(net, (x,), path, input_names=["x"], dynamo=dynamo, **options)
        model = onnx.load(path)
        # Where in which file each operator comes from.
        for part in [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info]:
            del part.metadata_props[:]
        onnx.save(model, path)
    with torch.no_grad():
        np.savez(MODELS / f"torch_both_{name}.npz", x=x.numpy(), out=net(x).numpy())
