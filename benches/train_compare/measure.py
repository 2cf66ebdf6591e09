"""Trains one peer on one job in this process: an epoch at once, and another for each line of standard input. After each it
prints a line of JSON. `run.py` starts it."""

import argparse
import json
import sys
import time
from pathlib import Path

from jobs import JOBS
from peers import PEERS


def peak_kib() -> int:
    """The largest resident memory of this process so far. Not getrusage's: that counts what its parent had before exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise OSError("/proc/self/status has no VmHWM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--job", choices=JOBS, required=True)
    parser.add_argument("--reset", choices=["before", "after"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()

    peer = PEERS[args.peer](JOBS[args.job], args.reset, args.threads)
    loss = peer.epoch()
    first = {"loss": loss, "cpu": time.process_time(), "ended": time.time()}  # since the process started
    print(json.dumps(first), flush=True)
    for _ in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        loss = peer.epoch()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps({"loss": loss, "cpu": cpu, "wall": wall, "peak_kib": peak_kib()}), flush=True)


if __name__ == "__main__":
    main()
