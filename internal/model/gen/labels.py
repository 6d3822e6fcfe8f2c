#!/usr/bin/env python3
"""Write the 1000 category names of ImageNet as torchvision 0.24.1 publishes them (torchvision.models._meta, BSD-3-Clause).

    python labels.py > ../labels/imagenet1k.txt
"""
from torchvision.models._meta import _IMAGENET_CATEGORIES

assert len(_IMAGENET_CATEGORIES) == 1000
print("\n".join(_IMAGENET_CATEGORIES))
