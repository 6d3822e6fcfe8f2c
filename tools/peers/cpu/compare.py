#!/usr/bin/env python3
"""Compares the cpu backend with ONNX Runtime and ncnn: the same network, weights, input, batch and number of threads.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r tools/peers/cpu/requirements.txt
    /tmp/peers/bin/python tools/peers/cpu/compare.py

Each engine is a process of its own. They take turns in short rounds, and what is printed is the median over the rounds
of the ratio within a round: load on the machine then falls on all alike. The outputs are held against each other before
anything is timed. Peak memory is VmHWM of the process; for the peers it includes the Python interpreter and numpy, whose
share before the engine was loaded is printed beside it.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "common"))
from networks import NETWORKS, Network  # noqa: E402
CASES = ["resnet50:1", "resnet50:8", "resnet18:1", "resnet18:8", "resnet20-cifar:32", "resnet20-cifar:128"]


class Engine:
    def __init__(self, name, command):
        self.name, self.seconds, self.cpu = name, [], []
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.answer()

    def answer(self):
        line = self.p.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with status {self.p.wait()}")
        return line.strip()

    def expect(self, word):
        got = self.answer()
        if got != word:
            sys.exit(f"{self.name}: got {got!r}, want {word!r}")

    def cpu_seconds(self):
        fields = open(f"/proc/{self.p.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def output(self, folder):
        path = os.path.join(folder, self.name + ".output")
        if self.ask("output " + path) != "written":
            sys.exit(f"{self.name} wrote no output")
        return np.fromfile(path, np.float32).astype(np.float64)

    def close(self):
        self.p.stdin.close()
        self.p.wait()


def interpreter_mib():
    code = "import numpy; print([l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')][0])"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) / 1024


def build(folder):
    ours = os.path.join(folder, "ours")
    subprocess.run(["go", "build", "-o", ours, "."], cwd=os.path.join(HERE, "ours"), check=True)
    return ours


def compare(args, folder, binary, arch, batch):
    side = 32 if NETWORKS[arch][3] else 224
    prefix = os.path.join(folder, f"{arch}-{batch}")
    net = Network(arch)
    net.write_safetensors(prefix + ".safetensors")
    net.write_onnx(prefix + ".onnx", batch, side)
    net.write_ncnn(prefix)
    np.random.default_rng(2).standard_normal((batch, 3, side, side)).astype(np.float32).tofile(prefix + ".input")
    del net
    commands = {"ours": [binary, "-arch", arch, "-weights", prefix + ".safetensors", "-input", prefix + ".input", "-batch", str(batch), "-side", str(side), "-threads", str(args.threads)]}
    for peer in args.peers:
        commands[peer] = [sys.executable, os.path.join(HERE, "peer.py"), peer, prefix, prefix + ".input", str(batch), str(side), str(args.threads)]
    engines = [Engine(name, command) for name, command in commands.items()]
    for e in engines:
        e.ask("run 2")
    want = engines[0].output(folder)
    agree = {}
    for e in engines[1:]:
        agree[e.name] = np.linalg.norm(e.output(folder) - want) / np.linalg.norm(want)
        if not agree[e.name] < 1e-4:
            sys.exit(f"{arch} batch {batch}: {e.name} and ours differ by {agree[e.name]:.2e} of the norm: want below 1e-4")
    once = min(float(engines[0].ask("run 1")) for _ in range(3))
    n = max(1, round(args.round_ms / 1e3 / once))
    for i in range(args.rounds):
        for e in engines if i % 2 == 0 else engines[::-1]:
            before = e.cpu_seconds()
            e.seconds.append(float(e.ask(f"run {n}")) / n)
            e.cpu.append(e.cpu_seconds() - before)
    ours = engines[0]
    row = f"| {arch} | {batch} | {min(ours.seconds) * 1e3:.1f} | {statistics.median(ours.seconds) * 1e3:.1f} | {ours.peak_mib():.0f} |"
    for e in engines[1:]:
        ratio = statistics.median(t / o for t, o in zip(e.seconds, ours.seconds))
        row += f" {min(e.seconds) * 1e3:.1f} | {statistics.median(e.seconds) * 1e3:.1f} | **{ratio:.2f}** | {min(e.seconds) / min(ours.seconds):.2f} | {sum(e.cpu) / sum(ours.cpu):.2f} | {e.peak_mib():.0f} | {agree[e.name]:.0e} |"
    print(row, flush=True)
    for e in engines:
        e.close()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cases", nargs="*", default=CASES, help="ARCH:BATCH; default: " + " ".join(CASES))
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--round-ms", type=float, default=700, help="how long an engine's turn lasts, about; threads of some engines spin for a while after it")
    p.add_argument("--peers", nargs="*", default=["onnxruntime", "ncnn"])
    args = p.parse_args()
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    print(f"{model}, {os.cpu_count()} processors, {args.threads} threads, {args.rounds} rounds of {args.round_ms:g} ms; Python with numpy alone peaks at {interpreter_mib():.0f} MiB", flush=True)
    head = "| network | batch | best ms | median ms | MiB |"
    for peer in args.peers:
        head += f" {peer}: best ms | median ms | median of ratios to ours | ratio of bests | of CPU time | MiB | difference |"
    print(head + "\n|" + "---|" * (5 + 7 * len(args.peers)))
    with tempfile.TemporaryDirectory() as folder:
        binary = build(folder)
        for case in args.cases:
            arch, batch = case.rsplit(":", 1)
            compare(args, folder, binary, arch, int(batch))


if __name__ == "__main__":
    main()
