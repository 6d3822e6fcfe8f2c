package resnet

import (
	"math"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func tensor(t *testing.T, s graph.Shape, data ...float32) *graph.Tensor {
	t.Helper()
	x, err := graph.FromFloat32s(s, data)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestParameterStandardizesEachFilter(t *testing.T) {
	c := mustLookup(t, "resnetv2_50x1_bit")
	stored := tensor(t, graph.NewShape(3, 1, 2, 2), 1, 2, 3, 6, -1, -1, 1, 1, 5, 5, 5, 5)
	// Filter 0: mean 3, variance (4+1+0+9)/4; filter 1: mean 0, variance 1; filter 2: nothing but the epsilon.
	s := float32(1 / math.Sqrt(3.5+1e-8))
	want := []float32{-2 * s, -s, 0, 3 * s, -1, -1, 1, 1, 0, 0, 0, 0}
	near := func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 }
	for _, in := range []*graph.Tensor{stored, graph.Freeze(stored)} {
		got, err := c.Parameter("layer1.0.conv2.weight", in)
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Float32s(); !slices.EqualFunc(v, want, near) || got.Type != in.Type || got.IsLazy() != in.IsLazy() {
			t.Errorf("lazy %t: got %v %v, want %v", in.IsLazy(), got.Type, v, want)
		}
		if b := got.Bound(); !(b >= 3*float64(s)) || b > 2.1 {
			t.Errorf("lazy %t: got bound %g, want 1.6 to 2", in.IsLazy(), b)
		}
	}
	for _, other := range []struct {
		c    Config
		name string
		t    *graph.Tensor
	}{{c, "fc.weight", tensor(t, graph.NewShape(1, 2), 1, 2)}, {c, "norm.weight", tensor(t, graph.NewShape(2), 1, 2)}, {mustLookup(t, "resnetv2_50"), "conv1.weight", stored}} {
		if got, err := other.c.Parameter(other.name, other.t); err != nil || got != other.t {
			t.Errorf("%s of %s: got %v, %v, want it as it is", other.name, other.c.Name, got, err)
		}
	}
}

// TestStandardizedTensorsAreKnownAgain: two of the same tensor have the same key, so that backends pack them once.
func TestStandardizedTensorsAreKnownAgain(t *testing.T) {
	c := mustLookup(t, "resnetv2_50x1_bit")
	a, b := graph.Freeze(tensor(t, graph.NewShape(1, 2, 1, 1), 1, 2)), graph.Freeze(tensor(t, graph.NewShape(1, 2, 1, 1), 1, 2))
	keys := map[any]bool{}
	for _, in := range []*graph.Tensor{a, a, b} {
		got, err := c.Parameter("conv1.weight", in)
		if err != nil || got.Key() == nil || got.Key() == in.Key() {
			t.Fatalf("got key %v, %v, want one of its own", got.Key(), err)
		}
		keys[got.Key()] = true
	}
	if len(keys) != 2 {
		t.Errorf("got %d keys of 2 tensors", len(keys))
	}
}

func TestStandardizedWeightsThatAreNotFinite(t *testing.T) {
	c := mustLookup(t, "resnetv2_50x1_bit")
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		got, err := c.Parameter("conv1.weight", graph.Freeze(tensor(t, graph.NewShape(2, 2, 1, 1), 1, bad, 1, 3)))
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Float32s(); v[0] == v[0] || v[2] != -1 || v[3] != 1 || !math.IsInf(got.Bound(), 1) {
			t.Errorf("got %v with bound %g, want NaN in the first filter alone and no bound", v, got.Bound())
		}
	}
}
