"""Writes addition_train.csv and addition_test.csv: sums of two numbers of up to three digits, as text.

    python examples/addition_data.py

question  two numbers from 0 to 999, such as 76+941
answer    their sum
No pair is in both files, nor the other way round.
"""

import csv
import random
from pathlib import Path

TRAIN, TEST = 45_000, 5_000

draw = random.Random(2026)
pairs = [(a, b) for a in range(1000) for b in range(a + 1)]
draw.shuffle(pairs)
folder = Path(__file__).parent
for name, part in (("train", pairs[:TRAIN]), ("test", pairs[TRAIN : TRAIN + TEST])):
    with open(folder / f"addition_{name}.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("question", "answer"))
        for a, b in part:
            if draw.random() < 0.5:
                a, b = b, a
            rows.writerow((f"{a}+{b}", a + b))
