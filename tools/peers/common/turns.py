"""Engines that take turns, and the ratios of their times.

An engine is a process that speaks one protocol, that of `resnet-run bench --turns`: its first line is a JSON object with the
"output" of the first run (row by row); every line with a number N that it is sent is answered by {"seconds": [N times]}.
"""

import json
import os
import platform
import random
import statistics
import subprocess
import sys


class EngineError(Exception):
    pass


class Engine:
    """One engine. It is ready when about is there: that waits for its first answer, unless later puts that off."""

    def __init__(self, name, command, env=None, later=False):
        self.name, self.rounds = name, []  # rounds: the median of each turn
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.about = None if later else self.answer()

    def wait(self):
        if self.about is None:
            self.about = self.answer()
        return self.about

    def answer(self):
        for line in self.p.stdout:
            if line.startswith("{"):  # some engines print notes of their own to standard output
                return json.loads(line)
        said = self.p.stderr.read().strip().splitlines()
        raise EngineError(f"{self.name} ended with status {self.p.wait()}: {said[-1] if said else 'it said nothing'}")

    def take(self, n):
        self.p.stdin.write(f"{n}\n")
        self.p.stdin.flush()
        return self.answer()["seconds"]

    def close(self):
        self.p.stdin.close()
        for f in (self.p.stdout, self.p.stderr):
            f.read()
            f.close()
        self.p.wait()


def relative_l2(got, want):
    if len(got) != len(want):
        return float("inf")
    diff = sum((g - w) ** 2 for g, w in zip(got, want))
    return (diff / sum(w * w for w in want)) ** 0.5


def alternate(engines, rounds, turn_seconds, note=lambda text: None):
    """Lets the engines take turns, in the one order and in the other, and appends to their rounds."""
    runs = {}
    for e in engines:  # warm up, and see how many runs make a turn
        once = min(e.take(2))
        runs[e] = max(1, round(turn_seconds / once))
    for i in range(rounds):
        for e in engines if i % 2 == 0 else engines[::-1]:
            e.rounds.append(statistics.median(e.take(runs[e])))
        note(f"round {i + 1} of {rounds}")


def ratio(peer, ours, seed=1):
    """The median over the rounds of peer's time over ours, with a 95 % interval by resampling the rounds."""
    each = [p / o for p, o in zip(peer.rounds, ours.rounds)]
    r = random.Random(seed)
    again = sorted(statistics.median(r.choices(each, k=len(each))) for _ in range(2000))
    return statistics.median(each), again[50], again[1949]


def table(engines, ours, agree):
    """Markdown: a line an engine, with the ratio of its time to ours: above 1, ours is faster."""
    lines = ["| engine | best ms | median ms | its time ÷ ours (95 % interval) | output, relative L2 to ours |", "| --- | ---: | ---: | --- | ---: |"]
    for e in engines:
        times = f"| {e.name} | {1e3 * min(e.rounds):.4g} | {1e3 * statistics.median(e.rounds):.4g} |"
        if e is ours:
            lines.append(times + " | |")
            continue
        mid, low, high = ratio(e, ours)
        lines.append(f"{times} **{mid:.2f}** ({low:.2f} to {high:.2f}) | {agree[e.name]:.1e} |")
    return "\n".join(lines)


def environment():
    """What the times depend on, a line each."""
    model = platform.processor()
    try:
        with open("/proc/cpuinfo") as f:
            model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), model)
    except OSError:
        pass
    lines = [f"processor: {model}, {os.cpu_count()} logical processors", f"system: {platform.platform()}, Python {platform.python_version()}"]
    if hasattr(os, "getloadavg"):
        lines.append("load average at the end: " + " ".join(f"{x:.2f}" for x in os.getloadavg()))
    return lines


def die(text):
    print(text, file=sys.stderr)
    sys.exit(1)
