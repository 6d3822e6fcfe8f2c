"""python3 -m unittest discover tools/peers/common: turns and ratios, with engines that are scripts of a few lines."""

import sys
import unittest

from turns import Engine, EngineError, alternate, ratio, relative_l2, table

# An engine whose runs take as long as it is told, in seconds that do not pass, and a note of its own in between.
FAKE = """
import json, sys
print("a note"); print(json.dumps({"output": [1.0, 2.0]}), flush=True)
times = %r
k = 0
for line in sys.stdin:
    out = []
    for _ in range(int(line)):
        out.append(times[k %% len(times)]); k += 1
    print(json.dumps({"seconds": out}), flush=True)
"""


def fake(name, times):
    return Engine(name, [sys.executable, "-c", FAKE % (times,)])


class Turns(unittest.TestCase):
    def test_ratios_of_engines_that_take_turns(self):
        ours, peer = fake("ours", [0.5]), fake("peer", [1.0, 1.5, 2.0])
        alternate([ours, peer], 9, 3.0)
        self.assertEqual(ours.rounds, [0.5] * 9)
        self.assertEqual(len(peer.rounds), 9)
        mid, low, high = ratio(peer, ours)
        self.assertTrue(2 <= low <= mid <= high <= 4, (low, mid, high))
        text = table([ours, peer], ours, {"peer": 1e-6})
        self.assertIn("| ours | 500 | 500 | | |", text)
        self.assertIn(f"**{mid:.2f}**", text)
        for e in (ours, peer):
            e.close()
            self.assertEqual(e.p.returncode, 0)

    def test_an_engine_may_get_ready_later(self):
        e = Engine("late", [sys.executable, "-c", FAKE % ([1.0],)], later=True)
        self.assertIsNone(e.about)
        self.assertEqual(e.wait(), {"output": [1.0, 2.0]})
        self.assertEqual(e.wait(), {"output": [1.0, 2.0]})  # once is enough
        self.assertEqual(e.take(2), [1.0, 1.0])
        e.close()

    def test_an_engine_that_ends_says_why(self):
        with self.assertRaisesRegex(EngineError, "peer ended with status 3: no GPU"):
            Engine("peer", [sys.executable, "-c", "import sys; print('no GPU', file=sys.stderr); sys.exit(3)"])

    def test_relative_l2(self):
        self.assertEqual(relative_l2([1, 2], [1, 2]), 0)
        self.assertAlmostEqual(relative_l2([4.0, 4.0], [3.0, 4.0]), 0.2)
        self.assertEqual(relative_l2([1], [1, 2]), float("inf"))


if __name__ == "__main__":
    unittest.main()
