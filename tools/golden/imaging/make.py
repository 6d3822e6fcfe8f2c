"""Make internal/imaging/testdata: small pictures in many formats, and what Pillow and torchvision make of them.

Versions: Python 3.11, Pillow 13.0.0 (libjpeg-turbo 3.2.0, libwebp 1.6.0, libtiff 4.7.2), NumPy 2, torch 2.9.1, torchvision 0.24.1,
scikit-image (for its sample photograph "chelsea", CC0).

Run from the repository root:  python tools/golden/imaging/make.py --data DATA
--data names the folder with the photographs and the CIFAR-10 files that the project's tests use when they have them; of these only sums
are stored.
The output is deterministic with these versions. Expected results are SHA-256 sums of the RGB bytes or of the float32 bytes
(little-endian, CHW); nothing in them comes from our own code.
"""
import argparse, hashlib, io, json, os, shutil, struct, tarfile, warnings, zlib
import numpy as np
import torch
from PIL import Image, ImageOps
from skimage import data as sample_data
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms import functional as F
from measure import jpeg, own_blocks, photo_like, retiled, strip_marker

OUT = "internal/imaging/testdata"
warnings.filterwarnings("ignore")
decode_cases, orientation_cases, resize_cases, preset_cases, bad_cases = [], [], [], [], []


def sha(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()


def write(name, data):
    with open(os.path.join(OUT, name), "wb") as f:
        f.write(data)


def add(name, data, want=None, note=None):
    """A picture whose expected pixels are Pillow's, unless want (an array) says otherwise, with a note why."""
    write(name, data)
    if want is None:
        want = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    case = {"file": name, "width": want.shape[1], "height": want.shape[0], "sha256": sha(want.astype(np.uint8))}
    if note:
        case["note"] = note
    decode_cases.append(case)


def saved(img, kind, **kw):
    b = io.BytesIO()
    img.save(b, kind, **kw)
    return b.getvalue()


# ---- PNG: a writer of our own, for what Pillow cannot write ----------------------------------------------------------------
def png(w, h, depth, color_type, rows_of, interlaced=False, palette=None, transparency=None, exif=None):
    """rows_of(xs, ys) gives an integer array (len(ys), len(xs), channels) of samples."""
    def chunk(kind, payload):
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))

    def packed(row):
        flat = row.reshape(-1)
        if depth == 16:
            return flat.astype(">u2").tobytes()
        if depth == 8:
            return flat.astype(np.uint8).tobytes()
        bits = "".join(format(int(v), f"0{depth}b") for v in flat)
        bits += "0" * (-len(bits) % 8)
        return bytes(int(bits[i: i + 8], 2) for i in range(0, len(bits), 8))

    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    raw = b""
    for x0, y0, dx, dy in passes:
        xs, ys = np.arange(x0, w, dx), np.arange(y0, h, dy)
        if len(xs) and len(ys):
            for row in rows_of(xs, ys):
                raw += b"\0" + packed(row)
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color_type, 0, 0, int(interlaced)))
    if palette is not None:
        out += chunk(b"PLTE", palette)
    if transparency is not None:
        out += chunk(b"tRNS", transparency)
    if exif is not None:
        out += chunk(b"eXIf", exif)
    return out + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def png_cases():
    w, h = 13, 9
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    for color_type, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            for interlaced in (False, True):
                rng = np.random.default_rng(depth * 10 + color_type)
                samples = rng.integers(0, 1 << depth, (h, w, channels[color_type]))
                colors = rng.integers(0, 256, 3 << min(depth, 8), dtype=np.uint8).tobytes() if color_type == 3 else None
                data = png(w, h, depth, color_type, lambda xs, ys: samples[np.ix_(ys, xs)], interlaced, colors)
                name = f"png_type{color_type}_{depth}bit{'_interlaced' if interlaced else ''}.png"
                if color_type == 0 and depth == 16:
                    high = np.repeat(samples >> 8, 3, axis=2)
                    add(name, data, high, "high byte; Pillow's convert clips at 255 instead, see README")
                else:
                    add(name, data)
    samples = np.arange(w * h).reshape(h, w, 1) % 8
    colors = bytes(range(10, 10 + 12))
    add("png_palette_transparent.png", png(w, h, 8, 3, lambda xs, ys: (samples % 4)[np.ix_(ys, xs)], palette=colors, transparency=b"\0\x80"))
    add("png_palette_short.png", png(w, h, 8, 3, lambda xs, ys: samples[np.ix_(ys, xs)], palette=colors))
    add("png_gray_transparent.png", png(w, h, 8, 0, lambda xs, ys: samples[np.ix_(ys, xs)], transparency=b"\0\3"))
    rgb = np.repeat(samples, 3, axis=2)
    add("png_rgb_transparent.png", png(w, h, 8, 2, lambda xs, ys: rgb[np.ix_(ys, xs)], transparency=b"\0\3\0\3\0\3"))
    rgb16 = rgb * 8000
    add("png_rgb16_transparent.png", png(w, h, 16, 2, lambda xs, ys: rgb16[np.ix_(ys, xs)], transparency=struct.pack(">HHH", 8000, 8000, 8000)))
    bit = samples % 2
    add("png_bit_transparent.png", png(w, h, 1, 0, lambda xs, ys: bit[np.ix_(ys, xs)], transparency=b"\0\1"))
    add("png_filtered.png", saved(photo_like(41, 23, 5), "PNG", optimize=True))
    add("png_alpha_zero.png", saved(Image.merge("RGBA", (*photo_like(11, 7, 6).split(), Image.new("L", (11, 7), 0))), "PNG"))
    frames = [photo_like(9, 11, s) for s in (1, 2)]
    add("png_animated.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:]))


# ---- BMP -----------------------------------------------------------------------------------------------------------------
def bmp(w, h, bits, pixels, compression=0, palette=b"", colors=0, header=40, masks=None, top_down=False, offset=None, alpha_mask=0):
    extra = b""
    if header == 12:
        info = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, w, -h if top_down else h, 1, bits, compression, len(pixels), 2835, 2835, colors, 0)
        tail = struct.pack("<IIII", *masks, alpha_mask) if masks else b""
        if header == 40:
            extra = tail[:12]
        else:
            info += (tail + bytes(header))[: header - 40]
    body = info + extra + palette
    start = 14 + len(body) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", 14 + len(body) + len(pixels), 0, 0, start) + body + pixels


def rows(a, bits):
    """Pack an integer array (h, w) into padded rows, bottom up as given."""
    out = b""
    for r in a:
        if bits >= 8:
            b = b"".join(int(v).to_bytes(bits // 8, "little") for v in r)
        else:
            s = "".join(format(int(v), f"0{bits}b") for v in r)
            s += "0" * (-len(s) % 8)
            b = bytes(int(s[i: i + 8], 2) for i in range(0, len(s), 8))
        out += b + bytes(-len(b) % 4)
    return out


def bmp_cases():
    w, h = 11, 7
    rng = np.random.default_rng(7)
    for bits in (1, 4, 8):
        a = rng.integers(0, 1 << bits, (h, w))
        colors = rng.integers(0, 256, (1 << bits, 4), dtype=np.uint8)
        add(f"bmp_{bits}bit.bmp", bmp(w, h, bits, rows(a, bits), palette=colors.tobytes()))
        add(f"bmp_{bits}bit_top_down.bmp", bmp(w, h, bits, rows(a, bits), palette=colors.tobytes(), top_down=True))
        add(f"bmp_{bits}bit_os2.bmp", bmp(w, h, bits, rows(a, bits), palette=colors[:, :3].tobytes(), header=12))
        add(f"bmp_{bits}bit_offset_without_palette.bmp", bmp(w, h, bits, rows(a, bits), palette=colors.tobytes(), offset=54))
    few = rng.integers(0, 5, (h, w))
    add("bmp_8bit_5_colors.bmp", bmp(w, h, 8, rows(few, 8), palette=colors[:5].tobytes(), colors=5))
    add("bmp_8bit_beyond_palette.bmp", bmp(w, h, 8, rows(few + 3, 8), palette=colors[:5].tobytes(), colors=5))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, 1)
    add("bmp_8bit_gray.bmp", bmp(w, h, 8, rows(few * 50, 8), palette=ramp.tobytes()))
    add("bmp_8bit_short_ramp.bmp", bmp(w, h, 8, rows(few * 50, 8), palette=ramp[:5].tobytes(), colors=5))
    two = np.array([[0, 0, 0, 0], [255, 255, 255, 0]], dtype=np.uint8)
    add("bmp_1bit_black_white.bmp", bmp(w, h, 1, rows(few % 2, 1), palette=two.tobytes()))
    add("bmp_1bit_white_black.bmp", bmp(w, h, 1, rows(few % 2, 1), palette=two[::-1].tobytes()))
    a16 = rng.integers(0, 1 << 16, (h, w))
    add("bmp_16bit.bmp", bmp(w, h, 16, rows(a16, 16)))
    add("bmp_16bit_565.bmp", bmp(w, h, 16, rows(a16, 16), 3, masks=(0xF800, 0x7E0, 0x1F)))
    add("bmp_16bit_555_v5.bmp", bmp(w, h, 16, rows(a16, 16), 3, masks=(0x7C00, 0x3E0, 0x1F), header=124))
    a24 = rng.integers(0, 1 << 24, (h, w))
    add("bmp_24bit.bmp", bmp(w, h, 24, rows(a24, 24)))
    add("bmp_24bit_top_down.bmp", bmp(w, h, 24, rows(a24, 24), top_down=True))
    add("bmp_24bit_os2.bmp", bmp(w, h, 24, rows(a24, 24), header=12))
    add("bmp_24bit_os2v2.bmp", bmp(w, h, 24, rows(a24, 24), header=64))
    a32 = rng.integers(0, 1 << 32, (h, w))
    add("bmp_32bit.bmp", bmp(w, h, 32, rows(a32, 32)))
    for i, (m, alpha, header) in enumerate((
            ((0xFF0000, 0xFF00, 0xFF), 0, 40), ((0xFF000000, 0xFF0000, 0xFF00), 0, 108), ((0xFF000000, 0xFF00, 0xFF), 0, 56),
            ((0xFF000000, 0xFF0000, 0xFF00), 0xFF, 108), ((0xFF, 0xFF00, 0xFF0000), 0xFF000000, 124),
            ((0xFF0000, 0xFF00, 0xFF), 0xFF000000, 56), ((0, 0, 0), 0, 124))):
        add(f"bmp_32bit_masks{i}.bmp", bmp(w, h, 32, rows(a32, 32), 3, masks=m, header=header, alpha_mask=alpha))
    add("bmp_32bit_masks_v2.bmp", bmp(w, h, 32, rows(a32, 32), 3, masks=(0xFF0000, 0xFF00, 0xFF), header=52))
    runs = bytes([4, 9, 0, 3, 1, 2, 3, 0, 4, 200, 0, 0, 11, 5, 0, 0, 0, 5, 7, 8, 9, 10, 11, 0, 3, 77, 0, 0, 0, 2, 2, 1, 6, 30, 0, 0,
                  20, 66, 0, 0, 0, 4, 1, 2, 3, 4, 7, 250, 0, 0, 0, 1])
    # the early end leaves pixels that Pillow refuses; complete the last rows for it
    full = runs[:-2] + bytes([11, 44, 0, 0]) * 1 + bytes([0, 1])
    add("bmp_rle8.bmp", bmp(w, h, 8, full, 1, palette=colors.tobytes()))
    colors4 = colors[:16].tobytes()
    runs4 = bytes([5, 0x12, 0, 6, 0x34, 0x56, 0x78, 0, 0, 0, 11, 0xAB, 0, 0, 0, 3, 0x12, 0x30, 8, 0xCD, 0, 0, 0, 2, 4, 0, 7, 0xEE, 0, 0,
                   20, 0x91, 0, 0, 11, 0x77, 0, 0, 0, 11, 1, 2, 3, 4, 5, 6, 0, 1])
    add("bmp_rle4.bmp", bmp(w, h, 4, runs4, 2, palette=colors4))
    add("bmp_photo.bmp", saved(photo_like(61, 47, 9), "BMP"))


# ---- GIF -----------------------------------------------------------------------------------------------------------------
def gif_cases():
    img = photo_like(35, 22, 11)
    p = img.quantize(17)
    add("gif_plain.gif", saved(p, "GIF", interlace=0))
    add("gif_interlaced.gif", saved(p, "GIF", interlace=1))
    add("gif_gray.gif", saved(img.convert("L"), "GIF"))
    add("gif_transparent.gif", saved(p, "GIF", transparency=3))
    add("gif_animated.gif", saved(p, "GIF", save_all=True, append_images=[p.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], optimize=False))
    base = bytearray(saved(img.quantize(8), "GIF", interlace=0, optimize=False))
    # a canvas larger than the frame, the frame moved off its corner
    at = base.index(b",\0\0\0\0")
    moved = base[:]
    struct.pack_into("<HH", moved, 6, 50, 40)
    struct.pack_into("<HH", moved, at + 1, 7, 9)
    add("gif_offset.gif", bytes(moved))
    control = moved.rfind(b"!\xf9\x04", 0, at)
    block = b"!\xf9\x04" + bytes([1, 0, 0, 5, 0])
    at2 = moved.index(b",", at)
    clear = moved[:at2] + block + moved[at2:] if control < 0 else moved[:control] + block + moved[control + 8:]
    add("gif_offset_transparent.gif", bytes(clear))
    # palettes shorter than the indices go, one of grays 0 to 3 and one of colours
    for label, four in (("ramp", bytes(v for i in range(4) for v in (i, i, i))), ("colors", bytes(range(20, 32)))):
        add(f"gif_short_{label}.gif", bytes(base[:10]) + bytes([base[10] & 0xF8 | 1]) + bytes(base[11:13]) + four + bytes(base[13 + 24:]))
    # a canvas smaller than the frame grows
    grown = base[:]
    struct.pack_into("<HH", grown, 6, 20, 10)
    add("gif_outgrown.gif", bytes(grown))


# ---- TIFF ----------------------------------------------------------------------------------------------------------------
def tiff(order, w, h, tags, pixels):
    """A one-strip file: tags maps number to (type, values) with type 3 (short) or 4 (long)."""
    tags = {256: (3, [w]), 257: (3, [h]), 259: (3, [1]), 278: (3, [h]), 279: (4, [len(pixels)]), 273: (4, [0]), **tags}
    count = len(tags)
    head = 8 + 2 + 12 * count + 4
    extra, entries = b"", b""
    late = sum(2 * len(v) if t == 3 else 4 * len(v) for t, v in tags.values() if len(v) * (2 if t == 3 else 4) > 4)
    for number in sorted(tags):
        kind, values = tags[number]
        if number == 273:
            values = [head + late]
        raw = b"".join(struct.pack(order + ("H" if kind == 3 else "I"), v) for v in values)
        if len(raw) > 4:
            field = struct.pack(order + "I", head + len(extra))
            extra += raw
        else:
            field = raw + bytes(4 - len(raw))
        entries += struct.pack(order + "HHI", number, kind, len(values)) + field
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", 8) + struct.pack(order + "H", count) + entries + bytes(4) + extra + pixels


def tiff_cases():
    img = photo_like(29, 21, 13)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        m = Image.merge("RGBA", (*img.split(), img.convert("L"))) if mode == "RGBA" else img.convert(mode)
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            kw = {"compression": compression} if compression else {}
            add(f"tiff_{mode}_{compression or 'raw'}.tif", saved(m, "TIFF", **kw))
    add("tiff_1_group3.tif", saved(img.convert("1"), "TIFF", compression="group3"))
    add("tiff_1_group4.tif", saved(img.convert("1"), "TIFF", compression="group4"))
    for compression in ("group3", "group4"):
        data = saved(img.convert("1"), "TIFF", compression=compression, tiffinfo={262: 0})
        assert Image.open(io.BytesIO(data)).tag_v2[262] == 0
        add(f"tiff_1_{compression}_white_is_zero.tif", data)
    w, h = 7, 5
    rng = np.random.default_rng(3)
    for name, order in (("little", "<"), ("big", ">")):
        rgb16 = rng.integers(0, 1 << 16, (h, w, 3))
        add(f"tiff_rgb16_{name}.tif", tiff(order, w, h, {258: (3, [16] * 3), 262: (3, [2]), 277: (3, [3])}, rgb16.astype(order + "u2").tobytes()))
        gray16 = rng.integers(0, 1 << 16, (h, w))
        add(f"tiff_gray16_{name}.tif", tiff(order, w, h, {258: (3, [16]), 262: (3, [1]), 277: (3, [1])}, gray16.astype(order + "u2").tobytes()),
            np.repeat((gray16 >> 8)[..., None], 3, 2), "high byte; Pillow's convert clips at 255 instead, see README")
        gray = rng.integers(0, 256, (h, w), dtype=np.uint8)
        add(f"tiff_white_is_zero_{name}.tif", tiff(order, w, h, {258: (3, [8]), 262: (3, [0]), 277: (3, [1])}, gray.tobytes()))
        rgba = rng.integers(0, 256, (h, w, 4), dtype=np.uint8)
        rgba[0, :3, 3] = (0, 255, 1)
        for extra, label in ((1, "associated"), (2, "unassociated")):
            tags = {258: (3, [8] * 4), 262: (3, [2]), 277: (3, [4]), 338: (3, [extra])}
            add(f"tiff_{label}_alpha_{name}.tif", tiff(order, w, h, tags, rgba.tobytes()))
    gray4 = rng.integers(0, 256, (h, 4), dtype=np.uint8)
    bad("tiff_gray4.tif", tiff("<", w, h, {258: (3, [4]), 262: (3, [1]), 277: (3, [1])}, gray4.tobytes()), "unsupported")
    bad("tiff_planar.tif", saved_planar(w, h, rng), "plane by plane")
    cmyk = Image.merge("CMYK", (*img.split(), ImageOps.flip(img.convert("L"))))
    la = Image.merge("LA", (img.convert("L"), ImageOps.flip(img.convert("L"))))
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        kw = {"compression": compression} if compression else {}
        add(f"tiff_cmyk_{compression or 'raw'}.tif", saved(cmyk, "TIFF", **kw))
        add(f"tiff_gray_alpha_{compression or 'raw'}.tif", saved(la, "TIFF", **kw))
    samples = rng.integers(0, 256, (h, w, 4), dtype=np.uint8)
    add("tiff_cmyk_big.tif", tiff(">", w, h, {258: (3, [8] * 4), 262: (3, [5]), 277: (3, [4])}, samples.tobytes()))
    add("tiff_gray_alpha_big.tif", tiff(">", w, h, {258: (3, [8] * 2), 262: (3, [1]), 277: (3, [2]), 338: (3, [2])}, samples[..., :2].tobytes()))
    predicted = np.concatenate([samples[:, :1], np.diff(samples.astype(int), axis=1) % 256], axis=1).astype(np.uint8)
    add("tiff_cmyk_predictor.tif", tiff("<", w, h, {259: (3, [8]), 258: (3, [8] * 4), 262: (3, [5]), 277: (3, [4]), 317: (3, [2])}, zlib.compress(predicted.tobytes())))
    pair = predicted[..., :2]
    bad("tiff_gray_alpha_predictor.tif", tiff("<", w, h, {259: (3, [8]), 258: (3, [8] * 2), 262: (3, [1]), 277: (3, [2]), 317: (3, [2]), 338: (3, [2])}, zlib.compress(pair.tobytes())), "predictor")
    bad("tiff_lab.tif", saved(img.convert("LAB"), "TIFF"), "unsupported")
    bad("tiff_jpeg.tif", saved(img, "TIFF", compression="jpeg"), "unsupported")


def saved_planar(w, h, rng):
    plane = rng.integers(0, 256, 3 * w * h, dtype=np.uint8).tobytes()
    return tiff("<", w, h, {258: (3, [8] * 3), 262: (3, [2]), 277: (3, [3]), 284: (3, [2])}, plane)


# ---- WebP ----------------------------------------------------------------------------------------------------------------
def webp_cases():
    for i, (w, h) in enumerate(((1, 1), (2, 2), (3, 5), (16, 16), (17, 31), (64, 40), (45, 63))):
        img = photo_like(w, h, 20 + i)
        add(f"webp_lossy_{w}x{h}.webp", saved(img, "WEBP", quality=60 + 5 * i))
    img = photo_like(33, 27, 30)
    rgba = Image.merge("RGBA", (*img.split(), photo_like(33, 27, 31).convert("L")))
    add("webp_lossless.webp", saved(img, "WEBP", lossless=True))
    add("webp_lossless_alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True))
    add("webp_lossy_alpha.webp", saved(rgba, "WEBP", quality=80))
    add("webp_animated.webp", saved(img, "WEBP", save_all=True, append_images=[img.transpose(Image.Transpose.ROTATE_180)], quality=70))
    add("webp_animated_lossless.webp", saved(img, "WEBP", save_all=True, append_images=[ImageOps.flip(img)], lossless=True))
    # the first frame moved off the corner of a larger canvas
    moved = bytearray(saved(img, "WEBP", save_all=True, append_images=[ImageOps.flip(img)], lossless=True))
    x, a = moved.index(b"VP8X") + 12, moved.index(b"ANMF") + 8
    moved[x: x + 6] = struct.pack("<I", 49)[:3] + struct.pack("<I", 39)[:3]
    moved[a: a + 6] = struct.pack("<I", 3)[:3] + struct.pack("<I", 4)[:3]
    add("webp_animated_offset.webp", bytes(moved))
    add("webp_animated_alpha.webp", saved(rgba, "WEBP", save_all=True, append_images=[ImageOps.flip(rgba)], quality=70))


# ---- JPEG ----------------------------------------------------------------------------------------------------------------
def jpeg_cases():
    for i, (w, h) in enumerate(((1, 1), (3, 2), (5, 7), (17, 9), (31, 33), (50, 35))):
        img = photo_like(w, h, 40 + i)
        for sub in ("4:4:4", "4:2:2", "4:2:0"):
            for progressive in (False, True):
                name = f"jpeg_{sub.replace(':', '')}{'_progressive' if progressive else ''}_{w}x{h}.jpg"
                add(name, jpeg(img, quality=75, subsampling=sub, progressive=progressive))
    img = photo_like(37, 29, 50)
    for factors, label in (((0x12, 0x11, 0x11), "440"), ((0x41, 0x11, 0x11), "411"), ((0x14, 0x11, 0x11), "1x4"), ((0x22, 0x21, 0x11), "mixed"), ((0x22, 0x12, 0x11), "mixed2")):
        for w, h in ((61, 43), (3, 5)):
            add(f"jpeg_{label}_{w}x{h}.jpg", retiled(w, h, factors, 60 + w))
    add("jpeg_gray.jpg", jpeg(img.convert("L"), quality=80))
    add("jpeg_gray_progressive.jpg", jpeg(img.convert("L"), quality=80, progressive=True))
    add("jpeg_restart.jpg", jpeg(img, quality=70, restart_marker_blocks=2))
    add("jpeg_restart_progressive.jpg", jpeg(img, quality=70, restart_marker_blocks=3, progressive=True))
    cmyk = Image.merge("CMYK", (*img.split(), img.convert("L")))
    add("jpeg_cmyk.jpg", jpeg(cmyk, quality=85))
    add("jpeg_cmyk_progressive.jpg", jpeg(cmyk, quality=85, progressive=True))
    add("jpeg_cmyk_without_adobe.jpg", strip_marker(jpeg(cmyk, quality=85), 0xEE))
    ycck = bytearray(jpeg(cmyk, quality=85))
    ycck[ycck.find(b"Adobe") + 11] = 2
    add("jpeg_ycck.jpg", bytes(ycck))
    add("jpeg_adobe_rgb.jpg", jpeg(img, quality=85, keep_rgb=True))
    plain = jpeg(img, quality=85)
    add("jpeg_without_jfif.jpg", strip_marker(plain, 0xE0))
    whole = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
    add("jpeg_without_end_marker.jpg", plain[:-2], whole, "all pixels are there; Pillow refuses it, other users of libjpeg do not")
    add("jpeg_bytes_after_scan.jpg", plain[:-2] + b"\0\1\2\xff\xd9")
    add("jpeg_trailing_bytes.jpg", plain + b"something else")
    letters = bytearray(strip_marker(jpeg(img, quality=85, subsampling="4:4:4"), 0xE0))
    sof, sos = letters.find(b"\xff\xc0"), letters.find(b"\xff\xda")
    for i, c in enumerate(b"RGB"):
        letters[sof + 10 + 3 * i] = c
        letters[sos + 5 + 2 * i] = c
    add("jpeg_rgb_by_letters.jpg", bytes(letters))
    # a quantisation table redefined after it was first used: each component keeps the one it began with
    prog = bytearray(jpeg(img, quality=85, progressive=True))
    at = prog.rfind(b"\xff\xda")
    add("jpeg_redefined_table.jpg", bytes(prog[:at] + b"\xff\xdb\x00\x43\x00" + bytes([1] * 64) + prog[at:]))
    # JFIF wins over Adobe
    add("jpeg_jfif_and_adobe.jpg", plain[:20] + b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0" + plain[20:])
    # quantisers of 16 bits
    wide = own_blocks(6, 3, 80)
    table = wide.index(b"\xff\xdb\x00\x43")
    wide[table: table + 69] = b"\xff\xdb\x00\x83\x10" + struct.pack(">64H", 16, *range(257, 320))
    sof = wide.index(b"\xff\xc0")
    wide[sof + 1] = 0xC1
    struct.pack_into(">HH", wide, sof + 5, 15, 23)
    add("jpeg_16bit_quantisers.jpg", bytes(wide))
    bad("jpeg_truncated.jpg", plain[: len(plain) * 2 // 3], "truncated")
    prog = jpeg(img, quality=85, progressive=True)
    bad("jpeg_progressive_without_end_marker.jpg", prog[:-2], "end-of-image")
    bad("jpeg_truncated_header.jpg", plain[:100], "needs")
    lost = jpeg(img, quality=70, restart_marker_blocks=2)
    at = lost.find(b"\xff\xd1")
    bad("jpeg_restart_lost.jpg", lost[:at] + lost[at + 2:], "restart marker")
    arithmetic = bytearray(plain)
    arithmetic[arithmetic.find(b"\xff\xc0") + 1] = 0xC9
    bad("jpeg_arithmetic.jpg", bytes(arithmetic), "unsupported")


def bad(name, data, want):
    """A file that must be refused, with a piece of the error's text."""
    write(name, data)
    bad_cases.append({"file": name, "error": want})


# ---- orientation -----------------------------------------------------------------------------------------------------------
def oriented(name, data):
    """Pillow's upright pixels, and its pixels as opened (which for TIFF are upright already)."""
    write(name, data)
    opened = Image.open(io.BytesIO(data))
    stored = np.asarray(opened.convert("RGB"))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    orientation_cases.append({"file": name, "width": upright.shape[1], "height": upright.shape[0], "sha256": sha(upright),
                              "ignored_width": stored.shape[1], "ignored_height": stored.shape[0], "ignored_sha256": sha(stored)})


def orientation():
    img = photo_like(12, 7, 70)
    for o in range(1, 9):
        exif = Image.Exif()
        exif[274] = o
        oriented(f"exif_{o}.jpg", jpeg(img, quality=90, exif=exif))
        oriented(f"exif_{o}.png", saved(img, "PNG", exif=exif))
        oriented(f"exif_{o}.webp", saved(img, "WEBP", exif=exif.tobytes(), lossless=True))
        pixels = np.asarray(img).tobytes()
        order = "<" if o % 2 else ">"
        oriented(f"exif_{o}.tif", tiff(order, 12, 7, {258: (3, [8] * 3), 262: (3, [2]), 277: (3, [3]), 274: (3, [o])}, pixels))
    # WebP whose EXIF chunk begins as a JPEG's segment does
    exif = Image.Exif()
    exif[274] = 6
    data = bytearray(saved(img, "WEBP", exif=exif.tobytes(), lossless=True))
    at = data.index(b"EXIF")
    size = struct.unpack_from("<I", data, at + 4)[0]
    data = data[:at] + b"EXIF" + struct.pack("<I", size + 6) + b"Exif\0\0" + data[at + 8:]
    struct.pack_into("<I", data, 4, len(data) - 8)
    oriented("exif_prefixed.webp", bytes(data))
    exif = Image.Exif()
    exif[274] = 0
    oriented("exif_0.jpg", jpeg(img, quality=90, exif=exif))
    body = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 2) + struct.pack(">HHII", 271, 2, 4, 0x41424300) + struct.pack(">HHIHH", 274, 3, 1, 6, 0) + bytes(4)
    oriented("exif_big_endian.jpg", jpeg(img, quality=90, exif=b"Exif\0\0" + body))


# ---- resizing and the whole preset --------------------------------------------------------------------------------------------
FILTERS = {"nearest": Image.Resampling.NEAREST, "box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR,
           "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


def resizing():
    sources = ["source_photo.png", "source_tall.bmp", "source_small.png"]
    for name in sources:
        img = Image.open(os.path.join(OUT, name)).convert("RGB")
        w, h = img.size
        for size in ((w, h), (w, h // 2), (w // 3 + 1, h), (1, 1), (7, 5), (w * 2 + 1, h * 3 - 1), (64, 48), (w - 1, h + 1), (224, 224), (w - 5, h - 10), (w - 5, h - 11), (w - 5, h - 14)):
            for label, f in FILTERS.items():
                out = np.asarray(img.resize(size, f))
                resize_cases.append({"file": name, "width": size[0], "height": size[1], "interpolation": label, "sha256": sha(out)})


def presets():
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    half = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    configs = [(256, 224, "bilinear", imagenet), (232, 224, "bilinear", imagenet), (235, 224, "bicubic", imagenet), (32, 32, "bilinear", imagenet),
               (32, 32, "bicubic", half), (256, 256, "bilinear", half), (97, 64, "bicubic", imagenet), (40, 61, "bilinear", imagenet), (41, 60, "bicubic", half)]
    sources = ["source_photo.png", "source_tall.bmp", "source_small.png", "source_photo.jpg", "source_wide.png", "source_cifar_size.jpg"]
    for name in sources:
        img = Image.open(os.path.join(OUT, name)).convert("RGB")
        for resize, crop, mode, (mean, std) in configs:
            kind = InterpolationMode(mode)
            preset = ImageClassification(crop_size=crop, resize_size=resize, mean=mean, std=std, interpolation=kind)
            values = preset(img).numpy().astype("<f4")
            pixels = np.asarray(F.center_crop(F.resize(img, resize, kind), crop))
            across = img
            if resize not in (min(img.size), 0):
                w, h = F.resize(img, resize, kind).size
                across = img.resize((w, img.height), FILTERS[mode]).resize((w, h), FILTERS[mode])  # the order of Pillow before 13.0
            preset_cases.append({"file": name, "horizontal_first_sha256": sha(np.asarray(F.center_crop(across, crop))), "resize": resize, "crop": crop, "interpolation": mode, "mean": mean, "std": std,
                                 "pixels_sha256": sha(pixels), "values_sha256": sha(values), "first": [float(v) for v in values.reshape(-1)[:3]]})


def shared(data):
    """Sums over files that are not in the repository."""
    cases = []
    folder = os.path.join(data, "images")
    for name in sorted(os.listdir(folder)):
        a = np.asarray(Image.open(os.path.join(folder, name)).convert("RGB"))
        cases.append({"file": "images/" + name, "width": a.shape[1], "height": a.shape[0], "sha256": sha(a)})
    total, count = hashlib.sha256(), 0
    with tarfile.open(os.path.join(data, "cifar10", "test.tar.gz")) as tar:
        for m in tar:
            if m.isfile() and m.name.endswith(".jpg"):
                total.update(np.asarray(Image.open(tar.extractfile(m)).convert("RGB")).tobytes())
                count += 1
                if count == 2000:
                    break
    cases.append({"file": "cifar10/test.tar.gz", "count": count, "sha256": total.hexdigest()})
    return cases


def sources():
    cat = Image.fromarray(sample_data.chelsea())  # 451x300, CC0
    write("source_photo.jpg", jpeg(cat, quality=80))
    write("source_photo.png", saved(cat.crop((90, 60, 231, 157)), "PNG", optimize=True))
    write("source_tall.bmp", saved(cat.crop((150, 20, 191, 291)), "BMP"))
    write("source_wide.png", saved(cat.crop((20, 100, 440, 123)), "PNG", optimize=True))
    write("source_small.png", saved(cat.resize((28, 19)), "PNG", optimize=True))
    write("source_cifar_size.jpg", jpeg(cat.crop((75, 0, 375, 300)).resize((32, 32)), quality=75))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    args = p.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    sources()
    for step in (png_cases, bmp_cases, gif_cases, tiff_cases, webp_cases, jpeg_cases, orientation, resizing, presets):
        step()
    for name in ("source_photo.jpg", "source_cifar_size.jpg"):
        add(name, open(os.path.join(OUT, name), "rb").read())
    golden = {"pillow": Image.__version__, "torch": torch.__version__, "decode": decode_cases, "bad": bad_cases, "orientation": orientation_cases,
              "resize": resize_cases, "presets": preset_cases, "shared": shared(args.data)}
    with open(os.path.join(OUT, "golden.json"), "w") as f:
        f.write("{\n")
        f.write(",\n".join(f'"{k}": ' + (json.dumps(v) if isinstance(v, str) else "[\n" + ",\n".join(json.dumps(c) for c in v) + "\n]") for k, v in golden.items()))
        f.write("\n}\n")
    with open(os.path.join(OUT, "README.md"), "w") as f:
        f.write(README)
    total = sum(os.path.getsize(os.path.join(OUT, n)) for n in os.listdir(OUT))
    print(len(decode_cases), "pictures,", len(bad_cases), "bad ones,", len(orientation_cases), "oriented,", len(resize_cases), "resized,",
          len(preset_cases), "presets;", total, "bytes")


README = """# Golden data of internal/imaging

Made by `tools/golden/imaging/make.py` with Pillow and torchvision (versions in its header); do not edit. `golden.json` lists for each picture
the SHA-256 of the bytes those libraries give.

The `source_*` pictures are cut from scikit-image's sample photograph "chelsea" (the cat), by Stefan van der Walt, in the public domain (CC0).
All others are synthetic.
"""

if __name__ == "__main__":
    main()
