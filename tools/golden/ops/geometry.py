"""Writes testdata/golden/geometry.json: hundreds of random geometries, larger than those of ops.py, computed by PyTorch in float64.

Convolutions with groups, dilation, paddings that differ by side and kernels up to 11, and pools with windows up to 11, ceil mode and
both ways of counting. Results are too large to keep; of each there are three sums, Σ y·r, with weights r made by internal/seeded
(streams "CASE/probe0" to "CASE/probe2", seed of the case): a wrong element changes them all.

Made with Python 3.11.7, torch 2.9.1, numpy 2.4.6. Run: python tools/golden/ops/geometry.py
"""
import json
import os
import random

import numpy as np
import torch

import ops
import seeded
from common import OUT

PROBES = 3
ops.rng = random.Random(20261123)
ops.MAX_ELEMS = 6000
ops.MOST = {"depthwise": 40, "channels": 40, "side": 33, "kernel": 11, "pad": 5, "planes": 24, "pool_side": 40, "pool_kernel": 11}


def probes(case, y):
    flat = y.reshape(-1).numpy()
    assert np.isfinite(flat).all(), case.name
    return [float(np.dot(flat, seeded.uniform(case.seed, f"{case.name}/probe{i}", flat.size, 1.0).astype(np.float64))) for i in range(PROBES)]


def main():
    torch.set_num_threads(1)
    for count, make in [(380, ops.conv), (100, ops.max_pool), (160, ops.avg_pool)]:
        for _ in range(count):
            make()
    lines = []
    for c in ops.cases:
        want = {name: probes(c, y) for name, y in c.want.items()}
        lines.append(json.dumps({"name": c.name, "seed": c.seed, "leaves": c.leaves, "graph": c.text(), "probes": want}, separators=(",", ":")))
    path = os.path.join(OUT, "geometry.json")
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(lines) + "\n]\n")
    print(len(lines), "cases,", os.path.getsize(path), "bytes")


main()
