"""The numbers of internal/seeded, in numpy: see its package comment for the formula.

Made with Python 3.11 or later and numpy 2.x; only 64-bit integer and float64 arithmetic is used.
"""
import numpy as np

INCREMENT = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def fnv1a64(data: bytes) -> int:
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & MASK
    return h


def uniform(seed: int, name: str, n: int, std: float) -> np.ndarray:
    """n float32 numbers, uniform, mean 0, standard deviation std."""
    state = fnv1a64(name.encode()) ^ ((seed * INCREMENT) & MASK)
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(INCREMENT)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    k = (z >> np.uint64(40)).astype(np.int64)
    u = (2 * k + 1 - (1 << 24)).astype(np.float64) / float(1 << 25)
    return (u * np.sqrt(12.0) * std).astype(np.float32)


def uniform_around(seed: int, name: str, n: int, mean: float, std: float) -> np.ndarray:
    return (uniform(seed, name, n, std).astype(np.float64) + mean).astype(np.float32)


if __name__ == "__main__":  # prints the table of internal/seeded/seeded_test.go
    for seed, name, n, std in [(0, "", 4, 1.0), (1, "x", 4, 1.0), (42, "conv1.weight", 5, 0.05), (2**64 - 1, "layer4.1.bn2.running_var", 3, 1e-3)]:
        bits = uniform(seed, name, n, std).view(np.uint32)
        print(seed, repr(name), n, std, [f"0x{b:08x}" for b in bits])
    a = uniform(7, "long", 100000, 2.0).astype(np.float64)
    print("sum of 100000:", repr(float(a.sum())), "first/last", a[0], a[-1], "mean", a.mean(), "std", a.std())
    import zlib
    print("crc32", hex(zlib.crc32(uniform(7, "long", 100000, 2.0).astype("<f4").tobytes())))
    print([f"0x{b:08x}" for b in uniform_around(3, "running_var", 3, 1.0, 0.2).view(np.uint32)])
