package seeded

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"testing"
)

// The expected bits are what tools/golden/ops/seeded.py prints (numpy 2.4.6).
func TestUniformEqualsNumpyBitForBit(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		name string
		std  float64
		want []uint32
	}{
		{0, "", 1, []uint32{0x3f69d8d3, 0xbfc1e719, 0xbf15c5e7, 0xbf90ce18}},
		{1, "x", 1, []uint32{0x3eac1e62, 0xbf0fca78, 0xbedbf9c7, 0x3f310de2}},
		{42, "conv1.weight", 0.05, []uint32{0x3d237548, 0xbd826a38, 0xbd84de43, 0x3bb8de2b, 0xbc04b2d2}},
		{math.MaxUint64, "layer4.1.bn2.running_var", 1e-3, []uint32{0x3a4b08f1, 0x3a436c09, 0xba74c565}},
	} {
		if got := bits(Uniform(c.seed, c.name, len(c.want), c.std)); !slices.Equal(got, c.want) {
			t.Errorf("Uniform(%d, %q, %d, %g) = %#x, want %#x", c.seed, c.name, len(c.want), c.std, got, c.want)
		}
	}
	if got, want := bits(UniformAround(3, "running_var", 3, 1, 0.2)), []uint32{0x3f9f7775, 0x3f6d353f, 0x3f3e73c5}; !slices.Equal(got, want) {
		t.Errorf("UniformAround = %#x, want %#x", got, want)
	}
	var raw []byte
	for _, b := range bits(Uniform(7, "long", 100000, 2)) {
		raw = binary.LittleEndian.AppendUint32(raw, b)
	}
	if got := crc32.ChecksumIEEE(raw); got != 0x9e6465d3 {
		t.Errorf("CRC-32 of 100000 numbers = %#x, want 0x9e6465d3", got)
	}
}

func TestUniformHasTheMomentsItPromises(t *testing.T) {
	const n, std = 200000, 0.3
	sum, squares := 0.0, 0.0
	limit := math.Sqrt(3) * std
	for _, v := range Uniform(5, "moments", n, std) {
		x := float64(v)
		if v == 0 || math.Abs(x) > limit*(1+1e-7) {
			t.Fatalf("%g is zero or beyond √3·std", x)
		}
		sum += x
		squares += x * x
	}
	if mean := sum / n; math.Abs(mean) > 5*std/math.Sqrt(n) {
		t.Errorf("mean %g, want 0 within five standard errors", mean)
	}
	if got := math.Sqrt(squares / n); math.Abs(got-std) > 0.01*std {
		t.Errorf("standard deviation %g, want %g", got, std)
	}
}

func TestSeedAndNameBothMatterAndLengthDoesNot(t *testing.T) {
	a := Uniform(1, "a", 8, 1)
	if slices.Equal(a, Uniform(2, "a", 8, 1)) || slices.Equal(a, Uniform(1, "b", 8, 1)) {
		t.Error("another seed or name gives the same numbers")
	}
	if !slices.Equal(a, Uniform(1, "a", 20, 1)[:8]) {
		t.Error("a longer sequence begins differently")
	}
	if got := Uniform(1, "a", 0, 1); len(got) != 0 {
		t.Errorf("n = 0 gives %v", got)
	}
}

func bits(x []float32) []uint32 {
	out := make([]uint32, len(x))
	for i, v := range x {
		out[i] = math.Float32bits(v)
	}
	return out
}
