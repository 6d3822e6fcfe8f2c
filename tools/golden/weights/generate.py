"""Writes graph/weights/testdata: small weights files made by PyTorch, safetensors, timm and transformers, and beside
them what those libraries read back from them.

Versions: Python 3.11+, torch 2.9.1, torchvision 0.24.1, safetensors 0.8.0, timm 1.0.31, transformers 5.23.0, numpy 2.4.6.
Run from the root of the repository: python tools/golden/weights/generate.py [folder with the published .th networks]

The legacy files differ from run to run in the keys of their storages, which are addresses.

files.json   {file: {"format", "state_dict", "tensors": {name: {"dtype", "shape", "float32_sha256", "values"}}}}
             float32_sha256: of the little-endian bytes of tensor.to(float32), null for other than floating-point tensors;
             values: as float64, null where an integer is not below 2**53 and for types other than numbers.
names.json   [{"case", "scheme", "prefix", "shapes": {name: shape}, "canonical": {torchvision's name: name}}]
             For Hugging Face the pairs come from the order in which the layers of both models run, and are proved by
             equal logits.
pickles.json [{"protocol", "pickle": hex, "value"}] of Python's pickle, with value as TestPythonPickles prints it.
published.json  {file: {"float32_sha256", "tensors"}} over all floating-point tensors of the published networks in order
             of their names. The networks themselves are not part of the repository.
"""

import argparse
import collections
import copy
import hashlib
import json
import pathlib
import pickle
import sys
import zipfile

import safetensors.torch
import timm
import torch
import torchvision
import transformers
from torch import nn

OUT = pathlib.Path("graph/weights/testdata")
FILES = {}


def describe(t):
    """What PyTorch says about one tensor."""
    if t.is_sparse or t.is_quantized:
        return None
    d = {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "float32_sha256": None, "values": None}
    if t.dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        d["float32_sha256"] = hashlib.sha256(t.detach().to(torch.float32).contiguous().numpy().tobytes()).hexdigest()
    if d["float32_sha256"] or t.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64):
        values = t.detach().flatten().tolist()
        if t.is_floating_point() or all(abs(v) < 2**53 for v in values):
            d["values"] = [float(v) for v in values]
    return d


def record(name, fmt, state, key=""):
    FILES[name] = {"format": fmt, "state_dict": key, "tensors": {k: describe(v) for k, v in state.items() if isinstance(v, torch.Tensor) and describe(v)}}


def save(name, obj, key="", legacy=False, protocol=2, pick=None):
    """torch.save, then what torch.load finds; pick takes the state dict out of the object."""
    torch.save(obj, OUT / name, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
    back = torch.load(OUT / name, weights_only=False)
    record(name, "pytorch-legacy" if legacy else "pytorch-zip", pick(back) if pick else back, key)


def seeded(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=seeded.generator).to(dtype)


seeded.generator = torch.Generator().manual_seed(20)


def all_dtypes():
    f64 = torch.tensor([1 / 3, -0.0, 1 + 2.0**-24, 1 + 3 * 2.0**-24, -(1 + 2.0**-24), 1 + 2.0**-24 + 2.0**-52, 2.0**-149, 2.0**-150,
                        3 * 2.0**-150, 2.0**-126 - 2.0**-150, 3.4028235677973362e38, 1e-300], dtype=torch.float64)
    f16 = torch.tensor([0x0001, 0x03FF, 0x0400, 0x7BFF, 0x8001, 0x8000, 0x3C01, 0xFBFF], dtype=torch.int32).to(torch.int16).view(torch.float16)
    bf16 = torch.tensor([0x0001, 0x7F7F, 0x8001, 0x3F81, 0x8000, 0x4049], dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    return {
        "f64": f64, "f32": seeded(2, 3, 5), "f16": f16, "bf16": bf16, "f32.extreme": torch.tensor([[3.4028234663852886e38], [1e-45], [-0.0]]),
        "i64": torch.tensor([0, -1, 2**53 - 1, 2**40 + 1]), "i64.large": torch.tensor([1, 2**53 + 1]),
        "i32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32), "i16": torch.tensor([-(2**15), 77], dtype=torch.int16),
        "i8": torch.tensor([-128, 127, -1], dtype=torch.int8), "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "u16": torch.tensor([0, 65535], dtype=torch.uint16), "u32": torch.tensor([2**32 - 1], dtype=torch.uint32),
        "u64": torch.tensor([2**40], dtype=torch.uint64), "bool": torch.tensor([True, False, True]),
        "f8": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn), "c64": torch.tensor([1 + 2j]),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "num_batches_tracked": torch.tensor(12),
    }


def views():
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    shared = seeded(4, 6)
    step = torch.arange(40, dtype=torch.float16)
    return collections.OrderedDict({
        "transposed": base.transpose(0, 2), "permuted": base.permute(1, 2, 0), "slice": base[1:, 1:3, 2:], "row": base[1, 2],
        "expanded": torch.tensor([[1.5], [-2.5]]).expand(2, 7), "expanded.scalar": torch.tensor(4.0).expand(3, 2, 5), "step": step[3::4],
        "overlap": torch.arange(15, dtype=torch.float64).as_strided((3, 4), (2, 3), 1), "tied.a": shared, "tied.b": shared,
        "tied.t": shared.t(), "tied.half": shared[2:], "channels_last": seeded(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "one": base[:, :1, :1], "empty": base[3:],
    })


def small_net():
    torch.manual_seed(7)
    return nn.Sequential(collections.OrderedDict(conv1=nn.Conv2d(2, 3, (3, 2), bias=False), bn1=nn.BatchNorm2d(3), fc=nn.Linear(3, 2)))


def trained_checkpoint():
    """A checkpoint with all the things around a state dict that training scripts store."""
    net = small_net()
    opt = torch.optim.Adam(net.parameters())
    net.fc(net.bn1(net.conv1(seeded(2, 2, 6, 5))).mean((2, 3))).sum().backward()
    opt.step()
    return {
        "epoch": 90, "arch": "resnet", "state_dict": net.state_dict(), "optimizer": opt.state_dict(), "best_acc1": torch.tensor(76.5),
        "args": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("data"), device=torch.device("cpu")), "history": [1.0, 2, None, "x", (1,), {3}, 10**30, b"z", 1j],
        "rng": torch.get_rng_state(), "classes": {"cat": 0, "dog": 1}, "weight_of_class": torch.tensor([1.0, 2.0]), "dtype": torch.float16, "size": torch.Size([1, 2]),
    }


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os
        return os.system, (self.command,)


def repack(src, dst, method=zipfile.ZIP_STORED, zip64=False, change=None, keep=None):
    """Copies a zip entry by entry through another writer."""
    with zipfile.ZipFile(OUT / src) as a, zipfile.ZipFile(OUT / dst, "w", method) as b:
        for e in a.infolist():
            if keep and not keep(e.filename):
                continue
            data = a.read(e)
            info = zipfile.ZipInfo(e.filename)
            info.compress_type = method
            with b.open(info, "w", force_zip64=zip64) as w:
                w.write(change(e.filename, data) if change else data)


def pytorch_files():
    dtypes = all_dtypes()
    save("dtypes.zip.pth", dtypes)
    untyped = ("u16", "u32", "u64", "f8")  # PyTorch writes these in the legacy format, but cannot read them
    save("dtypes.legacy.pth", {k: v for k, v in dtypes.items() if k not in untyped}, legacy=True)
    save("views.zip.pth", views())
    save("views.legacy.pth", views(), legacy=True)
    sd = small_net().state_dict()
    for protocol in (2, 3, 4, 5):
        save(f"protocol{protocol}.zip.pt", sd, protocol=protocol)
        save(f"protocol{protocol}.legacy.pt", sd, protocol=protocol, legacy=True)
    checkpoint = trained_checkpoint()
    for legacy in (False, True):
        kind = "legacy" if legacy else "zip"
        save(f"checkpoint.{kind}.tar", checkpoint, legacy=legacy, pick=lambda c: c["state_dict"])
        save(f"module.{kind}.pth", {"model": nn.DataParallel(small_net()).state_dict(), "epoch": 1}, legacy=legacy, pick=lambda c: c["model"])
        save(f"parameters.{kind}.pth", dict(small_net().named_parameters()), legacy=legacy)
        state = {"state_dict": sd, "x": Evil("touch graph/weights/testdata/executed")}
        torch.save(state, OUT / f"malicious.{kind}.pth", _use_new_zipfile_serialization=not legacy)
        record(f"malicious.{kind}.pth", "pytorch-" + kind, sd)
    ema = copy.deepcopy(sd)
    for v in ema.values():
        v.mul_(2)
    save("ema.zip.pth", {"state_dict": sd, "state_dict_ema": ema}, key="state_dict_ema", pick=lambda c: c["state_dict_ema"])
    save("nested.zip.pth", {"model": {"net": sd, "step": 3}, "scaler": {"scale": torch.tensor(65536.0)}}, pick=lambda c: c["model"]["net"])
    save("same_twice.zip.pth", {"model": sd, "best": sd}, pick=lambda c: c["model"])
    odd = collections.OrderedDict(sd)
    p = nn.Parameter(seeded(2, 2))
    p.note = "attribute"
    odd["with_state"] = p
    t = seeded(3)
    t.note = "attribute"
    odd["with_attribute"] = t
    odd["sparse"] = torch.eye(3).to_sparse()
    odd["quantized"] = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    odd["_extra_state"] = {"a": 1}
    save("odd_entries.zip.pth", odd)
    torch.serialization.set_crc32_options(False)
    save("no_crc.zip.pth", sd)
    torch.serialization.set_crc32_options(True)
    variants(sd)
    torch.save(small_net(), OUT / "whole_module.zip.pth")  # the legacy format would carry PyTorch's source code along
    torch.jit.script(nn.Linear(2, 2)).save(str(OUT / "script"))
    repack("script", "torchscript.pt", keep=lambda name: not name.endswith(".debug_pkl"))  # these hold paths of this machine
    (OUT / "script").unlink()


def variants(sd):
    """Archives that other programs packed; PyTorch reads them, which is where the expectation comes from."""
    repack("protocol2.zip.pt", "deflated.zip.pth", zipfile.ZIP_DEFLATED)
    repack("protocol2.zip.pt", "zip64.zip.pth", zip64=True)

    sizes = {}  # of elements, by storage key: the archive's order is that of the state dict
    for i, v in enumerate(sd.values()):
        sizes[str(i)] = v.element_size()

    def big(name, data):
        if name.endswith("/byteorder"):
            return b"big"
        if "/data/" in name:
            n = sizes[name.rsplit("/", 1)[1]]
            return b"".join(data[i:i + n][::-1] for i in range(0, len(data), n))
        return data

    repack("protocol2.zip.pt", "bigendian.zip.pth", change=big)
    for name in ("deflated.zip.pth", "zip64.zip.pth", "bigendian.zip.pth"):
        back = torch.load(OUT / name, weights_only=True)
        for k, v in sd.items():
            assert torch.equal(back[k], v), (name, k)
        record(name, "pytorch-zip", back)


def safetensors_files():
    tensors = {k: v for k, v in all_dtypes().items()}
    for name, t, meta in (("dtypes.safetensors", tensors, {"format": "pt", "note": "größe \"x\""}), ("plain.safetensors", small_net().state_dict(), None)):
        safetensors.torch.save_file(t, OUT / name, metadata=meta)
        record(name, "safetensors", safetensors.torch.load_file(OUT / name))
        FILES[name]["metadata"] = meta


def leaves_in_order(model, x):
    """The names of the layers that have parameters, in the order in which they run."""
    order, hooks = [], []
    for name, m in model.named_modules():
        if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)):
            hooks.append(m.register_forward_hook(lambda *_, name=name: order.append(name)))
    with torch.no_grad():
        y = model(x)
    for h in hooks:
        h.remove()
    return order, y


def paired(other, torchvision_model, prefix=""):
    """{torchvision's name: the other's name}, proved by equal logits after copying the weights over."""
    x = seeded(1, 3, 64, 64)
    other.eval(), torchvision_model.eval()
    with torch.no_grad():
        for b in list(other.parameters()) + list(other.buffers()):
            if b.dtype.is_floating_point and b.dim() == 1:
                b.copy_(torch.rand(b.shape, generator=seeded.generator) + 0.5)
    a, want = leaves_in_order(other, x)
    b, _ = leaves_in_order(torchvision_model, x)
    assert len(a) == len(b)
    layer = dict(zip(b, a))
    theirs = other.state_dict()
    names = {k: layer[k.rsplit(".", 1)[0]] + "." + k.rsplit(".", 1)[1] for k in torchvision_model.state_dict()}
    torchvision_model.load_state_dict({k: theirs[v] for k, v in names.items()}, strict=True)
    with torch.no_grad():
        got = torchvision_model(x)
    want = getattr(want, "logits", want)
    assert torch.allclose(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max())), (got, want)
    assert set(names.values()) == set(theirs)
    return {k: v for k, v in names.items() if not k.endswith("num_batches_tracked")}


def name_cases():
    resnet = torchvision.models.resnet
    cases = []

    def case(name, scheme, model, canonical, prefix=""):
        shapes = {prefix + k: list(v.shape) for k, v in model.state_dict().items()}
        cases.append({"case": name, "scheme": scheme, "prefix": prefix, "shapes": shapes, "canonical": {k: prefix + v for k, v in canonical.items()}})

    def identity(model):
        return {k: k for k in model.state_dict() if not k.endswith("num_batches_tracked")}

    for kind, block, hidden in (("basic", resnet.BasicBlock, [64, 128, 256, 512]), ("bottleneck", resnet.Bottleneck, [256, 512, 1024, 2048])):
        config = transformers.ResNetConfig(embedding_size=64, hidden_sizes=hidden, depths=[1, 2, 1, 1], layer_type=kind, num_labels=5)
        hf = transformers.ResNetForImageClassification(config)
        pairs = paired(hf, resnet.ResNet(block, [1, 2, 1, 1], num_classes=5))
        case("transformers " + kind, "huggingface", hf, pairs)
        trunk = {k: v.removeprefix("resnet.") for k, v in pairs.items() if not k.startswith("fc.")}
        case("transformers ResNetModel " + kind, "huggingface", hf.resnet, trunk)
    tv = resnet.ResNet(resnet.Bottleneck, [1, 2, 1, 1], num_classes=5)
    case("torchvision bottleneck", "torchvision", tv, identity(tv))
    case("torchvision in DataParallel", "torchvision", tv, identity(tv), "module.")
    tm = timm.models.resnet.ResNet(timm.models.resnet.BasicBlock, [1, 2, 1, 1], num_classes=5)
    case("timm plain", "torchvision", tm, paired(tm, resnet.ResNet(resnet.BasicBlock, [1, 2, 1, 1], num_classes=5)))
    deep = timm.models.resnet.ResNet(timm.models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, stem_type="deep", stem_width=32, avg_down=True)
    case("timm resnet-d", "timm", deep, identity(deep))
    se = timm.models.resnet.ResNet(timm.models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, block_args=dict(attn_layer="se"))
    case("timm se-resnet", "timm", se, identity(se))
    return cases


def pickle_cases():
    shared = [1]
    value = {
        "ints": [0, 1, -1, 255, 256, 65535, 65536, -(2**31), 2**31, -(2**40), 2**62, -(2**63), 2**63 - 1],
        "floats": [1.5, -0.25, 1e300], "const": [True, False, None], "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "nested": {"a": {"b": [{}, []]}}, "ordered": collections.OrderedDict([("x", 1), ("y", "text")]), "twice": [shared, shared],
        "long list": list(range(1100)), "quote": "it's", "default": collections.defaultdict(list, {"k": 1}), "namespace": argparse.Namespace(a=1),
    }

    def show(v):
        if isinstance(v, dict):
            return "{" + ", ".join(show(k) + ": " + show(w) for k, w in v.items()) + "}"
        if isinstance(v, list):
            return "[" + ", ".join(map(show, v)) + "]"
        if isinstance(v, tuple):
            return "(" + ", ".join(map(show, v)) + ")"
        if isinstance(v, argparse.Namespace):
            return "opaque argparse.Namespace"
        if isinstance(v, float):
            return "f" + str(int(v * 4))
        return str(v) if isinstance(v, (int, type(None))) else '"' + v + '"'

    cases = []
    for protocol in range(6):
        if protocol >= 1:
            value["text"] = "größe"
        if protocol >= 3:
            value["sets"] = [b"bytes"]
        value["long list"] = list(range(1100 if protocol == 2 else 3))  # appended in batches of 1000
        shown = show({k: v for k, v in value.items() if k != "sets"})
        if protocol >= 3:
            shown = shown[:-1] + ', "sets": [bytes]}'
        cases.append({"protocol": protocol, "pickle": pickle.dumps(value, protocol=protocol).hex(), "value": shown})
    return cases


def published(folder):
    out = {}
    for path in sorted(pathlib.Path(folder).glob("*.th")):
        sd = torch.load(path, map_location="cpu", weights_only=False)["state_dict"]
        h, n = hashlib.sha256(), 0
        for k in sorted(sd):
            if sd[k].dtype.is_floating_point:
                h.update(sd[k].contiguous().numpy().tobytes())
                n += 1
        out[path.name] = {"float32_sha256": h.hexdigest(), "tensors": n}
    return out


def write(name, value):
    (OUT / name).write_text(json.dumps(value, indent=None, separators=(",", ":"), allow_nan=False).replace("},", "},\n") + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    pytorch_files()
    safetensors_files()
    write("files.json", FILES)
    write("names.json", name_cases())
    (OUT / "pickles.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in pickle_cases()) + "\n]\n")
    if len(sys.argv) > 1:
        write("published.json", published(sys.argv[1]))
    assert not (OUT / "executed").exists()


main()
