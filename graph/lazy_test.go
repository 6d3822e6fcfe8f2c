package graph

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// flaky counts the reads of it and fails when told to.
type flaky struct {
	reads int
	err   error
}

func (f *flaky) ReadFloat32s(dst []float32) error {
	f.reads++
	for i := range dst {
		dst[i] = float32(i)
	}
	return f.err
}
func (f *flaky) Bound() float64 { return 7 }
func (f *flaky) Key() any       { return "flaky" }

func TestLazyTensorIsReadEachTimeAndKeptNowhere(t *testing.T) {
	src := &flaky{}
	x := NewLazy(shapeOf(t, 2, 3), src)
	want := []float32{0, 1, 2, 3, 4, 5}
	for i := range 2 {
		if got := x.Float32s(); !slices.Equal(got, want) || src.reads != i+1 {
			t.Errorf("got %v after %d reads, want %v after %d", got, src.reads, want, i+1)
		}
	}
	b, err := x.Bytes()
	if err != nil || len(b) != 24 || x.Data != nil {
		t.Errorf("got %d bytes (%v) and Data of %d, want 24 and none", len(b), err, len(x.Data))
	}
	if x.Bound() != 7 || x.Key() != "flaky" || !x.IsLazy() {
		t.Errorf("got bound %g and key %v, want those of the source", x.Bound(), x.Key())
	}
}

func TestAFailedReadIsZerosAndAnErrorOfTheGraph(t *testing.T) {
	src := &flaky{}
	g, err := Parse(strings.NewReader("graph g\ninput %x : float32[1,2]\nparam @w : float32[2,2]\n%y = linear(%x, @w)\noutput %y\n"))
	if err != nil {
		t.Fatal(err)
	}
	if g, err = g.Bind(map[string]*Tensor{"w": NewLazy(shapeOf(t, 2, 2), src)}); err != nil {
		t.Fatal(err)
	}
	w := g.Params[0].Data
	if w.Float32s(); g.DataErr() != nil {
		t.Errorf("got %v before anything failed", g.DataErr())
	}
	src.err = errors.New("the disk is gone")
	if got := w.Float32s(); !slices.Equal(got, make([]float32, 4)) {
		t.Errorf("got %v from a failed read, want zeros", got)
	}
	if _, err := w.Bytes(); !errors.Is(err, src.err) {
		t.Errorf("Bytes: got %v, want %v", err, src.err)
	}
	src.err = nil
	if w.Float32s(); g.DataErr() == nil || !strings.Contains(g.DataErr().Error(), `read parameter "w": the disk is gone`) {
		t.Errorf("got %v, want the first error to stay, with the parameter's name", g.DataErr())
	}
}

func TestBoundOfTensorsInMemory(t *testing.T) {
	for _, c := range []struct {
		data []float32
		want float64
	}{
		{nil, 0},
		{[]float32{-3, 2}, 3},
		{[]float32{1, float32(math.NaN())}, math.Inf(1)},
		{[]float32{float32(math.Inf(-1)), 1}, math.Inf(1)},
	} {
		x, err := FromFloat32s(shapeOf(t, len(c.data)), c.data)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Bound(); got != c.want {
			t.Errorf("%v: got bound %g, want %g", c.data, got, c.want)
		}
		if x.Key() != nil {
			t.Errorf("a tensor whose data may change has the key %v, want nil", x.Key())
		}
		if y := Freeze(x); !slices.EqualFunc(y.Float32s(), c.data, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) || y.Key() == nil || y.Bound() != c.want || Freeze(y) != y {
			t.Errorf("frozen: got %v, key %v, bound %g", y.Float32s(), y.Key(), y.Bound())
		}
	}
}

func TestLazyTensorsOfOtherTypesAreRefused(t *testing.T) {
	b := NewBuilder("g")
	b.Param("w", F32(3), NewLazy(shapeOf(t, 4), &flaky{}))
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), `parameter "w"`) {
		t.Errorf("got %v, want an error about the shape of w", err)
	}
}

func shapeOf(t *testing.T, dims ...int) Shape {
	t.Helper()
	s, err := MakeShape(dims)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWithShapeKeepsTheElements: of tensors with data and of lazy ones, without a copy.
func TestWithShapeKeepsTheElements(t *testing.T) {
	plain, err := FromFloat32s(NewShape(2, 3), []float32{1, 2, 3, 4, 5, 6})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []*Tensor{plain, Freeze(plain)} {
		got, err := from.WithShape(NewShape(3, 2, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got.Type != F32(3, 2, 1) || got.IsLazy() != from.IsLazy() || got.Key() != from.Key() || !slices.Equal(got.Float32s(), plain.Float32s()) {
			t.Errorf("got %v %v, key %v", got.Type, got.Float32s(), got.Key())
		}
		if !got.IsLazy() && &got.Data[0] != &from.Data[0] {
			t.Error("the elements were copied")
		}
		var se *ShapeError
		if _, err := from.WithShape(NewShape(5)); !errors.As(err, &se) {
			t.Errorf("another number of elements: got %v", err)
		}
	}
}
