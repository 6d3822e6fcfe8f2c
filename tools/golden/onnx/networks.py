"""Writes graph/onnx/testdata: small networks as exporters write them, and what ONNX Runtime computes with them, or PyTorch in float64.

Every file is a residual network of a few kilobytes. They come from both of PyTorch's exporters, with timm's variants of the family, and from
onnx.helper in the manner of tf2onnx, from Keras and from Hugging Face's transformers. expected.json has for each the shape of the input and the results; the input's elements are
((7919 i) mod 256) / 255 - 0.5 for i = 0, 1, ..., in float32. Files with a fixed batch size are run picture by picture.

Made with Python 3.11.7, torch 2.9.1, timm 1.0.31, onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0, keras 3.15.1, transformers 5.24.0, numpy 2.4.6. Run: python tools/golden/onnx/networks.py
"""
import functools
import json
import os
import shutil

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from timm.layers import BlurPool2d, GroupNorm, GroupNormAct, StdConv2d
from timm.models.res2net import Bottle2neck
from timm.models.resnest import ResNestBottleneck
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.resnetv2 import ResNetV2
from timm.models.sknet import SelectiveKernelBasic, SelectiveKernelBottleneck
from torch import nn
from transformers import BitConfig, BitForImageClassification

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "graph", "onnx", "testdata")
CHANNELS = (4, 8, 12, 16)
expected = {}


def picture(shape):
    i = np.arange(np.prod(shape), dtype=np.int64)
    return (((7919 * i) % 256).astype(np.float32) / np.float32(255) - np.float32(0.5)).reshape(shape)


def settle(net):
    """Random weights with statistics that batch norms could have."""
    torch.manual_seed(7)
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.normal_(m.weight, 1, 0.1)
            nn.init.normal_(m.bias, 0, 0.1)
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.running_mean, 0, 0.1)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
        elif isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            nn.init.normal_(m.weight, 0, (2 / m.weight[0].numel()) ** 0.5)
            if m.bias is not None:
                nn.init.normal_(m.bias, 0, 0.1)
    return net.eval()


def note(name, shape, want):
    expected[name] = {"input": list(shape), "output": [float(v) for v in np.asarray(want).ravel()]}


def run(name, shape):
    path = os.path.join(OUT, name + ".onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    i = session.get_inputs()[0]
    x = picture(shape)
    if not i.name:
        raise SystemExit(name)
    if i.shape[3] == 3:
        x = x.transpose(0, 2, 3, 1).copy()
    parts = [x] if isinstance(i.shape[0], str) else [x[k:k + 1] for k in range(len(x))]
    note(name, shape, np.concatenate([session.run(None, {i.name: p})[0] for p in parts]))


def strip(path):
    """Leaves out what exporters write for people, the places of files on this machine among it."""
    m = onnx.load(path, load_external_data=False)
    for part in [m.graph, *m.graph.node, *m.graph.value_info, *m.graph.input, *m.graph.output, *m.graph.initializer]:
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    m.graph.ClearField("value_info")
    onnx.save(m, path)


def export(name, net, shape, keep_norms=False, dynamic=None, double=False, **options):
    net = settle(net)
    x = torch.from_numpy(picture(shape))[:2 if dynamic else 1]  # the tracer takes a batch of one for a constant
    path = os.path.join(OUT, name + ".onnx")
    if options.pop("dynamo", False):
        torch.onnx.export(net, (x,), path, dynamo=True, dynamic_shapes=dynamic, verbose=False, **options)
    else:
        training = torch.onnx.TrainingMode.PRESERVE if keep_norms else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(net, (x,), path, dynamo=False, dynamic_axes=dynamic, training=training, input_names=["input"], output_names=["logits"], **options)
    strip(path)
    if not double:
        return run(name, shape)
    with torch.no_grad():
        note(name, shape, net.double()(torch.from_numpy(picture(shape)).double()))


def timm(block, **options):
    return ResNet(block, (1, 1, 1, 1), num_classes=10, channels=CHANNELS, stem_width=options.pop("stem_width", 4), **options)


class OptionA(nn.Module):
    """A network for small pictures with the shortcuts of He et al. 2016, option A, as akamaster/pytorch_resnet_cifar10 writes them."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
        x = F.avg_pool2d(x, int(x.size(3)))
        return self.linear(x.view(x.size(0), -1))


class Preactivation(nn.Module):
    """Norms before convolutions (He et al. 2016, Identity Mappings)."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 7, stride=2, padding=3)
        self.bn1, self.conv2 = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.bn2, self.conv3 = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.bn3, self.drop, self.fc = nn.BatchNorm2d(6), nn.Dropout(0.2), nn.Linear(6, 10)

    def forward(self, x):
        x = self.conv1(x)
        y = self.conv2(F.relu(self.bn1(x)))
        x = x + self.conv3(F.relu(self.bn2(y)))
        x = F.relu(self.bn3(x)).mean((2, 3))
        return F.softmax(self.fc(self.drop(x)), 1)


def helper_model(name, nodes, inputs, weights, opset, **kinds):
    rng = np.random.default_rng(11)
    tensors = []
    for key, shape in weights.items():
        w = np.abs(rng.normal(1, 0.1, shape)) if key.endswith("var") else rng.normal(0, (2 / max(np.prod(shape[1:]), 8)) ** 0.5, shape)
        tensors.append(numpy_helper.from_array(w.astype(kinds.get(key, np.float32)), key))
    for key, value in kinds.get("lists", {}).items():
        tensors.append(numpy_helper.from_array(np.array(value, np.int64), key))
    graph = helper.make_graph(nodes, name, [helper.make_tensor_value_info("input", TensorProto.FLOAT, inputs)],
                              [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [inputs[0], 10])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="by hand", ir_version=8)
    model.metadata_props.add(key="labels", value=json.dumps(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]))
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(OUT, name + ".onnx"))


def channels_last():
    """As tf2onnx writes Keras networks: a picture [N,H,W,C], zeros and biases as nodes of their own."""
    n = helper.make_node
    nodes = [
        n("Transpose", ["input"], ["nchw"], perm=[0, 3, 1, 2]),
        n("Pad", ["nchw", "pads3"], ["padded"], mode="constant"),
        n("Conv", ["padded", "w1"], ["c1"], strides=[2, 2], kernel_shape=[7, 7], auto_pad="VALID"),
        n("Add", ["c1", "b1"], ["c1b"]),
        n("BatchNormalization", ["c1b", "bn_scale", "bn_bias", "bn_mean", "bn_var"], ["bn"], epsilon=1.001e-5),
        n("Relu", ["bn"], ["r1"]),
        n("Pad", ["r1", "pads1"], ["r1p"]),
        n("MaxPool", ["r1p"], ["mp"], kernel_shape=[3, 3], strides=[2, 2]),
        n("Conv", ["mp", "w2"], ["c2"], auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        n("Conv", ["mp", "w3", "b3"], ["c3"], strides=[2, 2]),
        n("Sum", ["c2", "c3"], ["sum"]),
        n("Relu", ["sum"], ["r2"]),
        n("ReduceMean", ["r2"], ["mean"], axes=[2, 3], keepdims=0),
        n("MatMul", ["mean", "w4"], ["fc"]),
        n("Add", ["b4", "fc"], ["logits"]),
        n("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    weights = {"w1": (6, 3, 7, 7), "b1": (1, 6, 1, 1), "bn_scale": (6,), "bn_bias": (6,), "bn_mean": (6,), "bn_var": (6,),
               "w2": (8, 6, 3, 3), "w3": (8, 6, 1, 1), "b3": (8,), "w4": (8, 10), "b4": (10,)}
    helper_model("channels_last", nodes, ["n", 40, 48, 3], weights, 13,
                 lists={"pads3": [0, 0, 3, 3, 0, 0, 3, 3], "pads1": [0, 0, 1, 1, 0, 0, 1, 1]})
    run("channels_last", (2, 3, 40, 48))


def old():
    """Early operators: pads and slices as attributes, a Gemm with factors, a shape from Constant nodes, a pool that rounds up."""
    n = helper.make_node
    nodes = [
        n("Conv", ["input", "w1", "b1"], ["c1"], pads=[1, 0, 2, 1], strides=[1, 2], dilations=[1, 2], kernel_shape=[3, 3]),
        n("Relu", ["c1"], ["r1"]),
        n("Slice", ["r1"], ["s1"], axes=[2], starts=[0], ends=[9223372036854775807]),
        n("Pad", ["s1"], ["p1"], pads=[0, 1, 0, 0, 0, 2, 0, 0], mode="constant", value=0.0),
        n("AveragePool", ["p1"], ["a1"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        n("MaxPool", ["a1"], ["m1"], kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER"),
        n("GlobalAveragePool", ["m1"], ["g1"]),
        n("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([0, -1], np.int64))),
        n("Reshape", ["g1", "shape"], ["flat"]),
        n("Dropout", ["flat"], ["dropped", "mask"], ratio=0.5),
        n("Gemm", ["dropped", "w2", "b2"], ["fc"], alpha=0.5, beta=2.0),
        n("Identity", ["fc"], ["probabilities"]),
    ]
    helper_model("old", nodes, ["n", 3, 21, 27], {"w1": (6, 3, 3, 3), "b1": (6,), "w2": (9, 10), "b2": (10,)}, 9)
    run("old", (3, 3, 21, 27))


def normalising():
    """A picture from 0 to 255 that the network normalises itself, and a batch norm in its parts."""
    n = helper.make_node
    nodes = [
        n("Div", ["input", "scale"], ["unit"]),
        n("Sub", ["unit", "mean"], ["centred"]),
        n("Div", ["centred", "std"], ["normal"]),
        n("Conv", ["normal", "w1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        n("Mul", ["gamma", "c1"], ["scaled"]),
        n("Add", ["scaled", "beta"], ["shifted"]),
        n("Sub", ["beta", "shifted"], ["turned"]),
        n("Relu", ["turned"], ["r1"]),
        n("GlobalAveragePool", ["r1"], ["g1"]),
        n("Flatten", ["g1"], ["flat"]),
        n("Gemm", ["flat", "w2", "b2"], ["probabilities"], transB=1),
    ]
    weights = {"scale": (), "mean": (3, 1, 1), "std_var": (3, 1, 1), "w1": (6, 3, 3, 3), "gamma": (1, 6, 1, 1), "beta": (6, 1, 1), "w2": (10, 6), "b2": (10,)}
    nodes[2].input[1] = "std_var"  # above zero
    helper_model("normalising", nodes, ["n", 3, 20, 24], weights, 17)
    run("normalising", (2, 3, 20, 24))


def keras_network():
    """A block as keras.applications writes them, channels last, with zeros round a picture that has numbers below 0, as in ResNet50V2."""
    k = keras.layers
    keras.utils.set_random_seed(3)

    def norm(x):
        return k.BatchNormalization(epsilon=1.001e-5, moving_mean_initializer=keras.initializers.RandomNormal(0, 0.1),
                                    moving_variance_initializer=keras.initializers.RandomUniform(0.5, 1.5),
                                    gamma_initializer=keras.initializers.RandomNormal(1, 0.1), beta_initializer=keras.initializers.RandomNormal(0, 0.1))(x)

    def conv(x, *args, **options):
        return k.Conv2D(*args, bias_initializer=keras.initializers.RandomNormal(0, 0.1), **options)(x)

    inputs = keras.Input((40, 48, 3))
    x = conv(k.ZeroPadding2D(3)(inputs), 6, 7, strides=2)
    x = k.MaxPooling2D(3, strides=2)(k.ZeroPadding2D(1)(x))
    y = k.Activation("relu")(norm(conv(x, 5, 1)))
    y = k.Activation("relu")(norm(conv(y, 5, 3, padding="same")))
    y = norm(conv(y, 12, 1))
    x = k.Activation("relu")(k.Add()([norm(conv(x, 12, 1)), y]))
    x = k.Dense(10, activation="softmax")(k.GlobalAveragePooling2D()(x))
    net = keras.Model(inputs, x)
    net.trainable = False
    net(np.zeros((1, 40, 48, 3), "float32"))
    net.export(os.path.join(OUT, "keras.onnx"), format="onnx", verbose=False)
    strip(os.path.join(OUT, "keras.onnx"))
    run("keras", (2, 3, 40, 48))


def deep(block, **options):
    """A network with three small convolutions at its beginning: the large one has half of the numbers of the others."""
    return timm(block, stem_type="deep", **options)


class SplitAttention(nn.Module):
    """As zhanghang1989/ResNeSt writes it: branches and shares are split, multiplied and added one by one."""

    def __init__(self, channels, radix, groups):
        super().__init__()
        self.radix, self.groups = radix, groups
        self.conv, self.bn = nn.Conv2d(channels, channels * radix, 3, padding=1, groups=groups * radix), nn.BatchNorm2d(channels * radix)
        self.fc1, self.fc2 = nn.Conv2d(channels, 8, 1, groups=groups), nn.Conv2d(8, channels * radix, 1, groups=groups)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)))
        branches = torch.split(x, x.shape[1] // self.radix, dim=1)
        a = self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(sum(branches), 1))))
        a = F.softmax(a.view(x.shape[0], self.groups, self.radix, -1).transpose(1, 2), dim=1).reshape(x.shape[0], -1)
        shares = torch.split(a.view(x.shape[0], -1, 1, 1), x.shape[1] // self.radix, dim=1)
        return sum([share * branch for share, branch in zip(shares, branches)])


class SqueezeExcitation(nn.Module):
    """As moskomule/senet.pytorch writes it, with linear layers."""

    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, 4, bias=False), nn.ReLU(), nn.Linear(4, channels, bias=False), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        return x * self.fc(F.adaptive_avg_pool2d(x, 1).view(b, c)).view(b, c, 1, 1).expand_as(x)


class EfficientAttention(nn.Module):
    """As BangguWu/ECANet writes it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv(F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * torch.sigmoid(y).expand_as(x)


class MultiScale(nn.Module):
    """As Res2Net/Res2Net-PretrainedModels writes it: what is done so far is joined with each new part."""

    def __init__(self, width, scales):
        super().__init__()
        self.width, self.convs = width, nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(scales - 1))

    def forward(self, x):
        parts = torch.split(x, self.width, 1)
        for i, conv in enumerate(self.convs):
            y = F.relu(conv(parts[i] if i == 0 else y + parts[i]))
            out = y if i == 0 else torch.cat((out, y), 1)
        return torch.cat((out, parts[-1]), 1)


class StandardisedConv(nn.Conv2d):
    """As google-research/big_transfer writes it."""

    def forward(self, x):
        v, m = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True, unbiased=False)
        return F.conv2d(x, (self.weight - m) / torch.sqrt(v + 1e-10), self.bias, self.stride, self.padding, self.dilation, self.groups)


def authors():
    """The modules of the family as their authors write them, one after the other."""
    return nn.Sequential(nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.ReLU(), SplitAttention(12, 3, 2), SqueezeExcitation(12), EfficientAttention(), MultiScale(4, 3),
                         StandardisedConv(12, 16, 3, stride=2, padding=1), nn.GroupNorm(4, 16), nn.ReLU(), nn.InstanceNorm2d(16, affine=True),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


class Logits(nn.Module):
    """A network of Hugging Face without the name of its result."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).logits


def attention(every, batch):
    """Efficient channel attention, split attention and selective kernels."""
    eca = dict(attn_layer="eca")
    export("efficient_attention", deep(BasicBlock, block_args=eca), (2, 3, 40, 48), opset_version=17, dynamic=batch)
    export("efficient_attention_fixed", deep(BasicBlock, block_args=eca), (2, 3, 40, 48), opset_version=11)
    export("efficient_attention_dynamo", deep(Bottleneck, block_args=eca), (2, 3, 40, 48), dynamo=True, dynamic={"x": {0: torch.export.Dim("n")}}, external_data=False)
    split = dict(radix=2, avd=True)
    export("split_attention", deep(ResNestBottleneck, block_args=split), (2, 3, 40, 48), opset_version=17, dynamic=every)
    groups = lambda radix: deep(ResNestBottleneck, block_args=dict(radix=radix, avd=True, avd_first=True), cardinality=2, base_width=64)
    export("split_attention_groups", groups(4), (2, 3, 40, 48), opset_version=11)
    export("split_attention_groups_dynamo", groups(2), (2, 3, 40, 48), dynamo=True, dynamic={"x": {0: torch.export.Dim("n")}}, external_data=False)
    export("split_attention_one", deep(ResNestBottleneck, block_args=dict(radix=1)), (2, 3, 40, 48), opset_version=13, dynamic=batch)
    kernels = dict(sk_kwargs=dict(rd_ratio=1 / 8, rd_divisor=4, split_input=True))
    export("selective_kernel", deep(SelectiveKernelBasic, block_args=kernels), (2, 3, 40, 48), opset_version=17, dynamic=every)
    export("selective_kernel_opset11", deep(SelectiveKernelBasic, block_args=kernels), (2, 3, 40, 48), opset_version=11)
    export("selective_kernel_dynamo", deep(SelectiveKernelBottleneck, cardinality=4, base_width=32), (2, 3, 40, 48), dynamo=True, external_data=False)


def parts(every, batch):
    """Res2Net, and pictures that are made smaller by means and by binomial filters."""
    scales = dict(base_width=26, block_args=dict(scale=4))
    export("res2net", deep(Bottle2neck, **scales), (2, 3, 40, 48), opset_version=13, dynamic=every)
    export("res2net_opset11", deep(Bottle2neck, **scales), (2, 3, 40, 48), opset_version=11)
    export("res2net_dynamo", deep(Bottle2neck, **scales), (2, 3, 40, 48), dynamo=True, external_data=False)
    export("blur_pool", deep(BasicBlock, aa_layer=BlurPool2d), (2, 3, 40, 48), opset_version=17, dynamic=every)
    export("blur_pool_dynamo", deep(Bottleneck, aa_layer=BlurPool2d), (2, 3, 40, 48), dynamo=True, external_data=False)
    export("average_pool", deep(Bottleneck, aa_layer=nn.AvgPool2d), (2, 3, 64, 32), opset_version=17, dynamic=every)


def group_norms(every, batch):
    """Group norms, as the exporters write them and as the operator of opset 21, and the standardised weights of BiT."""
    norms = lambda: deep(BasicBlock, norm_layer=functools.partial(GroupNorm, num_groups=2))
    export("group_norm", norms(), (2, 3, 40, 48), opset_version=17, dynamic=every)
    export("group_norm_dynamo", norms(), (2, 3, 40, 48), dynamo=True, dynamic={"x": {0: torch.export.Dim("n")}}, external_data=False)
    export("group_norm_opset21", norms(), (2, 3, 40, 48), dynamo=True, opset_version=21, external_data=False)
    # What PyTorch computes in float64: standardised weights carry the rounding errors of ONNX Runtime far beyond those of other networks.
    bit = lambda: ResNetV2((1, 1, 1, 1), channels=(8, 8, 16, 16), stem_chs=8, num_classes=10, stem_type="fixed", conv_layer=StdConv2d,
                           norm_layer=functools.partial(GroupNormAct, num_groups=2))
    export("bit", bit(), (2, 3, 40, 48), opset_version=17, dynamic=every, double=True)
    export("bit_unfolded", bit(), (2, 3, 40, 48), opset_version=13, do_constant_folding=False, double=True)
    export("bit_dynamo", bit(), (2, 3, 40, 48), dynamo=True, dynamic={"x": {0: torch.export.Dim("n")}}, external_data=False, double=True)
    config = BitConfig(embedding_size=8, hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1], num_groups=2, num_labels=10, global_padding="same")
    export("bit_same", Logits(BitForImageClassification(config)), (2, 3, 40, 48), opset_version=17, dynamic=batch, double=True)


def standardised():
    """Weights that are standardised by a batch norm, as PyTorch's exporter has it for larger ones, and a group norm with parameters for each group."""
    n = helper.make_node
    nodes = [
        n("Reshape", ["w1", "flat"], ["w1_flat"]),
        n("ReduceMean", ["w1_flat", "axes"], ["mean"], keepdims=0),
        n("ReduceMean", ["w1_flat", "axes"], ["mean_kept"], keepdims=1),
        n("Sub", ["w1_flat", "mean_kept"], ["difference"]),
        n("Mul", ["difference", "difference"], ["square"]),
        n("ReduceMean", ["square", "axes"], ["variance"], keepdims=0),
        n("BatchNormalization", ["w1_flat", "scale", "shift", "mean", "variance"], ["w1_norm"], epsilon=1e-6),
        n("Reshape", ["w1_norm", "full"], ["w1_standardised"]),
        n("Conv", ["input", "w1_standardised", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        n("Reshape", ["c1", "groups"], ["c1_groups"]),
        n("InstanceNormalization", ["c1_groups", "group_scale", "group_bias"], ["g1"], epsilon=1e-4),
        n("Reshape", ["g1", "channels"], ["g1_channels"]),
        n("Mul", ["g1_channels", "gamma"], ["g1_scaled"]),
        n("Relu", ["g1_scaled"], ["r1"]),
        n("ReduceMean", ["r1", "pixels"], ["m1"], keepdims=0),
        n("Gemm", ["m1", "w2", "b2"], ["probabilities"], transB=1),
    ]
    weights = {"w1": (6, 3, 3, 3), "b1": (6,), "scale": (6,), "shift": (6,), "group_scale": (2,), "group_bias": (2,), "gamma": (6, 1, 1), "w2": (10, 6), "b2": (10,)}
    helper_model("standardised", nodes, ["n", 3, 20, 24], weights, 18, lists={"flat": [1, 6, -1], "full": [6, 3, 3, 3], "groups": [0, 2, -1], "channels": [0, 6, 10, 12], "axes": [0, 2], "pixels": [2, 3]})
    run("standardised", (2, 3, 20, 24))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    every = {"input": {0: "n", 2: "h", 3: "w"}, "logits": {0: "n"}}
    batch = {"input": {0: "n"}, "logits": {0: "n"}}
    export("basic", timm(BasicBlock), (2, 3, 40, 48))
    export("bottleneck_dynamo", timm(Bottleneck), (2, 3, 40, 48), dynamo=True, dynamic={"x": {0: torch.export.Dim("n")}}, external_data=True)
    export("resnext", timm(Bottleneck, cardinality=4, base_width=32), (2, 3, 56, 40), dynamic=every)
    export("resnet_d", timm(Bottleneck, stem_type="deep", avg_down=True), (2, 3, 41, 47), keep_norms=True, do_constant_folding=False, dynamic=every)
    export("resnet_d_dynamo", timm(BasicBlock, stem_type="deep", avg_down=True), (2, 3, 41, 47), dynamo=True, external_data=False)
    export("option_a", OptionA(), (2, 3, 32, 32), dynamic=batch)
    export("basic_opset9", timm(BasicBlock), (2, 3, 40, 48), opset_version=9, dynamic=batch)
    export("option_a_unfolded", OptionA(), (2, 3, 32, 32), do_constant_folding=False, dynamic=batch)
    export("option_a_dynamo", OptionA(), (2, 3, 32, 32), dynamo=True, external_data=False)
    export("preactivation", Preactivation(), (2, 3, 40, 48), keep_norms=True)
    export("preactivation_dynamo", Preactivation(), (2, 3, 40, 48), dynamo=True, external_data=False)
    channels_last()
    old()
    normalising()
    keras_network()

    # float16: what PyTorch computes in float64 with the same weights, since a CPU rounds each layer in its own way.
    net = timm(BasicBlock)
    path = os.path.join(OUT, "half.onnx")
    torch.onnx.export(settle(net).half(), (torch.zeros(1, 3, 40, 48, dtype=torch.float16),), path, dynamo=False, input_names=["input"],
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    strip(path)
    with torch.no_grad():
        note("half", (2, 3, 40, 48), net.double()(torch.from_numpy(picture((2, 3, 40, 48))).double()))

    se = dict(attn_layer="se")  # ReduceMean, two convolutions, Sigmoid, Mul
    export("squeeze_excitation", timm(BasicBlock, block_args=se), (2, 3, 40, 48), dynamic=every)
    export("squeeze_excitation_dynamo", timm(Bottleneck, block_args=se, stem_type="deep", avg_down=True), (2, 3, 40, 48), dynamo=True, external_data=False)
    attention(every, batch)
    parts(every, batch)
    group_norms(every, batch)
    standardised()
    export("authors", authors(), (2, 3, 40, 48), opset_version=17, dynamic=every)
    export("authors_opset11", authors(), (2, 3, 40, 48), opset_version=11)
    export("authors_dynamo", authors(), (2, 3, 40, 48), dynamo=True, external_data=False)
    with open(os.path.join(OUT, "README.md"), "w") as f:
        f.write("Written by `tools/golden/onnx/networks.py`, whose head has the versions; do not edit. `expected.json` has what ONNX Runtime computes with each network, or PyTorch in float64.\n")
    with open(os.path.join(OUT, "expected.json"), "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(expected.items())) + "\n}\n")
    for name in sorted(os.listdir(OUT)):
        path = os.path.join(OUT, name)
        if name.endswith(".onnx"):
            m = onnx.load(path, load_external_data=False)
            print(name, os.path.getsize(path), m.producer_name, m.opset_import[0].version, sorted({n.op_type for n in m.graph.node}))


main()
