#!/usr/bin/env python3
"""Train the bundled ResNet-20 (option A) on CIFAR-10 given as folders of JPEG files.

    python train.py --train train.tar.gz --test test.tar.gz --out resnet20-cifar10.safetensors

The recipe is that of He et al. 2016, section 4.2 (SGD, momentum 0.9, batch 128,
4-pixel padding with a random crop, horizontal flips), with the changes that have become usual since:
Nesterov momentum, weight decay 5e-4 on convolution and linear weights only, a one-cycle learning rate
(linear warm-up, then a cosine to zero), and an exponential average of the weights for the last epochs.

Everything random comes from --seed. The order of floating-point sums depends on the CPU and the number
of threads, so a second run gives a network of the same accuracy, not the same bits.
"""
import argparse
import hashlib
import io
import json
import math
import os
import tarfile
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)


class Block(nn.Module):
    """BasicBlock with the parameter-free shortcut: subsample, then pad channels with zeros on both sides."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.stride, self.pad = stride, (cout - cin) // 2

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1 or self.pad:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        cin = 16
        for i, (cout, stride) in enumerate([(16, 1), (32, 2), (64, 2)], 1):
            blocks = []
            for s in (stride, 1, 1):
                blocks.append(Block(cin, cout, s))
                cin = cout
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def load(path):
    """Decode a tar.gz of <folder>/<class>/<file>.jpg into (N,3,32,32) uint8 and (N,) int64, in name order."""
    items = []
    with tarfile.open(path) as tar:
        for m in tar:
            if not m.isfile():
                continue
            label = CLASSES.index(m.name.split("/")[-2])
            img = np.asarray(Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB"))
            items.append((m.name, label, img))
    items.sort(key=lambda t: t[0])
    x = torch.from_numpy(np.stack([i[2] for i in items])).permute(0, 3, 1, 2).contiguous()
    return x, torch.tensor([i[1] for i in items])


def normalise(x):
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (x.float() / 255 - mean) / std  # keeps the memory order of x


def augment(padded, idx, g):
    """Random horizontal flip and random 32x32 crop out of images padded by 4, one draw an image.

    padded is (N,40,40,3) uint8; the result is the normalised batch in channels-last memory order."""
    n = len(idx)
    dy, dx = torch.randint(0, 9, (2, n), generator=g)
    flip = torch.rand(n, generator=g) < 0.5
    ar = torch.arange(32)
    cols = torch.where(flip[:, None], 31 - ar[None, :], ar[None, :]) + dx[:, None]
    rows = ar[None, :] + dy[:, None]
    crop = padded.view(-1, 3)[(idx[:, None, None] * 40 + rows[:, :, None]) * 40 + cols[:, None, :]]
    return normalise(crop.permute(0, 3, 1, 2))


def accuracy(net, x, y, amp):
    net.eval()
    hit = 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=amp):
        for i in range(0, len(x), 1000):
            xb = normalise(x[i : i + 1000]).contiguous(memory_format=torch.channels_last)
            hit += (net(xb).argmax(1) == y[i : i + 1000]).sum().item()
    net.train()
    return hit / len(x)


def export(net, path, meta):
    """Write the state dict as float16 safetensors, with what a program must know to use it in the header."""
    from safetensors.torch import save_file

    sd = {k: v.half().contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(sd, path, metadata={k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()})


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--train", required=True)
    p.add_argument("--test", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--epochs", type=int, default=120)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--lr", type=float, default=0.2)
    p.add_argument("--wd", type=float, default=5e-4)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--amp", action="store_true", help="bfloat16 autocast")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--limit-steps", type=int, default=0, help="stop after this many steps (to time the loop)")
    a = p.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    g = torch.Generator().manual_seed(a.seed)

    x, y = load(a.train)
    xt, yt = load(a.test)
    print(f"train {tuple(x.shape)} test {tuple(xt.shape)}", flush=True)
    # Padding with the mean colour is padding with zeros after normalisation, as the paper has it (to half a level).
    padded = torch.tensor([round(255 * m) for m in MEAN], dtype=torch.uint8).expand(len(x), 40, 40, 3).contiguous()
    padded[:, 4:36, 4:36] = x.permute(0, 2, 3, 1)
    net = ResNet20().to(memory_format=torch.channels_last)
    decay = [q for q in net.parameters() if q.ndim > 1]
    plain = [q for q in net.parameters() if q.ndim <= 1]
    opt = torch.optim.SGD(
        [{"params": decay, "weight_decay": a.wd}, {"params": plain, "weight_decay": 0.0}],
        lr=a.lr, momentum=0.9, nesterov=True)
    steps = len(x) // a.batch
    total, warm = a.epochs * steps, 2 * steps
    ema = {k: v.detach().clone() for k, v in net.state_dict().items() if v.is_floating_point()}
    fwd = torch.compile(net) if a.compile else net
    step, t0 = 0, time.time()
    for epoch in range(a.epochs):
        order = torch.randperm(len(x), generator=g)
        loss_sum = 0.0
        for i in range(steps):
            lr = a.lr * (step / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm))))
            for group in opt.param_groups:
                group["lr"] = lr
            idx = order[i * a.batch : (i + 1) * a.batch]
            xb = augment(padded, idx, g)
            with torch.autocast("cpu", torch.bfloat16, enabled=a.amp):
                out = fwd(xb)
            loss = F.cross_entropy(out.float(), y[idx])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            loss_sum += loss.item()
            step += 1
            if step % 8 == 0:
                with torch.no_grad():
                    for k, v in net.state_dict().items():
                        if k in ema:
                            ema[k].lerp_(v, 0.01)
            if step == a.limit_steps:
                print(f"{step / (time.time() - t0):.2f} steps/s, epoch of {steps} steps {steps * (time.time() - t0) / step:.0f} s")
                return
        line = f"epoch {epoch + 1}/{a.epochs} loss {loss_sum / steps:.4f} {time.time() - t0:.0f} s"
        if (epoch + 1) % 5 == 0 or epoch + 1 == a.epochs:
            line += f" test {accuracy(net, xt, yt, a.amp):.4f}"
            torch.save({"net": net.state_dict(), "ema": ema, "epoch": epoch + 1}, a.out + ".ckpt")
        print(line, flush=True)

    # The last weights or their average: decided on the training set, so that the test set stays unseen.
    averaged = ResNet20().to(memory_format=torch.channels_last)
    averaged.load_state_dict({**net.state_dict(), **ema})
    plain_acc, ema_acc = accuracy(net, x, y, False), accuracy(averaged, x, y, False)
    best = averaged if ema_acc > plain_acc else net
    print(f"training accuracy: last {plain_acc:.4f}, averaged {ema_acc:.4f}")
    half = ResNet20()
    half.load_state_dict({k: v.half().float() if v.is_floating_point() else v for k, v in best.state_dict().items()})
    acc = accuracy(half.to(memory_format=torch.channels_last), xt, yt, False)
    print(f"test accuracy of the float16 weights: {acc:.4f}")
    export(best, a.out, {
        "format": "pt",
        "architecture": "resnet20-cifar",
        "labels": CLASSES,
        "preprocess": {"resize": 32, "crop": 32, "mean": MEAN, "std": STD, "interpolation": "bilinear"},
        "test_accuracy": f"{acc:.4f}",
        "recipe": f"epochs {a.epochs}, batch {a.batch}, lr {a.lr}, weight decay {a.wd}, seed {a.seed}, bfloat16 {a.amp}, torch {torch.__version__}",
    })
    print(hashlib.sha256(open(a.out, "rb").read()).hexdigest(), a.out)


if __name__ == "__main__":
    main()
