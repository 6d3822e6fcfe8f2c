"""Writes plugins/proto/testdata/vectors.json: messages of the plugin protocol as text and bytes, tensors as bytes, and a
graph with the result of a run, all made without the Go code.

Made with Python 3.11.7, grpcio-tools 1.85.1, protobuf 7.36.2, numpy 2.4.6.
Run: python tools/golden/plugin/vectors.py
"""
import importlib
import json
import pathlib
import sys
import tempfile

import numpy as np
from google.protobuf import text_format
from grpc_tools import protoc

root = pathlib.Path(__file__).resolve().parents[3]
proto = root / "plugins" / "proto"
with tempfile.TemporaryDirectory() as out:
    if protoc.main(["protoc", f"-I{proto}", f"--python_out={out}", "resnet/backend/v1/backend.proto"]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out)
    pb = importlib.import_module("resnet.backend.v1.backend_pb2")

F32 = pb.DTYPE_FLOAT32


def type_(*shape, dtype=F32):
    return pb.TensorType(dtype=dtype, shape=shape)


def value(name, *shape):
    return pb.Value(name=name, type=type_(*shape))


def node(name, inputs, result, **op):
    return pb.Node(name=name, op=pb.Op(**op), inputs=inputs, result=type_(*result))


def pair(rows, columns):
    return pb.Extent(rows=rows, columns=columns)


def tiny():
    """conv2d with bias and ReLU, global average, flatten."""
    conv = pb.Conv2D(stride=pair(1, 1), padding=pb.Padding(), dilation=pair(1, 1), groups=1, bias=True, activation=pb.ACTIVATION_RELU)
    return pb.Graph(
        name="tiny", inputs=[value("x", 1, 1, 3, 3)], parameters=[value("conv.weight", 2, 1, 2, 2), value("conv.bias", 2)],
        nodes=[
            node("conv", ["x", "conv.weight", "conv.bias"], (1, 2, 2, 2), conv2d=conv),
            node("pool", ["conv"], (1, 2, 1, 1), global_avg_pool=pb.GlobalAvgPool()),
            node("flat", ["pool"], (1, 2), flatten=pb.Flatten()),
        ],
        outputs=["flat"])


def every_op():
    """Each operation once, each attribute away from 0 where it can be."""
    conv = pb.Conv2D(stride=pair(2, 1), padding=pb.Padding(top=1, left=2, bottom=3, right=4), dilation=pair(1, 2), groups=2, bias=True, add=True,
                     activation=pb.ACTIVATION_RELU)
    pad = pb.Padding(top=1, left=0, bottom=1, right=1)
    return pb.Graph(
        name="ops/every-1", inputs=[value("x", 2, 4, 9, 8), value("shortcut", 2, 6, 6, 10), value("skip", 2, 4, 6, 10)],
        parameters=[value("w", 6, 2, 3, 3), value("b", 6), value("bn.weight", 6), value("bn.bias", 6), value("bn.mean", 6), value("bn.var", 6),
                    value("fc.w", 5, 8), value("fc.b", 5)],
        nodes=[
            node("conv", ["x", "w", "b", "shortcut"], (2, 6, 6, 10), conv2d=conv),
            node("bn", ["conv", "bn.weight", "bn.bias", "bn.mean", "bn.var"], (2, 6, 6, 10), batch_norm=pb.BatchNorm(epsilon=1e-5)),
            node("relu", ["bn"], (2, 6, 6, 10), relu=pb.ReLU()),
            node("add", ["relu", "conv"], (2, 6, 6, 10), add=pb.Add()),
            node("max", ["add"], (2, 6, 4, 5), max_pool=pb.MaxPool(kernel=pair(3, 2), stride=pair(2, 2), padding=pad, ceil_mode=True)),
            node("avg", ["max"], (2, 6, 2, 2),
                 avg_pool=pb.AvgPool(kernel=pair(3, 2), stride=pair(2, 3), padding=pad, ceil_mode=False, count_include_pad=True)),
            node("sub", ["avg"], (2, 6, 1, 2), subsample=pb.Subsample(stride=pair(2, 1))),
            node("wide", ["sub"], (2, 8, 1, 2), channel_pad=pb.ChannelPad(before=1, after=1)),
            node("mean", ["wide"], (2, 8, 1, 1), global_avg_pool=pb.GlobalAvgPool()),
            node("open", ["wide", "mean", "wide"], (2, 8, 1, 2), gate=pb.Gate(add=True, activation=pb.ACTIVATION_RELU)),
            node("norm", ["add", "bn.weight", "bn.bias"], (2, 6, 6, 10),
                 group_norm=pb.GroupNorm(groups=3, epsilon=1e-3, activation=pb.ACTIVATION_RELU)),
            node("part", ["norm"], (2, 2, 6, 10), channel_slice=pb.ChannelSlice(begin=1, end=3)),
            node("both", ["part", "norm"], (2, 8, 6, 10), concat=pb.Concat()),
            node("split", ["both", "mean", "skip"], (2, 4, 6, 10),
                 split_attention=pb.SplitAttention(radix=2, groups=4, add=True, activation=pb.ACTIVATION_RELU)),
            node("round", ["split"], (2, 4, 10, 16),
                 spatial_pad=pb.SpatialPad(padding=pb.Padding(top=1, left=2, bottom=3, right=4), reflect=True)),
            node("rows", ["round"], (2, 8, 5, 16), reshape=pb.Reshape(channels=8, rows=5, columns=16)),
            node("flat", ["mean"], (2, 8), flatten=pb.Flatten()),
            node("fc", ["flat", "fc.w", "fc.b"], (2, 5), linear=pb.Linear(bias=True)),
            node("prob", ["fc"], (2, 5), softmax=pb.Softmax()),
        ],
        outputs=["prob", "mean", "open", "rows"])


def f32(*values):
    return np.array(values, "<f4").tobytes()


weight, bias = (1, 0, 0, -1, 1, 1, 1, 1), (8, -20)


def run(x):
    """The tiny graph by hand: 2x2 windows of a 3x3 picture."""
    x, w = np.array(x, np.float64).reshape(3, 3), np.array(weight, np.float64).reshape(2, 2, 2)
    return [float(np.mean([max(np.sum(x[p:p + 2, q:q + 2] * w[k]) + bias[k], 0) for p in (0, 1) for q in (0, 1)])) for k in (0, 1)]


compile_stream = [
    pb.CompileRequest(start=pb.CompileStart(device=1, executable=2)),
    pb.CompileRequest(graph=tiny()),
    pb.CompileRequest(data=pb.ParameterData(parameter=0, data=f32(*weight))),
    pb.CompileRequest(data=pb.ParameterData(parameter=1, data=f32(*bias))),
]
conv_query = pb.NodeQuery(name="conv", op=tiny().nodes[0].op, result=tiny().nodes[0].result, inputs=[
    pb.Operand(value=value("x", 1, 1, 3, 3)),
    pb.Operand(value=value("conv.weight", 2, 1, 2, 2), parameter=True),
    pb.Operand(value=value("conv.bias", 2), parameter=True)])
refusal = pb.Error(kinds=[pb.ERROR_KIND_UNSUPPORTED], message="dilation: want 1,1, got 2,2: unsupported")
shape_error = pb.Error(kinds=[pb.ERROR_KIND_INVALID], message="write: size: want 36 bytes, got 35",
                       shape=pb.ShapeError(op="buffer", attribute="size", want="36 bytes", got="35"))
messages = [
    ("graph/tiny", "a graph of three nodes", tiny()),
    ("graph/every-op", "each operation once", every_op()),
    ("node/conv", "the convolution of graph/tiny, asked about on its own", conv_query),
    *((f"compile/{i}", "Compile of graph/tiny, message by message", m) for i, m in enumerate(compile_stream)),
    ("run", "RunRequest for one input and one output", pb.RunRequest(executable=2, inputs=[3], outputs=[4])),
    ("execute", "Execute with the input in the message and the output in the answer, where the plugin has execute", pb.ExecuteRequest(
        writes=[pb.Transfer(buffer=3, data=f32(*range(1, 10)))], run=pb.RunRequest(executable=2, inputs=[3], outputs=[4]), reads=[pb.Transfer(buffer=4)])),
    ("execute/shared", "the same through shared memory", pb.ExecuteRequest(
        writes=[pb.Transfer(buffer=3, shared=pb.SharedRange(region=5, length=36))], run=pb.RunRequest(executable=2, inputs=[3], outputs=[4]),
        reads=[pb.Transfer(buffer=4, shared=pb.SharedRange(region=5, offset=65536, length=8))])),
    ("execute/answer", "the output of graph/tiny", pb.ExecuteResponse(data=[f32(*run(range(1, 10)))])),
    ("capabilities", "of a plugin with everything", pb.PluginCapabilities(shared_memory=True, execute=True)),
    ("write/start", "the tensor is in shared memory", pb.WriteBufferRequest(
        start=pb.WriteBufferStart(buffer=3, shared=pb.SharedRange(region=5, offset=65536, length=36)))),
    ("write/chunk", "the whole input of graph/tiny in one chunk", pb.WriteBufferRequest(chunk=f32(*range(1, 10)))),
    ("supports/answers", "a yes, then a refusal", pb.SupportsResponse(answers=[pb.Error(), refusal])),
    ("error/shape", "a size that does not fit", shape_error),
    ("device", "a device", pb.DeviceInfo(backend="go-naive", id="0", name="Go loops", type=pb.DEVICE_TYPE_CPU, driver="go1.26", memory_bytes=1 << 33)),
]

tensors = [
    ("float32", (2, 3), [0.0, -0.0, 1.0, -2.5, 65504.0, 1e-45], np.array([0.0, -0.0, 1.0, -2.5, 65504.0, 1e-45], "<f4")),
    ("float16", (4,), [1.0, -2.0, 65504.0, 2**-24], np.array([1.0, -2.0, 65504.0, 2**-24], "<f2")),
    ("bfloat16", (3,), [1.0, -2.0, 3.140625], (np.array([1.0, -2.0, 3.140625], "<f4").view("<u4") >> 16).astype("<u2")),
    ("int8", (3,), [-128, -1, 127], np.array([-128, -1, 127], "<i1")),
    ("uint8", (2,), [0, 255], np.array([0, 255], "<u1")),
    ("int32", (1, 2), [-2, 16909060], np.array([-2, 16909060], "<i4")),
    ("float32", (), [0.5], np.array(0.5, "<f4")),
    ("float32", (0, 3), [], np.zeros((0, 3), "<f4")),
]

x = list(range(1, 10))
out = {
    "messages": [{"name": n, "about": about, "type": m.DESCRIPTOR.name, "text": text_format.MessageToString(m, as_one_line=True),
                  "hex": m.SerializeToString(deterministic=True).hex()} for n, about, m in messages],
    "tensors": [{"dtype": d, "shape": list(s), "values": v, "hex": a.tobytes().hex()} for d, s, v, a in tensors],
    "run": {"graph": "graph/tiny", "input": x, "output": run(x), "input_hex": f32(*x).hex(), "output_hex": f32(*run(x)).hex()},
}
(proto / "testdata" / "vectors.json").write_text(json.dumps(out, indent=1) + "\n")
