"""The container of the golden cases: NAME.json lists the cases, NAME.f64 holds their float64 results, little-endian.

A case is a graph in the text form of package graph; its inputs and parameters are made from the case's seed by the
formula of internal/seeded (stream "CASE/VALUE", with a mean and a standard deviation), so only results are stored.
"""
import json
import os

import numpy as np
import torch

import seeded

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "testdata", "golden")


def shape_text(shape):
    return "[" + ",".join(str(d) for d in shape) + "]"


class Case:
    """Builds the text of a graph and makes its seeded values on the way."""

    def __init__(self, name, seed):
        self.name, self.seed = name, seed
        self.leaves, self.head, self.nodes, self.outputs = {}, [], [], []
        self.want = {}
        self.extra = {}  # what is no value of the graph

    def leaf(self, kind, name, shape, mean, std):
        self.leaves[name] = [mean, std]
        sigil = {"input": "%", "param": "@"}[kind]
        self.head.append(f"{kind} {sigil}{name} : float32{shape_text(shape)}")
        n = int(np.prod(shape))
        values = seeded.uniform_around(self.seed, f"{self.name}/{name}", n, mean, std)
        return torch.from_numpy(values.astype(np.float64)).reshape(shape)

    def input(self, name, shape, std=1.0, mean=0.0):
        return self.leaf("input", name, shape, mean, std)

    def param(self, name, shape, std=1.0, mean=0.0):
        return self.leaf("param", name, shape, mean, std)

    def node(self, name, op, inputs, value, **attrs):
        """value is what PyTorch computed for the node."""
        text = f"%{name} = {op}({', '.join(inputs)})"
        for k, v in attrs.items():
            if isinstance(v, bool):
                v = str(v).lower()
            elif isinstance(v, (tuple, list)):
                v = ",".join(str(i) for i in v)
            text += f" {k}={v}"
        self.nodes.append(f"{text} : float32{shape_text(value.shape)}")
        self.want[name] = value.detach().clone()
        return value

    def output(self, name):
        self.outputs.append(f"output %{name}")

    def text(self):
        return "\n".join(["graph case"] + self.head + self.nodes + self.outputs) + "\n"


def write(name, cases):
    listing, data, offset = [], [], 0
    for c in cases:
        want, extra = {}, {}
        for into, values in (want, c.want), (extra, c.extra):
            for value, t in values.items():
                flat = t.reshape(-1).numpy().astype("<f8")
                assert np.isfinite(flat).all(), (c.name, value)
                into[value] = [offset, flat.size]
                data.append(flat.tobytes())
                offset += flat.size
        listing.append({"name": c.name, "seed": c.seed, "leaves": c.leaves, "graph": c.text(), "want": want} | ({"extra": extra} if extra else {}))
    os.makedirs(OUT, exist_ok=True)
    with open(os.path.join(OUT, name + ".json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in listing) + "\n]\n")
    with open(os.path.join(OUT, name + ".f64"), "wb") as f:
        f.write(b"".join(data))
    print(f"{name}: {len(cases)} cases, {offset} values, {offset * 8} bytes")
