#!/usr/bin/env python3
"""Write testdata/golden/cifar-top1.json: what PyTorch says of the CIFAR-10 test pictures with four published networks.

    python tools/golden/cifar/top1.py --test test.tar.gz --weights FOLDER

The networks are the option A ResNets of github.com/akamaster/pytorch_resnet_cifar10 (BSD-2-Clause), read from their
published files resnet{20,32,44,56}-*.th; the module below is a transcription of He et al. 2016, section 4.2.
For each network: the class of the largest logit of every picture as one digit, in the order of the file names, and
the pictures whose two largest logits are less than 1e-3 apart. "pixels" is the SHA-256 of all decoded pictures, so
that another program can tell whether it decoded the same.

Made with Python 3.11.7, torch 2.9.1, Pillow 13.0.0, numpy 2.4.6.
"""
import argparse
import glob
import hashlib
import io
import json
import os
import tarfile

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLOSE = 1e-3


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.stride, self.pad = stride, (cout - cin) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.pad:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class Net(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        cin = 16
        for i, (cout, stride) in enumerate([(16, 1), (32, 2), (64, 2)], 1):
            layer = []
            for j in range(blocks):
                layer.append(Block(cin, cout, stride if j == 0 else 1))
                cin = cout
            setattr(self, f"layer{i}", nn.Sequential(*layer))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def pictures(path):
    items = []
    with tarfile.open(path) as tar:
        for m in tar:
            if m.isfile():
                folder, name = m.name.split("/")[-2:]
                pixels = np.asarray(Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB"))
                items.append((f"{folder}/{name}", CLASSES.index(folder), pixels))
    items.sort(key=lambda t: t[0])
    return items


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--test", required=True)
    p.add_argument("--weights", required=True)
    p.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "../../../testdata/golden/cifar-top1.json"))
    a = p.parse_args()
    items = pictures(a.test)
    raw = np.stack([i[2] for i in items])
    x = (torch.from_numpy(raw).permute(0, 3, 1, 2).float() / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    y = np.array([i[1] for i in items])
    out = {"pictures": len(items), "pixels": hashlib.sha256(raw.tobytes()).hexdigest(), "close_margin": CLOSE, "networks": {}}
    for depth in (20, 32, 44, 56):
        (path,) = glob.glob(os.path.join(a.weights, f"resnet{depth}-*.th"))
        state = torch.load(path, map_location="cpu", weights_only=False)["state_dict"]
        net = Net((depth - 2) // 6)
        net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
        net.eval()
        with torch.no_grad():
            logits = torch.cat([net(x[i : i + 500]) for i in range(0, len(x), 500)])
        top = logits.topk(2, 1)
        margin = (top.values[:, 0] - top.values[:, 1]).numpy()
        top1 = top.indices[:, 0].numpy()
        out["networks"][f"resnet{depth}"] = {
            "file": os.path.basename(path),
            "correct": int((top1 == y).sum()),
            "top1": "".join(map(str, top1)),
            "close": [{"index": int(i), "name": items[i][0], "margin": float(margin[i])} for i in np.flatnonzero(margin < CLOSE)],
        }
        print(depth, (top1 == y).mean(), "close:", out["networks"][f"resnet{depth}"]["close"], flush=True)
    with open(a.out, "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


main()
