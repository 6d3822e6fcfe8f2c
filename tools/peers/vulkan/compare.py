#!/usr/bin/env python3
"""Compares the vulkan backend with peers: the same network, weights, input and batch, in turns.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r tools/peers/vulkan/requirements.txt
    /tmp/peers/bin/python tools/peers/vulkan/compare.py --icd /usr/share/vulkan/icd.d/lvp_icd.x86_64.json resnet18:1 resnet50:1

On a machine with a CUDA GPU install requirements-cuda.txt and name the peers, for example --peers torch-fp32 torch-fp32-graphs ncnn-vulkan-fp32.

Each engine is a process of its own. Their outputs are held against each other before anything is timed, ours against the
float64 reference as well. They take turns, so that load on the machine falls on all alike; what is printed is the median over the
rounds of the ratio within a round, and its 95 % interval.
"""

import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
COMMON = os.path.join(HERE, "..", "common")
sys.path.insert(0, COMMON)

from engine import ENGINES  # noqa: E402
from networks import NETWORKS, Network  # noqa: E402
from turns import Engine, EngineError, alternate, die, environment, relative_l2, table  # noqa: E402

# What outputs may differ by: float32 against float32, and against half precision.
AGREE, AGREE_HALF = 1e-4, 3e-2


def half(name):
    return name == "ncnn-vulkan" or "fp16" in name


def compare(args, folder, binary, arch, batch):
    side = 32 if arch.endswith("cifar") else 224
    prefix = os.path.join(folder, f"{arch}-{batch}")
    net = Network(arch)
    net.write_safetensors(prefix + ".safetensors")
    net.write_ncnn(prefix)
    if "onnxruntime-cpu" in args.peers:
        net.write_onnx(prefix + ".onnx", batch, side)
    env = {"VK_ICD_FILENAMES": args.icd, "VK_DRIVER_FILES": args.icd} if args.icd else {}
    engines, agree = [], {}
    try:
        ours = Engine("ours", [binary, "bench", prefix + ".safetensors", "--backend", args.ours, "--batch", str(batch), "--turns", "--threads", str(args.threads)], env, later=True)
        engines.append(ours)  # the reference, on the CPU, takes its time for large batches: the peers begin meanwhile
        for peer in args.peers:
            command = [sys.executable, os.path.join(COMMON, "engine.py"), peer, prefix, str(batch), str(side), str(args.threads), str(args.gpu)]
            engines.append(Engine(peer, command, env))
        output = ours.wait()["output"]
        for e in engines[1:]:
            agree[e.name] = relative_l2(e.about["output"], output)
            if not agree[e.name] < (AGREE_HALF if half(e.name) else AGREE):
                die(f"{arch} batch {batch}: the outputs of {e.name} and ours differ by {agree[e.name]:.2e} of the norm")
        alternate(engines, args.rounds, args.turn, lambda text: print(f"{arch} batch {batch}: {text}", file=sys.stderr))
    except EngineError as err:
        die(str(err))
    finally:
        for e in engines:
            e.close()
    print(f"\n### {arch}, batch {batch}\n")
    print(table(engines, ours, agree))
    print(f"\nours: {ours.about['backend']}: {ours.about['device']}, {ours.about['driver']}; greatest error against float64 {ours.about['verification']['max_error']:.1e}.")
    for e in engines[1:]:
        print(f"{e.name}: {e.about['engine']}.", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", default=["resnet18:1", "resnet50:1"], help="ARCH:BATCH, of " + ", ".join(NETWORKS))
    p.add_argument("--icd", help="manifest of the Vulkan driver, for ours and ncnn alike")
    p.add_argument("--ours", default="vulkan", help="--backend of ours")
    p.add_argument("--gpu", type=int, default=0, help="number of the GPU for the peers")
    p.add_argument("--peers", nargs="*", default=["ncnn-vulkan-fp32", "ncnn-vulkan"], choices=sorted(ENGINES))
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=11)
    p.add_argument("--turn", type=float, default=1.0, help="seconds that a turn lasts, about")
    p.add_argument("--binary", help="resnet-run, built already")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        binary = args.binary or os.path.join(folder, "resnet-run")
        if not args.binary:
            subprocess.run(["go", "build", "-o", binary, "./cmd/resnet-run"], cwd=os.path.join(HERE, "..", "..", ".."), check=True)
        for case in args.cases:
            arch, batch = case.rsplit(":", 1)
            compare(args, folder, binary, arch, int(batch))
    print("\n" + "\n".join("- " + line for line in environment()))


if __name__ == "__main__":
    main()
