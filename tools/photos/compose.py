#!/usr/bin/env python3
"""Make the pictures of photos/ from the packages they come from (see photos/README.md).

    apt-get download tuxpaint-stamps-default gcompris-qt-data     # 2022.06.04-1 and 3.1-2 of Debian 12
    dpkg-deb -x tuxpaint-stamps-default_*.deb stamps && dpkg-deb -x gcompris-qt-data_*.deb gcompris
    pip install pillow==13.0.0 scikit-image==0.26.0
    python tools/photos/compose.py stamps gcompris photos

Stamps are cut-outs with transparency: they are laid on a plain light grey square with a margin of 6 % on each side.
The moose comes out of a Qt resource file and is reduced to 640 pixels. The cat is copied as it is, but as JPEG.
"""
import io
import os
import struct
import sys
import zlib

import skimage.data
from PIL import Image

BACKGROUND = (200, 205, 210, 255)
STAMPS = {
    "airplane.jpg": "vehicles/flight/planes/747.png",
    "bird.jpg": "animals/birds/lark.png",
    "car.jpg": "vehicles/auto/beetle.png",
    "dog.jpg": "animals/mammals/dogs/dog.png",
    "frog.jpg": "animals/amphibians/frog.png",
    "horse.jpg": "animals/mammals/equines/horse.png",
    "ship.jpg": "vehicles/ship/chineseJunk.png",
    "truck.jpg": "vehicles/emergency/firetruck.png",
}


def on_plain_ground(path):
    """Return the cut-out at path in the middle of a plain square."""
    cut = Image.open(path).convert("RGBA")
    cut = cut.crop(cut.getchannel("A").getbbox())
    side = int(max(cut.size) * 1.12)
    ground = Image.new("RGBA", (side, side), BACKGROUND)
    ground.alpha_composite(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    return ground


def from_qt_resource(path, wanted):
    """Return the bytes of the file named wanted in a Qt resource file (format version 2 or 3)."""
    data = open(path, "rb").read()
    assert data[:4] == b"qres"
    _, tree, blobs, names = struct.unpack(">4I", data[4:20])

    def walk(index):
        at = tree + index * 22
        name_at, flags = struct.unpack(">IH", data[at : at + 6])
        if flags & 2:  # a folder
            count, first = struct.unpack(">II", data[at + 6 : at + 14])
            for i in range(first, first + count):
                yield from walk(i)
            return
        length = struct.unpack(">H", data[names + name_at : names + name_at + 2])[0]
        name = data[names + name_at + 6 : names + name_at + 6 + 2 * length].decode("utf-16be")
        blob_at = blobs + struct.unpack(">I", data[at + 10 : at + 14])[0]
        size = struct.unpack(">I", data[blob_at : blob_at + 4])[0]
        blob = data[blob_at + 4 : blob_at + 4 + size]
        yield name, zlib.decompress(blob[4:]) if flags & 1 else blob

    return next(blob for name, blob in walk(0) if name == wanted)


def main():
    stamps, gcompris, out = sys.argv[1:]
    pictures = {name: on_plain_ground(os.path.join(stamps, "usr/share/tuxpaint/stamps", path)) for name, path in STAMPS.items()}
    pictures["cat.jpg"] = Image.fromarray(skimage.data.chelsea())
    rcc = os.path.join(gcompris, "usr/share/gcompris-qt/rcc/explore_world_animals.rcc")
    pictures["moose.jpg"] = Image.open(io.BytesIO(from_qt_resource(rcc, "moose.webp")))
    for name, picture in pictures.items():
        picture = picture.convert("RGB")
        picture.thumbnail((640, 640), Image.LANCZOS)
        picture.save(os.path.join(out, name), quality=90, optimize=True)


main()
