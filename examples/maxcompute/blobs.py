#!/usr/bin/env python3
"""Writes points.csv: 400 points in four round clusters, so that the right number of clusters is known."""

import pathlib
import random

CENTRES = [(2.0, 2.0), (2.0, 9.0), (9.0, 3.0), (8.0, 10.0)]
dice = random.Random(4)
with open(pathlib.Path(__file__).with_name("points.csv"), "w") as file:
    file.write("id,f0,f1\n")
    for number in range(400):
        x, y = CENTRES[number % 4]
        file.write(f"{number},{dice.gauss(x, 1):.3f},{dice.gauss(y, 1):.3f}\n")
