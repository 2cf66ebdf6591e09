#!/usr/bin/env python3
"""One epoch of training in grulet and in its peers, each in a process of its own, in turns; README.md tells how.

    python3 benches/train_compare/run.py
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target" / "train_compare"

PEERS = ["jax", "keras-jax", "keras-tensorflow", "keras-tensorflow-jit", "keras-torch", "torch"]
# The variant that the table has of each job, so that both appear with one layer and a whole run stays short.
RESETS = {"a": "before", "b": "after", "c": "before", "d": "after"}

# The loss of a job's first epoch may differ by that much relative to grulet's: the same weights on the same batches, but
# PyTorch's Adam has its epsilon in another place. Epochs later, when the loss is almost 0, rounding decides.
LOSS_TOLERANCE = 0.01

EPOCHS = 7
# So many where a peer's epoch takes longer than that many CPU seconds: long epochs vary less, and a whole run must end.
SLOW_EPOCHS, SLOW = 3, 2.0


@dataclass(frozen=True)
class Case:
    """What a process trains."""

    job: str
    reset: str
    threads: int


@dataclass
class Result:
    """What came of it: the first epoch, with all that went before it, and the later ones."""

    first: dict[str, float]
    epochs: list[dict[str, float]]

    def median(self, key: str) -> float:
        return statistics.median(epoch[key] for epoch in self.epochs)


class DidNotRun(Exception):
    """A process ended, or trained nothing; the message says why."""


class Process:
    """A process that trains an epoch when it starts, and another at each call of `epoch`."""

    def __init__(self, command: list, threads: int) -> None:
        self.errors = tempfile.TemporaryFile("w+")
        pipe = subprocess.PIPE
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(allowed)[:threads])  # the child inherits it
        try:
            start = time.time()
            environment = {**os.environ, **environment_of(threads)}
            self.child = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=self.errors, text=True)
        finally:
            os.sched_setaffinity(0, allowed)
        first = self.read()
        self.result = Result(first={**first, "wall": first["ended"] - start}, epochs=[])

    def read(self) -> dict[str, float]:
        line = self.child.stdout.readline()
        if line:
            return json.loads(line)
        code = self.child.wait()
        self.errors.seek(0)
        raise DidNotRun((self.errors.read().strip().splitlines() or [f"exit code {code}"])[-1])

    def epoch(self) -> float:
        """Trains one; its CPU seconds."""
        print(file=self.child.stdin, flush=True)
        self.result.epochs.append(self.read())
        return self.result.epochs[-1]["cpu"]

    def end(self) -> Result:
        self.child.stdin.close()
        self.child.wait()
        losses = [self.result.first["loss"], *(epoch["loss"] for epoch in self.result.epochs)]
        if not all(map(math.isfinite, losses)) or losses[-1] >= losses[0]:
            raise DidNotRun(f"the loss did not fall: {losses}")
        return self.result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default="a,b,c,d", help="of a, b, c, d")
    parser.add_argument("--reset", choices=["before", "after"], help="this variant of every job, not that of the table")
    parser.add_argument("--peers", default=",".join(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--venv", type=Path, default=TARGET / "venv", help="made and filled where it is missing")
    parser.add_argument("--output", type=Path, default=TARGET / "table.md")
    args = parser.parse_args()

    python = install(args.venv)
    grulet = build()
    write_data(python)
    lines = list(HEADER)
    for job in args.jobs.split(","):
        for threads in args.threads.split(","):
            case = Case(job, args.reset or RESETS[job], int(threads))
            peers = [peer for peer in PEERS if peer in args.peers.split(",")]
            lines += group(case, peers, python, grulet)
    text = f"{processor()}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}.\n\n" + "\n".join(lines)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(f"{text}\n")
    print(text)


def install(folder: Path) -> Path:
    """The Python of a virtual environment with requirements.txt in it."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    # Without dependencies, because all are in the list, and those of PyTorch that only a GPU needs are not.
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", HERE / "requirements.txt"]
    subprocess.run(command, check=True)
    return python


def build() -> Path:
    """Builds grulet's benchmark."""
    command = ["cargo", "bench", "--package", "grulet-trainer", "--bench", "epoch", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    return next(Path(m["executable"]) for m in messages if m.get("executable") and m["target"]["name"] == "epoch")


def data_file(job: str, reset: str) -> Path:
    return TARGET / f"{job}_{reset}.npz"


def write_data(python: Path) -> None:
    """Writes each job's arrays for grulet; the others make the same ones."""
    script = (
        "import sys, numpy\n"
        "from jobs import JOBS\n"
        "for name, job in JOBS.items():\n"
        "    x, y = job.data()\n"
        "    for reset in ('before', 'after'):\n"
        "        params = numpy.concatenate([w.ravel() for w in job.weights(reset)])\n"
        "        numpy.savez(f'{sys.argv[1]}/{name}_{reset}.npz', x=x, y=y, params=params)\n"
    )
    TARGET.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-c", script, TARGET], cwd=HERE, check=True)


def environment_of(threads: int) -> dict[str, str]:
    """What limits the threads of a peer, README.md says which library reads which; and what keeps it on the CPU and quiet."""
    number = str(threads)
    return {
        "OMP_NUM_THREADS": number,
        "OMP_WAIT_POLICY": "passive",
        "MKL_NUM_THREADS": number,
        "OPENBLAS_NUM_THREADS": number,
        "TF_NUM_INTRAOP_THREADS": number,
        "TF_NUM_INTEROP_THREADS": number,
        "NPROC": number,
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def group(case: Case, peers: list[str], python: Path, grulet: Path) -> list[str]:
    """Measures all peers on a case; the rows of the table, grulet's first."""
    arguments = ["--job", case.job, "--reset", case.reset, "--threads", str(case.threads)]
    ours = [grulet, *arguments, "--data", data_file(case.job, case.reset)]
    rows, all_ours = [], []
    for peer in peers:
        print(f"job {case.job}, {case.threads} threads: {peer}", file=sys.stderr, flush=True)
        theirs = [python, HERE / "measure.py", "--peer", peer, *arguments]
        try:
            result, our_result, ratio = turns(theirs, ours, case.threads)
        except DidNotRun as reason:
            rows.append(f"{row_start(case, peer)} did not run: {reason} | | | | | | |")
            continue
        all_ours.append(our_result)
        note = ""
        if abs(result.first["loss"] / our_result.first["loss"] - 1) > LOSS_TOLERANCE:
            note = " (another loss!)"
        rows.append(row(case, peer, result, f"{ratio:.1f}{note}"))
        print(rows[-1], file=sys.stderr, flush=True)
    if all_ours:
        epochs = [epoch for result in all_ours for epoch in result.epochs]
        rows.insert(0, row(case, "grulet", Result(all_ours[0].first, epochs), "1"))
    return rows


def turns(theirs: list, ours: list, threads: int) -> tuple[Result, Result, float]:
    """Trains a peer and grulet in turns. Their results, and the median ratio of CPU times, each of two neighbouring epochs:
    the speed of a core that others use changes from second to second, and hardly between the two."""
    peer = Process(theirs, threads)
    grulet = Process(ours, threads)
    ratios = []
    while len(ratios) < EPOCHS and not (len(ratios) >= SLOW_EPOCHS and peer.result.median("cpu") > SLOW):
        ratios.append(peer.epoch() / grulet.epoch())
    return peer.end(), grulet.end(), statistics.median(ratios)


HEADER = [
    "| job | reset | threads | peer | CPU s | wall s | CPU ÷ grulet's | loss, epoch 1 | start to epoch 1, CPU s | wall s | peak MB |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
]


def row_start(case: Case, peer: str) -> str:
    return f"| {case.job} | {case.reset} | {case.threads} | {peer} |"


def row(case: Case, peer: str, result: Result, ratio: str) -> str:
    first, peak = result.first, max(epoch["peak_kib"] for epoch in result.epochs)
    return (
        f"{row_start(case, peer)} {result.median('cpu'):.3f} | {result.median('wall'):.3f} | {ratio} "
        f"| {first['loss']:.4f} | {first['cpu']:.2f} | {first['wall']:.2f} | {peak * 1024 / 1e6:.0f} |"
    )


def processor() -> str:
    """The processor's family, without what would name this machine."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(reversed([map(str.strip, line.split(":", 1)) for line in info if ":" in line]))
    widest = next((name for name in ("avx512f", "avx2", "avx") if name in fields.get("flags", "").split()), "no AVX")
    return f"{fields.get('model name', platform.machine())} (family {fields.get('cpu family', '?')}, {widest})"


if __name__ == "__main__":
    main()
