"""Writes water_flow_normal.csv, hours without interruptions to train on, and water_flow_faults.csv, later hours with faults put
in and a column that names them.

    python examples/water_flow_faults.py

water_flow_normal.csv is water_flow_train.csv from 250 hours on, after its two interruptions. water_flow_faults.csv is
water_flow_test.csv with the faults below at random places. From hour to hour the flow changes by 0.15 l/s (median).

interruption  once, hours 72 to 87: the real one of that series
leak          three times: 1.5, 2.5 and 4 l/s more, for 12 to 24 hours; the flow comes back to what it was
stuck         three times: the sensor gives its last value for 12 to 24 hours
dropout       twice: the sensor gives 0 for 2 to 4 hours
spike         six times: one value that is off by 2 to 6 l/s, up or down

Other hours are `none`, the first ones after a fault too, which lie as far from the hours before them.
"""

import csv
import random
from pathlib import Path

FOLDER = Path(__file__).parent
NORMAL = 250  # the first hour of the training part that is taken
INTERRUPTION = range(72, 88)
GAP = 12  # hours between two faults

draw = random.Random(2026)


def read(name):
    with open(FOLDER / name, newline="") as file:
        return list(csv.reader(file))


def write(name, header, rows):
    with open(FOLDER / name, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


header, *rows = read("water_flow_train.csv")
write("water_flow_normal.csv", header, rows[NORMAL:])

header, *rows = read("water_flow_test.csv")
flow = [float(value) for _, value in rows]
fault = ["none"] * len(flow)
taken = set(INTERRUPTION) | set(range(24))  # a stream has just begun in the first day
for hour in INTERRUPTION:
    fault[hour] = "interruption"


def place(hours):
    """A stretch of so many hours that is far enough from all others."""
    while True:
        start = draw.randrange(len(flow) - hours - GAP)
        around = range(start - GAP, start + hours + GAP)
        if not taken.intersection(around):
            taken.update(range(start, start + hours))
            return range(start, start + hours)


def put(name, hours, change):
    for hour in hours:
        flow[hour] = change(hour)
        fault[hour] = name


for size in (1.5, 2.5, 4.0):
    put("leak", place(draw.randint(12, 24)), lambda hour: flow[hour] + size)
for _ in range(3):
    hours = place(draw.randint(12, 24))
    last = flow[hours[0] - 1]
    put("stuck", hours, lambda hour: last)
for _ in range(2):
    put("dropout", place(draw.randint(2, 4)), lambda hour: 0.0)
for _ in range(6):
    off = draw.choice((-1, 1)) * draw.uniform(2.0, 6.0)
    put("spike", place(1), lambda hour: flow[hour] + off)

labelled = [(time, f"{value:.2f}", name) for (time, _), value, name in zip(rows, flow, fault)]
write("water_flow_faults.csv", [*header, "fault"], labelled)
