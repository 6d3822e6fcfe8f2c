package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate go run ../../../../internal/cmd/genkernels -dir .

// avx2 has sixteen registers: twelve sums, two of weights and one of input.
var avx2 = Set{
	Name:   "avx2",
	Widths: []int{1},
	Variants: map[int][]Variant{
		1: {{1, assembly(avx2r1)}, {2, assembly(avx2r2)}, {4, assembly(avx2r4)}, {6, assembly(avx2r6)}},
	},
	Max:         vectorMax,
	MultiplyAdd: vectorMultiplyAdd,
	Moments:     vectorMoments,
	Input:       transform(avx2Input),
	Output:      transform(avx2Output),
	Peak:        peak(8, avx2Peak),
}

// avx512 has 32 registers, for up to 24 sums.
var avx512 = Set{
	Name:   "avx512",
	Widths: []int{4, 2, 1},
	Variants: map[int][]Variant{
		1: {{1, assembly(avx512v1r1)}, {2, assembly(avx512v1r2)}, {4, assembly(avx512v1r4)}, {8, assembly(avx512v1r8)}},
		2: {{1, assembly(avx512v2r1)}, {2, assembly(avx512v2r2)}, {4, assembly(avx512v2r4)}, {8, assembly(avx512v2r8)}},
		4: {{1, assembly(avx512v4r1)}, {2, assembly(avx512v4r2)}, {4, assembly(avx512v4r4)}, {6, assembly(avx512v4r6)}},
	},
	Max:         vectorMax,
	MultiplyAdd: vectorMultiplyAdd,
	Moments:     vectorMoments,
	Input:       transform(avx512Input),
	Output:      transform(avx512Output),
	Peak:        peak(16, avx512Peak),
}

func transform(f func(*byte)) func(*Transform) {
	return func(t *Transform) { f((*byte)(unsafe.Pointer(t))) }
}

// assembly adapts a generated kernel, which takes the tile as a plain address.
func assembly(f func(*byte)) func(*Tile) {
	return func(t *Tile) { f((*byte)(unsafe.Pointer(t))) }
}

// peak adapts a loop of 12 vectors.
func peak(lanes int, f func(factors, sums *float32, n int)) Peak {
	return Peak{Lanes: 12 * lanes, Run: func(factors *[2]float32, sums []float32, n int) {
		f(&factors[0], &sums[:12*lanes][0], max(n, 1))
	}}
}

func vectorMax(to, from []float32) {
	avx2Max(unsafe.SliceData(to), unsafe.SliceData(from), min(len(to), len(from)))
}

func vectorMultiplyAdd(y, x, a, b []float32) {
	n := min(len(y), len(x), len(a), len(b))
	avx2MultiplyAdd(unsafe.SliceData(y), unsafe.SliceData(x), unsafe.SliceData(a), unsafe.SliceData(b), n)
}

func vectorMoments(first, second, origin []float64, x []float32, pixels, stride int) {
	if n := momentChannels(first, second, origin, x, pixels, stride); n > 0 {
		avx2Moments(unsafe.SliceData(first), unsafe.SliceData(second), unsafe.SliceData(origin), n, unsafe.SliceData(x), pixels, stride)
	}
}

// available lists the sets that the processor can run, the fastest first.
func available() []*Set {
	var sets []*Set
	hasAVX2 := cpu.X86.HasAVX2 && cpu.X86.HasFMA
	if cpu.X86.HasAVX512F && cpu.X86.HasBMI2 && hasAVX2 {
		sets = append(sets, &avx512)
	}
	if hasAVX2 {
		sets = append(sets, &avx2)
	}
	return append(sets, &Portable)
}
