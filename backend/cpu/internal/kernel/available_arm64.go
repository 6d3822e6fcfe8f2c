package kernel

import "unsafe"

// neon is part of every arm64. It has 32 registers: twenty-four sums, four of weights and four of input.
var neon = Set{
	Name:   "neon",
	Widths: []int{1},
	Variants: map[int][]Variant{
		1: {{1, neonTile(1, neonr1)}, {2, neonTile(2, neonr2)}, {4, neonTile(4, neonr4)}, {6, neonTile(6, neonr6)}},
	},
	Max: func(to, from []float32) {
		neonMax(unsafe.SliceData(to), unsafe.SliceData(from), min(len(to), len(from)))
	},
	MultiplyAdd: func(y, x, a, b []float32) {
		n := min(len(y), len(x), len(a), len(b))
		neonMultiplyAdd(unsafe.SliceData(y), unsafe.SliceData(x), unsafe.SliceData(a), unsafe.SliceData(b), n)
	},
	Moments: func(first, second, origin []float64, x []float32, pixels, stride int) {
		if n := momentChannels(first, second, origin, x, pixels, stride); n > 0 {
			neonMoments(unsafe.SliceData(first), unsafe.SliceData(second), unsafe.SliceData(origin), n, unsafe.SliceData(x), pixels, stride)
		}
	},
	Input:  func(t *Transform) { neonInput((*byte)(unsafe.Pointer(t))) },
	Output: func(t *Transform) { neonOutput((*byte)(unsafe.Pointer(t))) },
	Peak: Peak{Lanes: neonPeakLanes, Run: func(factors *[2]float32, sums []float32, n int) {
		neonPeak(&factors[0], &sums[:neonPeakLanes][0], max(n, 1))
	}},
}

const neonPeakLanes = 24 * 4

// neonTile adapts a generated kernel. NEON has no masked loads and stores: a tile with fewer filters than a vector holds
// gets its epilogue here.
func neonTile(rows int, f func(t *byte, sums *float32)) func(*Tile) {
	return func(t *Tile) {
		if t.Last == Lanes {
			f((*byte)(unsafe.Pointer(t)), nil)
			return
		}
		var sums [MaxRows * Lanes]float32
		f((*byte)(unsafe.Pointer(t)), &sums[0])
		for i := range rows {
			for k := 0; k < t.Last; k += 4 {
				finish(t, i, k, (*[4]float32)(sums[i*Lanes+k:]))
			}
		}
	}
}

// available lists the sets that the processor can run, the fastest first.
func available() []*Set { return []*Set{&neon, &Portable} }
