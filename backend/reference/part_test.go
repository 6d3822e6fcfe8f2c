package reference_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// partCases are convolutions with unlike rows and columns; the last ones fit a transform.
func partCases(t *testing.T) []*graph.Node {
	var list []*graph.Node
	for _, c := range []struct{ x, w, attrs string }{
		{"2,6,7,9", "4,3,3,2", "groups=2 stride=2,1 padding=2,0,1,3 dilation=1,2"},
		{"1,3,11,8", "5,3,2,3", "stride=3,2 padding=0,1,2,0"},
		{"3,4,5,6", "4,1,3,3", "groups=4 padding=1,1,1,1"},
		{"1,2,3,3", "2,2,1,2", "padding=4,5,3,2"}, // windows of nothing but padding
		{"2,6,9,13", "4,3,3,3", "groups=2 padding=1,2,0,1"},
		{"1,5,12,10", "6,5,3,3", ""},
	} {
		list = append(list, node(t, "input %x : float32["+c.x+"]", "param @w : float32["+c.w+"]", "%y = conv2d(%x, @w) "+c.attrs))
	}
	return list
}

// withEpilogue adds bias, shortcut and ReLU to a convolution.
func withEpilogue(t *testing.T, n *graph.Node) *graph.Node {
	t.Helper()
	op := n.Op.(graph.Conv2D)
	op.Bias, op.Add, op.Act = true, true, graph.ActReLU
	out := *n
	out.Op = op
	out.Inputs = append(append([]*graph.Value{}, n.Inputs...),
		&graph.Value{Name: "b", Type: graph.F32(n.Output.Type.Shape.Dim(1))}, &graph.Value{Name: "s", Type: n.Output.Type})
	return &out
}

func dataOf(n *graph.Node, seed uint64) [][]float32 {
	var in [][]float32
	for _, v := range n.Inputs {
		in = append(in, seeded.Uniform(seed, v.Name, v.Type.Shape.Elems(), 1))
	}
	return in
}

// TestPartsHaveTheBitsOfTheWhole: for random blocks of every case, plain and through transforms.
func TestPartsHaveTheBitsOfTheWhole(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for i, plain := range partCases(t) {
		for _, n := range []*graph.Node{plain, withEpilogue(t, plain)} {
			in := dataOf(n, 3)
			in[0][5], in[1][1] = float32(math.NaN()), float32(math.Inf(1))
			ways := []*backend.Winograd{nil}
			if i >= 4 {
				ways = append(ways, &backend.Winograd{Rows: f2, Columns: f2}, &backend.Winograd{Columns: f4}, &backend.Winograd{Rows: f4, Columns: f4})
			}
			for _, w := range ways {
				var value, bound []float64
				if w == nil {
					value, bound = bounds(t, n, in)
				} else {
					value, bound = winogradBounds(t, n, in, *w)
				}
				for range 12 {
					p := randomPart(rng, n.Output.Type.Shape)
					v, b, err := reference.PartBounds(t.Context(), n, in, p, w, nil)
					if err != nil {
						t.Fatalf("%v %+v: %v", graph.OpText(n.Op), p, err)
					}
					checkPart(t, fmt.Sprint(graph.OpText(n.Op), w, p), v, pick(value, n, p))
					checkPart(t, fmt.Sprint("bounds of ", graph.OpText(n.Op), w, p), b, pick(bound, n, p))
				}
			}
		}
	}
}

func randomPart(rng *rand.Rand, s graph.Shape) reference.Part {
	n, k, p, q := s.NCHW()
	window := func(size int) [2]int {
		from := rng.Intn(size)
		return [2]int{from, from + 1 + rng.Intn(size-from)}
	}
	part := reference.Part{Image: rng.Intn(n), Rows: window(p), Cols: window(q)}
	for range 1 + rng.Intn(4) {
		part.Filters = append(part.Filters, rng.Intn(k))
	}
	return part
}

// pick takes a part out of a whole result by its definition.
func pick(all []float64, n *graph.Node, p reference.Part) (out []float64) {
	_, k, rows, cols := n.Output.Type.Shape.NCHW()
	for _, f := range p.Filters {
		for r := p.Rows[0]; r < p.Rows[1]; r++ {
			for c := p.Cols[0]; c < p.Cols[1]; c++ {
				out = append(out, all[((p.Image*k+f)*rows+r)*cols+c])
			}
		}
	}
	return out
}

func checkPart(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d elements, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
			t.Fatalf("%s: element %d: got %g, want %g", what, i, got[i], want[i])
		}
	}
}

func TestPartOfAResult(t *testing.T) {
	n := partCases(t)[0]
	result := make([]float32, n.Output.Type.Shape.Elems())
	all := make([]float64, len(result))
	for i := range result {
		result[i], all[i] = float32(i), float64(i)
	}
	p := reference.Part{Image: 1, Filters: []int{3, 0}, Rows: [2]int{1, 3}, Cols: [2]int{2, 4}}
	checkPart(t, "part", reference.Widen(p.Of(result, n.Output.Type.Shape)), pick(all, n, p))
	if p.Elems() != 8 {
		t.Errorf("got %d elements, want 8", p.Elems())
	}
}

// TestFilterSumsAreExactAndSeeEveryElement compares with the sums over the whole result, for whole numbers.
func TestFilterSumsAreExactAndSeeEveryElement(t *testing.T) {
	for _, plain := range partCases(t) {
		for _, n := range []*graph.Node{plain, withEpilogue(t, plain)} {
			in := dataOf(n, 4)
			for _, x := range in {
				for i := range x {
					x[i] = float32(math.Round(float64(4 * x[i])))
				}
			}
			op := n.Op.(graph.Conv2D)
			if op.Bias { // so much that ReLU changes nothing
				for i := range in[2] {
					in[2][i] = 1e4
				}
			}
			value, _ := bounds(t, n, in)
			images, filters, p, q := n.Output.Type.Shape.NCHW()
			factor := make([]float64, filters)
			for k := range factor {
				factor[k] = float64(2*k + 1)
			}
			for image := range images {
				want := make([]float64, p*q)
				for k, f := range factor {
					for i := range want {
						want[i] += f * value[(image*filters+k)*p*q+i]
					}
				}
				got, err := reference.FilterSums(t.Context(), n, in, image, factor)
				if err != nil {
					t.Fatal(err)
				}
				checkPart(t, graph.OpText(n.Op), got, want)
			}
		}
	}
}

func TestPartsAreRefused(t *testing.T) {
	n := partCases(t)[5]
	in := dataOf(n, 1)
	good := reference.Part{Filters: []int{0}, Rows: [2]int{0, 1}, Cols: [2]int{0, 1}}
	for name, p := range map[string]reference.Part{
		"image": {Image: 1, Filters: good.Filters, Rows: good.Rows, Cols: good.Cols}, "no filter": {Rows: good.Rows, Cols: good.Cols},
		"filter": {Filters: []int{6}, Rows: good.Rows, Cols: good.Cols}, "rows": {Filters: good.Filters, Rows: [2]int{0, 11}, Cols: good.Cols},
		"empty": {Filters: good.Filters, Rows: [2]int{1, 1}, Cols: good.Cols},
	} {
		var shape *graph.ShapeError
		if _, _, err := reference.PartBounds(t.Context(), n, in, p, nil, nil); !errors.As(err, &shape) {
			t.Errorf("%s: got %v, want a *graph.ShapeError", name, err)
		}
	}
	if _, _, err := reference.PartBounds(t.Context(), n, in[:1], good, nil, nil); err == nil {
		t.Error("a missing input was accepted")
	}
	if _, _, err := reference.PartBounds(t.Context(), n, in, good, &backend.Winograd{}, nil); err == nil {
		t.Error("a transform without points was accepted")
	}
	if _, err := reference.FilterSums(t.Context(), n, in, 0, make([]float64, 5)); err == nil {
		t.Error("a missing factor was accepted")
	}
	relu := node(t, "input %x : float32[1,2]", "%y = relu(%x)")
	if _, _, err := reference.PartBounds(t.Context(), relu, [][]float32{{1, 2}}, good, nil, nil); err == nil {
		t.Error("a relu was accepted")
	}
}
