package graph_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func TestShape(t *testing.T) {
	s := graph.NewShape(2, 3, 5, 7)
	if s.Rank() != 4 || s.Elems() != 210 || s.Dim(1) != 3 || s.Dim(-1) != 7 || s.Dim(-4) != 2 || s.String() != "[2,3,5,7]" {
		t.Errorf("got rank %d, %d elements, %v", s.Rank(), s.Elems(), s)
	}
	if n, c, h, w := s.NCHW(); n != 2 || c != 3 || h != 5 || w != 7 {
		t.Errorf("got %d %d %d %d", n, c, h, w)
	}
	dims := s.Dims()
	dims[0] = 9
	if s.Dim(0) != 2 {
		t.Error("Dims does not return a copy")
	}
	if got := s.WithDim(-2, 11); got != graph.NewShape(2, 3, 11, 7) || s.Dim(2) != 5 {
		t.Errorf("WithDim: got %v of %v", got, s)
	}
	if graph.NewShape(1) == graph.NewShape() || graph.NewShape(2, 1) == graph.NewShape(2) || graph.NewShape(3, 0).Elems() != 0 {
		t.Error("shapes of different ranks are equal, or an empty one has elements")
	}
	if scalar := (graph.Shape{}); scalar != graph.NewShape() || scalar.Elems() != 1 || scalar.String() != "[]" {
		t.Errorf("the zero shape is not that of a scalar: %v", scalar)
	}
	if typ := graph.F32(2, 3); typ.SizeBytes() != 24 || typ.String() != "float32[2,3]" {
		t.Errorf("got %v of %d bytes", typ, typ.SizeBytes())
	}
}

func TestMakeShapeErrors(t *testing.T) {
	for _, c := range []struct {
		dims []int
		want string
	}{
		{[]int{1, 2, 3, 4, 5, 6, 7}, "want at most 6 dimensions, got 7"},
		{[]int{3, -1}, "make shape [3 -1]: dimension 1 is negative"},
		{[]int{graph.MaxElems, 2}, "want at most 576460752303423487 elements, got more"},
		{[]int{0, graph.MaxElems + 1}, "want at most"},
		{[]int{1 << 32, 1 << 32, 1 << 32, 0}, "want at most"},
	} {
		if s, err := graph.MakeShape(c.dims); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, %v, want %s", c.dims, s, err, c.want)
		}
	}
	if s, err := graph.MakeShape([]int{graph.MaxElems, 1, 0}); err != nil || s.Elems() != 0 {
		t.Errorf("the largest shape: got %v, %v", s, err)
	}
}

func TestMisuseOfShapesPanics(t *testing.T) {
	s := graph.NewShape(2, 3)
	for name, f := range map[string]func(){
		"negative":          func() { graph.NewShape(-1) },
		"dimension 2":       func() { s.Dim(2) },
		"dimension -3":      func() { s.Dim(-3) },
		"NCHW of rank 2":    func() { s.NCHW() },
		"WithDim 2":         func() { s.WithDim(2, 1) },
		"WithDim negative":  func() { s.WithDim(0, -1) },
		"WithDim too large": func() { s.WithDim(0, graph.MaxElems) },
	} {
		func() {
			defer func() {
				if r, ok := recover().(string); !ok || !strings.HasPrefix(r, "graph: bug: ") {
					t.Errorf("%s: got panic %v", name, r)
				}
			}()
			f()
		}()
	}
}

func TestParsedShapesAndTypes(t *testing.T) {
	for _, text := range []string{"[]", "[0]", "[1,3,224,224]", "[1,2,3,4,5,6]"} {
		s, err := graph.ParseShape(text)
		if err != nil || s.String() != text {
			t.Errorf("%s: got %v, %v", text, s, err)
		}
	}
	seen := map[graph.DType]bool{}
	for _, c := range []struct {
		name  string
		d     graph.DType
		size  int
		float bool
	}{{"float32", graph.Float32, 4, true}, {"float16", graph.Float16, 2, true}, {"bfloat16", graph.BFloat16, 2, true},
		{"int8", graph.Int8, 1, false}, {"uint8", graph.Uint8, 1, false}, {"int32", graph.Int32, 4, false}} {
		typ, err := graph.ParseTensorType(c.name + "[5,3]")
		if err != nil || typ.DType != c.d || typ.SizeBytes() != 15*c.size || typ.String() != c.name+"[5,3]" || c.d.IsFloat() != c.float {
			t.Errorf("%s: got %v of %d bytes, %v", c.name, typ, typ.SizeBytes(), err)
		}
		seen[typ.DType] = true
	}
	if len(seen) != 6 {
		t.Errorf("got %d element types, want 6", len(seen))
	}
	if bad := graph.DType(99); bad.String() != "dtype(99)" || bad.SizeBytes() != 0 || bad.IsFloat() {
		t.Errorf("got %v of %d bytes", bad, bad.SizeBytes())
	}
}

func TestTensors(t *testing.T) {
	data := []float32{1, -2.5, 3, 4, 5, 6}
	x, err := graph.FromFloat32s(graph.NewShape(2, 3), data)
	if err != nil {
		t.Fatal(err)
	}
	if x.Type != graph.F32(2, 3) || len(x.Data) != 24 || !slices.Equal(x.Data[4:8], []byte{0, 0, 0x20, 0xc0}) {
		t.Errorf("got %v, second element % x", x.Type, x.Data[4:8])
	}
	if !slices.Equal(x.Float32s(), data) {
		t.Errorf("got %v", x.Float32s())
	}
	shifted := &graph.Tensor{Type: graph.F32(5), Data: append(make([]byte, 1, 32), x.Data...)[1:21]}
	if got := shifted.Float32s(); !slices.Equal(got, data[:5]) {
		t.Errorf("data that is not aligned: got %v", got)
	}
	if _, err := graph.FromFloat32s(graph.NewShape(2, 2), data); err == nil || err.Error() != "data: want 4 elements for shape [2,2], got 6" {
		t.Errorf("got %v", err)
	}
	for _, typ := range []graph.TensorType{graph.F32(3, 0), graph.F32(3, 2), {DType: graph.Int8, Shape: graph.NewShape(5)}} {
		if got := graph.NewTensor(typ); got.Type != typ || len(got.Data) != typ.SizeBytes() || slices.Max(append(got.Data, 0)) != 0 {
			t.Errorf("NewTensor(%v): got %v in %d bytes", typ, got.Type, len(got.Data))
		}
	}
	if got := graph.NewTensor(graph.F32(0)).Float32s(); len(got) != 0 {
		t.Errorf("got %v of an empty tensor", got)
	}
	defer func() {
		if r, ok := recover().(string); !ok || !strings.Contains(r, "graph: bug: Float32s of a int8[5] tensor") {
			t.Errorf("got panic %v", r)
		}
	}()
	graph.NewTensor(graph.TensorType{DType: graph.Int8, Shape: graph.NewShape(5)}).Float32s()
}
