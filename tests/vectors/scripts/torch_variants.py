"""Writes tests/vectors/models/torch_v_*: small networks with random weights in every way that PyTorch saves them.

    python tests/vectors/scripts/torch_variants.py      # needs torch, numpy and safetensors

`torch_variants.npz` holds for each NAME its inputs NAME_x (N, T, I), or (N, T) tokens, and its outputs NAME_out.
"""

import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

MODELS = pathlib.Path(__file__).parent.parent / "models"
ARRAYS = {}


class Net(nn.Module):
    """An embedding or a batch normalisation if there is one, a GRU, and a linear layer at every step."""

    def __init__(self, inputs=3, hidden=4, outputs=2, before=None, gru=None, **options):
        super().__init__()
        self.before = before
        self.gru = gru or nn.GRU(inputs, hidden, batch_first=True, **options)
        self.head = nn.Linear(hidden * (2 if options.get("bidirectional") else 1), outputs)

    def forward(self, x):
        if isinstance(self.before, nn.BatchNorm1d):
            x = self.before(x.transpose(1, 2)).transpose(1, 2)
        elif self.before is not None:
            x = self.before(x)
        if isinstance(self.gru, nn.GRUCell):
            h, steps = None, []
            for step in x.unbind(1):
                h = self.gru(step, h)
                steps.append(h)
            return self.head(torch.stack(steps, 1))
        return self.head(self.gru(x)[0])


def make(name, net, inputs=3, tokens=None, last=False):
    net.eval()
    # Biases and kernels that are far from zero tell the gates apart.
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
    x = torch.randint(tokens, (2, 7)) if tokens else torch.randn(2, 7, inputs)
    ARRAYS[name + "_x"], ARRAYS[name + "_out"] = x.numpy(), outputs(net, x, last)
    return net


def outputs(net, x, last=False):
    with torch.no_grad():
        out = net(x).numpy()
    return out[:, -1] if last else out


def save(name, what, **options):
    torch.save(what, MODELS / f"torch_v_{name}.pt", **options)


def rounded(name, net, dtype):
    """The state_dict in another type; the outputs are those of the rounded weights."""
    state = {key: value.to(dtype) for key, value in net.state_dict().items()}
    net.load_state_dict({key: value.float() for key, value in state.items()})
    ARRAYS[name + "_out"] = outputs(net, torch.from_numpy(ARRAYS[name + "_x"]))
    return state


def shared(net):
    """All tensors as views of one buffer: a hole between them, and the matrices by columns."""
    state = net.state_dict()
    buffer, at, views = torch.zeros(500), 3, {}
    for key, value in state.items():
        shape = value.t().shape if value.dim() == 2 else value.shape
        view = buffer[at : at + value.numel()].view(shape)
        at += value.numel() + 1
        views[key] = view.t() if value.dim() == 2 else view
        views[key].copy_(value)
    return views


if __name__ == "__main__":
    torch.manual_seed(7)
    save("legacy", make("legacy", Net()).state_dict(), _use_new_zipfile_serialization=False)
    save("protocol4", make("protocol4", Net()).state_dict(), pickle_protocol=4)
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16), ("f64", torch.float64)):
        state = rounded(name, make(name, Net()), dtype)
        save(name, state)
        save_file(state, MODELS / f"torch_v_{name}.safetensors")
    save("module", make("module", Net()))
    # The source of each class would be saved too, with the path of its file.
    torch.serialization.get_source_lines_and_file = lambda *_: ([""], 0, "net.py")
    save("module_legacy", make("module_legacy", Net()), _use_new_zipfile_serialization=False)
    net = make("checkpoint", Net(), last=True)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 7, 3)).sum().backward()
    optimizer.step()
    ARRAYS["checkpoint_out"] = outputs(net, torch.from_numpy(ARRAYS["checkpoint_x"]), last=True)
    state = nn.DataParallel(net).state_dict()
    best = np.float64(0.25)
    save("checkpoint", {"epoch": 3, "model_state_dict": state, "optimizer": optimizer.state_dict(), "best": best})
    save("cell", make("cell", Net(gru=nn.GRUCell(3, 4))).state_dict())
    save("no_bias", make("no_bias", Net(bias=False)).state_dict())
    save("two", make("two", Net(num_layers=2)).state_dict())
    save("shared", shared(make("shared", Net())))
    save("embedding", make("embedding", Net(before=nn.Embedding(9, 3)), tokens=9).state_dict())
    norm = nn.BatchNorm1d(3)
    net = Net(before=norm)
    norm.running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([0.25, 4.0, 1.5]))
    save("norm", make("norm", net).state_dict())
    save("bidirectional", make("bidirectional", Net(bidirectional=True)).state_dict())
    save("lstm", nn.LSTM(3, 4).state_dict())
    np.savez(MODELS.parent / "torch_variants.npz", **ARRAYS)
