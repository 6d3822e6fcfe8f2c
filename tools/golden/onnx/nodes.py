"""Writes testdata/golden/onnx.zip and docs/conformance/oracles.md: the backend tests of the onnx package that concern our operations.

The archive has a folder for each test that can be held against the reference: the model, its inputs and its outputs as onnx has
them, byte for byte, and light_resnet50 with them. Every test with a node of an operation in OPS is considered; the document lists the
tests taken and, for each other one, why not. internal/golden reads the archive; no Python is needed for that.

Made with Python 3.11.7, onnx 1.23.2, numpy 2.4.6. Run: python tools/golden/onnx/nodes.py
"""
import collections
import glob
import os
import warnings
import zipfile

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

warnings.filterwarnings("ignore")
assert onnx.__version__ == "1.23.2", onnx.__version__
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
DATA = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
# Those that graph.Op can say, and others that come near.
OPS = ["Conv", "BatchNormalization", "Relu", "Add", "Sum", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "Gemm", "MatMul", "Softmax", "Pad", "Slice",
       "GroupNormalization", "InstanceNormalization", "Concat", "Split", "Reshape"]
KINDS = ["pytorch-converted", "pytorch-operator", "simple"]  # besides "node", which is no folder but made by code


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


class Skip(Exception):
    """A test that cannot be used; the text says why."""


def power_of_two(v):
    return v > 0 and np.frexp(v)[0] == 0.5


def check_spatial(a, rank):
    if rank == 5:
        raise Skip("three spatial dimensions")
    if rank not in (3, 4):
        raise Skip("no spatial dimensions")


def check_channels(axis, x):
    if len(x) not in (2, 3, 4) or axis % len(x) != 1:
        raise Skip("along another axis than the channels")


def check_pad(a, values):
    """values are the operands of the node, None for those that are computed."""
    pads = a.get("pads") if "pads" in a else values[1]
    mode = a.get("mode", b"constant").decode()
    if mode not in ("constant", "reflect") or mode == "constant" and (a.get("value", 0) or len(values) > 2 and values[2] is not None and np.any(values[2])):
        raise Skip("padding of another kind than zeros and mirrored rows and columns")
    if pads is None or len(values) > 3 or len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0:
        raise Skip("padding of other axes than rows and columns, or by less than nothing")


def check_slice(a, x, values):
    starts, ends, axes, steps = (a.get(name, values[i + 1] if i + 1 < len(values) else None) for i, name in enumerate(("starts", "ends", "axes", "steps")))
    if starts is None or axes is None or list(axes) != [1] or steps is not None and list(steps) != [1] or not range(*slice(starts[0], ends[0]).indices(x[1])):
        raise Skip("a slice that is none of channels, nor a subsampling of rows and columns from the first")


def check_node(node, shapes, opset, values):
    """Raises Skip when our operation of the same name cannot say what the node does."""
    a, op, x = attributes(node), node.op_type, shapes[node.input[0]]
    if op in ("Conv", "MaxPool", "AveragePool"):
        check_spatial(a, len(x))
        if op != "Conv" and any(d != 1 for d in a.get("dilations", [1])):
            raise Skip("a pool with dilation")
        return
    if op == "BatchNormalization":
        if a.get("training_mode") or len([o for o in node.output if o]) > 1:
            raise Skip("training mode")
        if len(x) == 5:
            raise Skip("three spatial dimensions")
    elif op == "Add":
        if len(node.input) != 2 or shapes[node.input[1]] != x:
            raise Skip("broadcasting")
    elif op == "Sum":
        if len(node.input) < 2 or any(shapes[i] != x for i in node.input):
            raise Skip("a sum of one")
    elif op == "Flatten":
        axis = a.get("axis", 1)
        if axis % len(x) != 1:
            raise Skip("flatten at another axis than 1")
    elif op == "Gemm":
        bias = shapes[node.input[2]] if len(node.input) > 2 else (1,)
        if int(np.prod(bias)) not in (1, bias[-1] if bias else 1):
            raise Skip("a bias for each row")
        if not all(power_of_two(a.get(k, 1.0)) for k in ("alpha", "beta")):
            raise Skip("a factor that rounds the parameters")
    elif op == "MatMul":
        if len(x) != 2 or len(shapes[node.input[1]]) != 2:
            raise Skip("matrices of more or fewer than two dimensions")
    elif op == "Softmax":
        default = -1 if opset >= 13 else 1
        axis = a.get("axis", default) % len(x)
        if axis != len(x) - 1:
            raise Skip("softmax over another axis than the last")
    elif op == "GlobalAveragePool":
        check_spatial(a, len(x))
    elif op == "Pad":
        if len(x) != 4:
            raise Skip("padding of other axes than rows and columns, or by less than nothing")
        check_pad(a, values)
    elif op == "Slice":
        check_slice(a, x, values)
    elif op in ("GroupNormalization", "InstanceNormalization"):
        if len(x) != 4:
            check_spatial(a, 2)
        if op == "GroupNormalization" and opset < 21:
            raise Skip("parameters for each group")
    elif op in ("Concat", "Split"):
        check_channels(a.get("axis", 0), x)
    elif op == "Reshape":
        to = shapes[node.output[0]]
        if len(to) not in (2, 4) or to[0] != x[0] or 0 in x or len(x) < 2:
            raise Skip("a shape that is no picture or vector for each picture")


GLUE = {"Constant", "Identity", "Transpose"}  # of parameters, as PyTorch exports them


def check(model, inputs, outputs):
    ops = [n.op_type for n in model.graph.node]
    others = sorted({o for o in ops if o not in OPS and o not in GLUE})
    if others:
        raise Skip("other operations in the graph (functions written out as graphs, most of them)")
    inputs, outputs = ([np.asarray(x) if isinstance(x, np.generic) else x for x in v] for v in (inputs, outputs))
    tensors = list(inputs) + [numpy_helper.to_array(i) for i in model.graph.initializer] + list(outputs[:1])
    for t in tensors:
        if not isinstance(t, np.ndarray):
            raise Skip("values that are no tensors")
    kinds = {t.dtype.name for t in tensors if not (t.dtype == np.int64 and t.ndim <= 1)}
    if kinds - {"float32"}:
        raise Skip("elements of " + ", ".join(sorted(kinds - {"float32"})))
    if sum(t.nbytes for t in inputs) + sum(t.nbytes for t in outputs) > 100_000:
        if max(t.ndim for t in inputs) > 4:
            raise Skip("three spatial dimensions")
    opset = model.opset_import[0].version
    shapes = {}
    for i, t in zip([i.name for i in model.graph.input if i.name not in {x.name for x in model.graph.initializer}], inputs):
        shapes[i] = t.shape
    inferred = onnx.shape_inference.infer_shapes(model)
    for v in list(inferred.graph.value_info) + list(inferred.graph.output) + list(inferred.graph.input):
        if v.name not in shapes:
            shapes[v.name] = tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
    for i in model.graph.initializer:
        shapes[i.name] = tuple(i.dims)
    constants = {i.name for i in model.graph.initializer}
    known = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    known.update(zip([i.name for i in model.graph.input if i.name not in constants], inputs))
    for n in model.graph.node:
        if n.op_type == "Transpose" and n.input[0] in constants or n.op_type in ("Constant", "Identity"):
            constants.update(n.output)
        elif n.op_type == "Transpose":
            raise Skip("a transposition of values")
        else:
            if n.input[0] in constants:
                raise Skip("a constant where we have values")
            try:
                check_node(n, shapes, opset, [known.get(name) for name in n.input])
            except KeyError as e:
                raise Skip(f"an unknown shape of {e}") from e


def tests():
    """Yields kind, name, model, inputs and outputs as arrays, and the serialised parts."""
    for t in load_model_tests(kind="node"):
        if not any(n.op_type in OPS for n in t.model.graph.node):
            continue
        inputs, outputs = t.data_sets[0]
        files = {"model.onnx": t.model.SerializeToString(deterministic=True)}
        for kind, arrays in (("input", inputs), ("output", outputs[:1])):
            for i, x in enumerate(arrays):
                if isinstance(x, np.ndarray):
                    files[f"{kind}_{i}.pb"] = numpy_helper.from_array(x).SerializeToString(deterministic=True)
        yield "node", t.name, t.model, inputs, outputs, files
    for kind in KINDS:
        for path in sorted(glob.glob(os.path.join(DATA, kind, "*"))):
            model = onnx.load(os.path.join(path, "model.onnx"))
            if not any(n.op_type in OPS for n in model.graph.node):
                continue
            files = {"model.onnx": open(os.path.join(path, "model.onnx"), "rb").read()}
            values = {"input": [], "output": []}
            for k in values:
                for i in range(len(glob.glob(os.path.join(path, "test_data_set_0", k + "_*.pb")))):
                    name = f"{k}_{i}.pb"
                    files[name] = open(os.path.join(path, "test_data_set_0", name), "rb").read()
                    tensor = onnx.TensorProto()
                    try:
                        tensor.ParseFromString(files[name])
                        values[k].append(numpy_helper.to_array(tensor))
                    except Exception:  # a sequence
                        values[k].append(None)
            yield kind, os.path.basename(path), model, values["input"], values["output"], files


def main():
    taken, skipped, contents = collections.defaultdict(list), collections.defaultdict(list), {}
    for kind, name, model, inputs, outputs, files in tests():
        try:
            check(model, inputs, outputs)
        except Skip as e:
            skipped[str(e)].append(f"{kind}/{name}")
            continue
        taken[", ".join(sorted({n.op_type for n in model.graph.node if n.op_type not in GLUE}))].append(f"{kind}/{name}")
        for file, data in files.items():
            contents[f"{kind}/{name}/{file}"] = data
    for file, path in (("model.onnx", "light_resnet50.onnx"), ("output_0.pb", "light_resnet50_output_0.pb")):
        contents["light/light_resnet50/" + file] = open(os.path.join(DATA, "light", path), "rb").read()
    archive = os.path.join(ROOT, "testdata", "golden", "onnx.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        for file in sorted(contents):
            z.writestr(zipfile.ZipInfo(file, (2020, 1, 1, 0, 0, 0)), contents[file], zipfile.ZIP_DEFLATED, 9)
    document(taken, skipped)
    print(sum(map(len, taken.values())), "taken,", sum(map(len, skipped.values())), "not;", os.path.getsize(archive), "bytes")


def document(taken, skipped):
    def rows(groups):
        for key in sorted(groups, key=lambda k: (-len(groups[k]), k)):
            names = [f"`{n.split('/', 1)[0]}/{n.split('/', 1)[1].removeprefix('test_')}`" for n in sorted(groups[key])]
            yield f"| {key} | {len(names)} | {', '.join(names)} |"

    count = lambda groups: sum(map(len, groups.values()))
    lines = [
        "<!-- Written by tools/golden/onnx/nodes.py; do not edit. -->",
        "# The ONNX backend tests that the reference is held against",
        "",
        f"Of the backend tests in the `onnx` package {onnx.__version__}, {count(taken) + count(skipped)} have a node of one of these operations: {', '.join(OPS)}.",
        f"{count(taken)} of them are in `testdata/golden/onnx.zip`, byte for byte, with `light_resnet50`; `go test -run ONNX ./backend/reference` holds the reference against them.",
        f"The other {count(skipped)} cannot be said in our graphs; the second table tells why. Names are those of the package without `test_`; what stands before the slash is the kind of",
        "test: `node` (one operation, computed by numpy), `pytorch-converted` and `pytorch-operator` (exported from PyTorch, with its results), `simple`.",
        "",
        "## Used",
        "",
        "| operations | tests | names |",
        "|---|---|---|",
        *rows(taken),
        "",
        "## Not used",
        "",
        "| because of | tests | names |",
        "|---|---|---|",
        *rows(skipped),
        "",
    ]
    with open(os.path.join(ROOT, "docs", "conformance", "oracles.md"), "w") as f:
        f.write("\n".join(lines))


main()
