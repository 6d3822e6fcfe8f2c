"""The ResNets of the comparison: random weights under torchvision's names, and the same network for each peer."""

import json
import struct

import numpy as np

# name: (bottleneck, blocks of each stage, planes of each stage, CIFAR stem, classes)
NETWORKS = {
    "resnet18": (False, [2, 2, 2, 2], [64, 128, 256, 512], False, 1000),
    "resnet34": (False, [3, 4, 6, 3], [64, 128, 256, 512], False, 1000),
    "resnet50": (True, [3, 4, 6, 3], [64, 128, 256, 512], False, 1000),
    "resnet101": (True, [3, 4, 23, 3], [64, 128, 256, 512], False, 1000),
    "resnet152": (True, [3, 8, 36, 3], [64, 128, 256, 512], False, 1000),
    "resnet20-cifar": (False, [3, 3, 3], [16, 32, 64], True, 10),
}
EPSILON = 1e-5


class Network:
    """Layers in order: (kind, name, inputs, attributes); a convolution's weights and batch norm are in params."""

    def __init__(self, arch, seed=1):
        self.rng = np.random.default_rng(seed)
        self.params, self.layers = {}, []
        bottleneck, depths, planes, cifar, classes = NETWORKS[arch]
        grow = 4 if bottleneck else 1
        if cifar:
            x, c = self.conv("conv1", "bn1", "input", 3, planes[0], 3, 1, relu=True), planes[0]
        else:
            x = self.conv("conv1", "bn1", "input", 3, 64, 7, 2, relu=True)
            x, c = self.layer("maxpool", "maxpool", [x]), 64
        for s, (depth, p) in enumerate(zip(depths, planes)):
            for b in range(depth):
                stride = 2 if b == 0 and s > 0 else 1
                x = self.block(f"layer{s + 1}.{b}", x, c, p, p * grow, stride, bottleneck, cifar)
                c = p * grow
        x = self.layer("avgpool", "avgpool", [x])
        self.params["fc.weight"] = self.normal((classes, c), (1 / c) ** 0.5)
        self.params["fc.bias"] = self.normal((classes,), 0.1)
        self.layer("fc", "fc", [x])

    def normal(self, shape, deviation):
        return (self.rng.standard_normal(shape) * deviation).astype(np.float32)

    def layer(self, kind, name, inputs, **attributes):
        self.layers.append((kind, name, inputs, attributes))
        return name

    def conv(self, name, bn, x, c, k, r, stride, relu, gain=1.0):
        self.params[name + ".weight"] = self.normal((k, c, r, r), (2 / (c * r * r)) ** 0.5)
        self.params[bn + ".weight"] = (gain * (1 + self.normal((k,), 0.1))).astype(np.float32)
        self.params[bn + ".bias"] = self.normal((k,), 0.1)
        self.params[bn + ".running_mean"] = self.normal((k,), 0.1)
        self.params[bn + ".running_var"] = (1 + self.rng.random(k) * 0.2).astype(np.float32)
        return self.layer("conv", name, [x], bn=bn, stride=stride, pad=r // 2, relu=relu)

    def block(self, at, x, c, p, k, stride, bottleneck, cifar):
        if bottleneck:
            y = self.conv(at + ".conv1", at + ".bn1", x, c, p, 1, 1, relu=True)
            y = self.conv(at + ".conv2", at + ".bn2", y, p, p, 3, stride, relu=True)
            y = self.conv(at + ".conv3", at + ".bn3", y, p, k, 1, 1, relu=False, gain=0.3)
        else:
            y = self.conv(at + ".conv1", at + ".bn1", x, c, p, 3, stride, relu=True)
            y = self.conv(at + ".conv2", at + ".bn2", y, p, p, 3, 1, relu=False, gain=0.3)
        if cifar and c != k:
            x = self.layer("subsample_pad", at + ".shortcut", [x], before=(k - c) // 2, after=k - c - (k - c) // 2)
        elif c != k or stride != 1:
            x = self.conv(at + ".downsample.0", at + ".downsample.1", x, c, k, 1, stride, relu=False)
        return self.layer("add_relu", at + ".add", [y, x])

    def folded(self, name, bn):
        """Weights and bias of a convolution with its batch norm folded in."""
        p = self.params
        scale = p[bn + ".weight"].astype(np.float64) / np.sqrt(p[bn + ".running_var"].astype(np.float64) + EPSILON)
        w = p[name + ".weight"] * scale[:, None, None, None]
        b = p[bn + ".bias"] - p[bn + ".running_mean"] * scale
        return w.astype(np.float32), b.astype(np.float32)

    def write_safetensors(self, path):
        header, at = {}, 0
        for name, v in self.params.items():
            header[name] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [at, at + v.nbytes]}
            at += v.nbytes
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for v in self.params.values():
                f.write(v.tobytes())

    def write_onnx(self, path, batch, side):
        import onnx
        from onnx import helper, numpy_helper

        nodes, values, weights = [], {"input": "input"}, []

        def constant(name, v):
            weights.append(numpy_helper.from_array(v, name))
            return name

        for kind, name, inputs, a in self.layers:
            x = [values[i] for i in inputs]
            y = name
            if kind == "conv":
                w = constant(name + ".weight", self.params[name + ".weight"])
                r = self.params[name + ".weight"].shape[2]
                nodes.append(helper.make_node("Conv", [x[0], w], [name + ".c"], name=name, kernel_shape=[r, r], strides=[a["stride"]] * 2, pads=[a["pad"]] * 4))
                stats = [constant(f"{a['bn']}.{s}", self.params[f"{a['bn']}.{s}"]) for s in ("weight", "bias", "running_mean", "running_var")]
                y = name + ".bn"
                nodes.append(helper.make_node("BatchNormalization", [name + ".c"] + stats, [y], name=y, epsilon=EPSILON))
                if a["relu"]:
                    nodes.append(helper.make_node("Relu", [y], [name + ".relu"], name=name + ".relu"))
                    y = name + ".relu"
            elif kind == "maxpool":
                nodes.append(helper.make_node("MaxPool", x, [y], name=name, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
            elif kind == "subsample_pad":
                ints = {"starts": [0, 0], "ends": [2**31, 2**31], "axes": [2, 3], "steps": [2, 2], "pads": [0, a["before"], 0, 0, 0, a["after"], 0, 0]}
                ints = {k: constant(f"{name}.{k}", np.array(v, np.int64)) for k, v in ints.items()}
                nodes.append(helper.make_node("Slice", [x[0], ints["starts"], ints["ends"], ints["axes"], ints["steps"]], [name + ".s"], name=name + ".s"))
                nodes.append(helper.make_node("Pad", [name + ".s", ints["pads"]], [y], name=name))
            elif kind == "add_relu":
                nodes.append(helper.make_node("Add", x, [name + ".sum"], name=name))
                nodes.append(helper.make_node("Relu", [name + ".sum"], [y], name=name + ".relu"))
            elif kind == "avgpool":
                nodes.append(helper.make_node("GlobalAveragePool", x, [name + ".p"], name=name))
                nodes.append(helper.make_node("Flatten", [name + ".p"], [y], name="flatten"))
            elif kind == "fc":
                w, b = constant("fc.weight", self.params["fc.weight"]), constant("fc.bias", self.params["fc.bias"])
                nodes.append(helper.make_node("Gemm", [x[0], w, b], ["output"], name=name, transB=1))
            values[name] = y
        info = lambda n, s: helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s)
        classes = self.params["fc.bias"].shape[0]
        graph = helper.make_graph(nodes, "net", [info("input", [batch, 3, side, side])], [info("output", [batch, classes])], weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)

    def write_ncnn(self, prefix):
        """The .param and .bin of ncnn, batch norm folded and ReLU fused, as its own optimizer leaves them."""
        uses = {}
        for _, _, inputs, _ in self.layers:
            for i in inputs:
                uses[i] = uses.get(i, 0) + 1
        lines, weights, given, blobs = ["Input in 0 1 input"], [], {}, {"input"}

        def read(name):  # ncnn wants a blob to have one reader; Split lines give each its own
            if uses[name] == 1:
                return name
            given[name] = given.get(name, -1) + 1
            return f"{name}_{given[name]}"

        def write(line, name):
            lines.append(line)
            blobs.add(name)
            if uses.get(name, 0) > 1:
                copies = [f"{name}_{i}" for i in range(uses[name])]
                blobs.update(copies)
                lines.append(f"Split split_{name} 1 {len(copies)} {name} {' '.join(copies)}")

        for kind, name, inputs, a in self.layers:
            x = [read(i) for i in inputs]
            if kind == "conv":
                w, b = self.folded(name, a["bn"])
                weights += [struct.pack("<I", 0), w.tobytes(), b.tobytes()]
                write(f"Convolution {name} 1 1 {x[0]} {name} 0={w.shape[0]} 1={w.shape[2]} 3={a['stride']} 4={a['pad']} 5=1 6={w.size} 9={int(a['relu'])}", name)
            elif kind == "maxpool":
                write(f"Pooling {name} 1 1 {x[0]} {name} 0=0 1=3 2=2 3=1 5=1", name)
            elif kind == "subsample_pad":
                blobs.add(name + ".s")
                lines.append(f"Pooling {name}.s 1 1 {x[0]} {name}.s 0=0 1=1 2=2 5=1")
                write(f"Padding {name} 1 1 {name}.s {name} 7={a['before']} 8={a['after']}", name)
            elif kind == "add_relu":
                blobs.add(name + ".sum")
                lines.append(f"BinaryOp {name}.sum 2 1 {x[0]} {x[1]} {name}.sum 0=0")
                write(f"ReLU {name} 1 1 {name}.sum {name}", name)
            elif kind == "avgpool":
                write(f"Pooling {name} 1 1 {x[0]} {name} 0=1 4=1", name)
            elif kind == "fc":
                w = self.params["fc.weight"]
                weights += [struct.pack("<I", 0), w.tobytes(), self.params["fc.bias"].tobytes()]
                write(f"InnerProduct {name} 1 1 {x[0]} output 0={w.shape[0]} 1=1 2={w.size}", "output")
        with open(prefix + ".param", "w") as f:
            f.write(f"7767517\n{len(lines)} {len(blobs)}\n" + "\n".join(lines) + "\n")
        with open(prefix + ".bin", "wb") as f:
            f.writelines(weights)
