"""Exports the published CIFAR-10 networks of akamaster/pytorch_resnet_cifar10 with both of PyTorch's exporters, to see that their ONNX files
have the accuracy of the weights.

Run: python tools/golden/onnx/published.py WEIGHTS... FOLDER, then resnet-run eval --dataset test.tar.gz --model FOLDER/resnet20-12fca82f.torchscript.onnx
Made with Python 3.11.7, torch 2.9.1, onnx 1.23.2, onnxscript 0.7.2.
"""
import os
import sys

import torch
import torch.nn.functional as F
from torch import nn


class OptionA(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.pad = channels // 4

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))


class Block(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.shortcut = OptionA(channels) if stride != 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class SixN(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        before = 16
        for stage, channels in enumerate((16, 32, 64), 1):
            blocks = [Block(before if i == 0 else channels, channels, 2 if i == 0 and stage > 1 else 1) for i in range(n)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            before = channels
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        x = F.avg_pool2d(x, int(x.size(3)))
        return self.linear(x.view(x.size(0), -1))


def main(weights, folder):
    for path in weights:
        state = {k.removeprefix("module."): v for k, v in torch.load(path, map_location="cpu")["state_dict"].items()}
        net = SixN(len({k.split(".")[1] for k in state if k.startswith("layer1.")}))
        net.load_state_dict(state)
        net.eval()
        name = os.path.join(folder, os.path.splitext(os.path.basename(path))[0])
        x = torch.zeros(2, 3, 32, 32)
        torch.onnx.export(net, (x,), name + ".torchscript.onnx", dynamo=False, input_names=["input"], output_names=["logits"])
        torch.onnx.export(net, (x,), name + ".dynamo.onnx", dynamo=True, verbose=False)


main(sys.argv[1:-1], sys.argv[-1])
