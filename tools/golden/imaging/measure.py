"""Compare internal/imaging's decoded pixels with Pillow's and print a table (see internal/imaging/README.md).

Versions: Python 3.11, Pillow 13.0.0 (libjpeg-turbo 3.2.0, libwebp 1.6.0, libtiff 4.7.2), NumPy 2.

Run from the repository root:  python tools/golden/imaging/measure.py [--data DATA] [--count 500]
Without --data only the generated pictures are measured.
"""
import argparse, io, os, struct, subprocess, tarfile, tempfile
import numpy as np
from PIL import Image


def photo_like(width, height, seed):
    """Smooth colour waves plus noise and hard edges: all that a decoder may stumble over."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(3):
        fx, fy, p = rng.uniform(0.01, 0.4), rng.uniform(0.01, 0.4), rng.uniform(0, 6)
        planes.append(127 + 100 * np.sin(fx * x + fy * y + p))
    a = np.stack(planes, -1) + rng.normal(0, 12, (height, width, 3))
    a[height // 3: height // 2, width // 4: width // 2] = rng.integers(0, 2, 3) * 255
    return Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))


def noise(width, height, seed):
    """Black and white noise in each channel: the largest coefficients there are."""
    rng = np.random.default_rng(seed)
    return Image.fromarray((rng.integers(0, 2, (height, width, 3)) * 255).astype(np.uint8))


def strip_marker(data, marker):
    """Remove every segment of a kind before the first scan."""
    out, at = bytearray(data[:2]), 2
    while data[at + 1] != 0xDA:
        size = struct.unpack(">H", data[at + 2: at + 4])[0] + 2
        if data[at + 1] != marker:
            out += data[at: at + size]
        at += size
    return bytes(out + data[at:])


def retiled(width, height, factors, seed):
    """A file with sampling factors that Pillow cannot write. Pillow writes one whose MCUs hold as many blocks; then the header's factors
    and size are rewritten. The blocks land elsewhere, which is as good a picture for a decoder. Luma quantisation is kept."""
    h, v = factors[0] >> 4, factors[0] & 15
    chroma = sum((f >> 4) * (f & 15) for f in factors[1:])
    mcus = -(-width // (8 * h)) * -(-height // (8 * v))
    if chroma == 2 and h * v in (1, 2, 4):
        sub = {1: "4:4:4", 2: "4:2:2", 4: "4:2:0"}[h * v]
        size = {1: (8 * mcus, 8), 2: (16 * mcus, 8), 4: (16 * mcus, 16)}[h * v]
        data = bytearray(jpeg(photo_like(*size, seed), quality=75, subsampling=sub))
    else:
        data = own_blocks(mcus, h * v + chroma, seed)
    at = 2
    while data[at + 1] != 0xC0:
        at += struct.unpack(">H", data[at + 2: at + 4])[0] + 2
    struct.pack_into(">HH", data, at + 5, height, width)
    for i, f in enumerate(factors):
        data[at + 11 + 3 * i] = f
    return bytes(data)


def own_blocks(mcus, blocks, seed):
    """A three-component file with any number of blocks an MCU: each has a DC difference of category 4 and one AC coefficient of
    category 5, coded with flat tables."""
    rng = np.random.default_rng(seed)
    seg = lambda marker, payload: bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload
    bits = ""
    for _ in range(mcus * blocks):
        bits += "0" + format(int(rng.integers(0, 16)), "04b")  # DC: code 0 = category 4
        bits += "00" + format(int(rng.integers(0, 32)), "05b") + "01"  # AC: run 0, category 5; end of block
    bits += "1" * (-len(bits) % 8)
    body = bytes(int(bits[i: i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\x00")
    return bytearray(b"\xff\xd8" + seg(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + seg(0xDB, b"\0" + bytes([4] * 64))
                     + seg(0xC0, struct.pack(">BHHB", 8, 8, 8, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]))
                     + seg(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x04") + seg(0xC4, b"\x10" + bytes([0, 2] + [0] * 14) + b"\x05\x00")
                     + seg(0xDA, b"\3\1\0\2\0\3\0\0\x3f\0") + body + b"\xff\xd9")


def jpeg(img, **kw):
    b = io.BytesIO()
    img.save(b, "JPEG", **kw)
    return b.getvalue()


SIZES = [(1, 1), (2, 3), (3, 2), (5, 7), (8, 8), (16, 16), (17, 9), (31, 33), (32, 32), (50, 35), (97, 61), (129, 127)]


def generated():
    """Yield (row of the table, file name, bytes)."""
    n = 0
    for name, make in (("waves and edges", photo_like), ("noise", noise)):
        for w, h in SIZES:
            for sub in ("4:4:4", "4:2:2", "4:2:0"):
                for prog in (False, True):
                    for q in (10, 75, 97):
                        n += 1
                        data = jpeg(make(w, h, n), quality=q, subsampling=sub, progressive=prog)
                        yield f"{sub} {'progressive' if prog else 'baseline'}, {name}", f"g{n}.jpg", data
    for label, factors in (("4:4:0", (0x12, 0x11, 0x11)), ("4:1:1", (0x41, 0x11, 0x11)), ("1x4", (0x14, 0x11, 0x11)), ("2x2, 2x1, 1x1", (0x22, 0x21, 0x11)),
                           ("2x2, 1x2, 1x1", (0x22, 0x12, 0x11)), ("4x1, 2x1, 1x1", (0x41, 0x21, 0x11)),
                           ("4x2, 1x1, 1x1", (0x42, 0x11, 0x11)), ("luma smaller: 1x1, 2x2, 2x1", (0x11, 0x22, 0x21))):
        for w, h in SIZES:
            n += 1
            yield f"sampling {label}", f"g{n}.jpg", retiled(w, h, factors, n)
    for w, h in SIZES:
        n += 1
        img = photo_like(w, h, n)
        yield "gray", f"g{n}gray.jpg", jpeg(img.convert("L"), quality=80)
        yield "gray progressive", f"g{n}grayp.jpg", jpeg(img.convert("L"), quality=80, progressive=True)
        cmyk = Image.merge("CMYK", (*img.split(), img.convert("L")))
        yield "CMYK (Adobe)", f"g{n}cmyk.jpg", jpeg(cmyk, quality=85)
        yield "CMYK without Adobe segment", f"g{n}cmykn.jpg", strip_marker(jpeg(cmyk, quality=85), 0xEE)
        adobe = bytearray(jpeg(cmyk, quality=85))
        at = adobe.find(b"Adobe")
        adobe[at + 11] = 2
        yield "YCCK (Adobe)", f"g{n}ycck.jpg", bytes(adobe)
        yield "RGB (Adobe)", f"g{n}rgb.jpg", jpeg(img, quality=85, keep_rgb=True)
        yield "no JFIF segment", f"g{n}nojfif.jpg", strip_marker(jpeg(img, quality=85), 0xE0)
        for rows in (1, 3):
            yield "restart markers", f"g{n}rst{rows}.jpg", jpeg(img, quality=70, restart_marker_blocks=rows)
            yield "restart markers, progressive", f"g{n}rstp{rows}.jpg", jpeg(img, quality=70, restart_marker_blocks=rows, progressive=True)
        yield "optimised Huffman tables", f"g{n}opt.jpg", jpeg(img, quality=60, optimize=True)


def shared(data, count):
    folder = os.path.join(data, "images")
    for name in sorted(os.listdir(folder)):
        kind = "JPEG" if name.endswith(".jpg") else "BMP"
        yield f"{kind} photo {name}", name, open(os.path.join(folder, name), "rb").read()
    with tarfile.open(os.path.join(data, "cifar10", "test.tar.gz")) as tar:
        members = [m for m in tar.getmembers() if m.isfile() and m.name.endswith((".jpg", ".jpeg"))]
        step = max(1, len(members) // count) if count else 1
        for i, m in enumerate(members[::step]):
            yield "CIFAR-10 test, 32x32 4:2:0", f"cifar{i}.jpg", tar.extractfile(m).read()


def run_go(paths, flags):
    out = subprocess.run(["go", "run", "./tools/golden/imaging/dump", *flags], input="\n".join(paths).encode(), stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in paths:
        w, h, n = struct.unpack_from("<iii", out, at)
        yield w, h, out[at + 12: at + 12 + n]
        at += 12 + n


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data")
    p.add_argument("--count", type=int, default=500, help="CIFAR-10 pictures; 0 = all")
    p.add_argument("--stdlib", action="store_true", help="measure Go's image/jpeg instead")
    args = p.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as tmp:
        items = list(generated()) + (list(shared(args.data, args.count)) if args.data else [])
        paths = []
        for _, name, data in items:
            paths.append(os.path.join(tmp, name))
            with open(paths[-1], "wb") as f:
                f.write(data)
        flags = ["-stdlib"] if args.stdlib else []
        for (row, name, data), path, (w, h, pix) in zip(items, paths, run_go(paths, flags)):
            try:
                want = np.asarray(Image.open(path).convert("RGB")).astype(int)
            except Exception as e:
                print(f"Pillow: {name}: {e}; ours: {pix if w == 0 else 'decoded'}")
                continue
            r = rows.setdefault(row, [0, 0, 0, 0.0, 0])
            r[0] += 1
            if w == 0:
                r[4] += 1
                print(name, pix.decode())
                continue
            got = np.frombuffer(pix, np.uint8).reshape(h, w, 3).astype(int)
            if got.shape != want.shape:
                print(name, "size", got.shape, want.shape)
                r[4] += 1
                continue
            d = np.abs(got - want)
            r[1] += int(d.max() > 0)
            r[2] = max(r[2], int(d.max()))
            r[3] = max(r[3], float(d.mean()))
    print("| pictures | number | that differ | largest difference | largest mean difference | errors |\n| --- | --- | --- | --- | --- | --- |")
    for row, r in rows.items():
        print(f"| {row} | {r[0]} | {r[1]} | {r[2]} | {r[3]:.4g} | {r[4]} |")


if __name__ == "__main__":
    main()
