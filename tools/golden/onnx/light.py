"""Writes testdata/golden/light_resnet50.f64: the logits and probabilities that onnx's own reference gives for light_resnet50 with seeded weights.

onnx's light_resnet50 has 0.02 for every weight, so that its result is the same number a thousand times. Here its graph, without change,
gets weights and an input made by the formula of internal/seeded (seed 50; streams "light_resnet50/NAME" and "light_resnet50/input") by the
rule of distribution(), which backend/reference/onnx_test.go has too, and is evaluated in float64 by onnx.reference, which is plain numpy. The file has 1,000 logits, then 1,000
probabilities, little-endian.

Made with Python 3.11.7, onnx 1.23.2, numpy 2.4.6. Run: python tools/golden/onnx/light.py
"""
import math
import os
import sys

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "ops"))
import seeded  # noqa: E402

assert onnx.__version__ == "1.23.2", onnx.__version__
SEED = 50
OPSET = 15  # the file says 9, whose BatchNormalization onnx.reference mixes with the statistics of the picture, as in training
ROLES = {"Conv": ["", "conv", "bias"], "BatchNormalization": ["", "weight", "bias", "mean", "variance"], "Gemm": ["", "matrix", "bias"]}


def distribution(name, role, shape):
    """Mean and standard deviation."""
    if role == "conv":
        return 0.0, math.sqrt(2 / (shape[1] * shape[2] * shape[3]))
    if role == "matrix":
        return 0.0, math.sqrt(1 / shape[1])
    if role == "weight":  # the last norm of a branch scales it down, as training leaves it
        return (0.3, 0.03) if "branch2c" in name else (1.0, 0.1)
    if role == "variance":
        return 1.0, 0.2
    return 0.0, 0.1


def main():
    model = onnx.load(os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", "light_resnet50.onnx"))
    shapes = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    made = {n.output[0]: tuple(shapes[n.input[0]]) for n in model.graph.node if n.op_type == "ConstantOfShape"}
    feeds = {}
    for n in model.graph.node:
        for name, role in zip(n.input, ROLES.get(n.op_type, [])):
            if role:
                shape = made[name] if name in made else shapes[name].shape
                mean, std = distribution(name, role, shape)
                values = seeded.uniform_around(SEED, "light_resnet50/" + name, math.prod(shape), mean, std)
                feeds[name] = values.astype(np.float64).reshape(shape)
    feeds["gpu_0/data_0"] = seeded.uniform(SEED, "light_resnet50/input", 3 * 224 * 224, 1.0).astype(np.float64).reshape(1, 3, 224, 224)
    gemm = next(n for n in model.graph.node if n.op_type == "Gemm").output[0]
    body = [n for n in model.graph.node if n.op_type != "ConstantOfShape"]
    wide = lambda name, shape: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, shape)
    constants = [i for i in model.graph.initializer if i.name not in {n.input[0] for n in model.graph.node if n.op_type == "ConstantOfShape"}]
    graph = onnx.helper.make_graph(
        body, "light_resnet50", [wide(k, v.shape) for k, v in feeds.items()],
        [wide(gemm, (1, 1000)), wide(model.graph.output[0].name, (1, 1000))], [i for i in constants if i.name not in feeds])
    results = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)])).run(None, feeds)
    for r in results:
        assert r.dtype == np.float64 and np.isfinite(r).all(), r.dtype
        print(r.dtype, r.std(), r.min(), r.max())
    with open(os.path.join(HERE, "..", "..", "..", "testdata", "golden", "light_resnet50.f64"), "wb") as f:
        for r in results:
            f.write(r.astype("<f8").tobytes())


main()
