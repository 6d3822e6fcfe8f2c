package plan

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

func TestHalfPlansOfTheFamilyAreSound(t *testing.T) {
	for device, lim := range devices() {
		for _, name := range []string{"resnet18", "resnet50", "resnext50_32x4d", "resnet20-cifar", "resnet20-cifar-b"} {
			for _, batch := range []int{1, 7} {
				if device == "tiny" && !strings.Contains(name, "20") {
					continue // larger than this device can hold
				}
				t.Run(device+"/"+name, func(t *testing.T) { checkPlan(t, lim, build(t, lim, Options{Half: true}, network(t, name, batch))) })
			}
		}
	}
}

// kernelsOf counts the kernels of a plan.
func kernelsOf(p *Plan) map[string]int {
	m := map[string]int{}
	for _, s := range p.Steps {
		m[s.Variant.Name]++
	}
	return m
}

func TestHalfPlanConvertsOnlyAtItsEnds(t *testing.T) {
	for device, lim := range devices() {
		if device == "tiny" {
			continue
		}
		g := network(t, "resnet50", 1)
		p := build(t, lim, Options{Half: true}, g)
		got := kernelsOf(p)
		if got["pack_f16"] != 1 || got["unpack_f16"]+got["narrow_f16"]+got["widen_f16"]+got["pack_f32"]+got["unpack_f32"] != 0 {
			t.Errorf("%s: conversions: got %v, want one of the input", device, got)
		}
		for _, n := range g.Nodes {
			stored := p.Precisions[n.Name]
			want := backend.Precision{Operands: graph.Float16, Parameters: graph.Float16, Result: graph.Float16}
			switch n.Op.(type) {
			case graph.Conv2D:
			case graph.MaxPool:
				want.Parameters = graph.Float32
			case graph.GlobalAvgPool:
				want.Parameters, want.Result = graph.Float32, graph.Float32
			default:
				want = backend.Precision{}
			}
			if stored != want {
				t.Errorf("%s: node %q: got %v, want %v", device, n.Name, stored, want)
			}
		}
		full := build(t, lim, Options{}, g)
		if full.Precisions != nil {
			t.Errorf("%s: float32: got %v", device, full.Precisions)
		}
		bytes := func(p *Plan) (sum uint64) {
			for _, w := range p.Weights {
				sum += w.sizeBytes()
			}
			return sum
		}
		if h, f := bytes(p), bytes(full); float64(h) > 0.62*float64(f) { // the linear layer stays
			t.Errorf("%s: weights of %d bytes, of %d in float32", device, h, f)
		}
		if device == "lavapipe" && float64(p.LiveBytes) > 0.6*float64(full.LiveBytes) {
			t.Errorf("%s: live set of %d bytes, of %d in float32", device, p.LiveBytes, full.LiveBytes)
		}
	}
}

func TestNodesKeptInFloat32AreConvertedAround(t *testing.T) {
	g := parse(t, `graph g
input %x : float32[1,8,9,9]
param @w : float32[8,8,3,3]
%a = conv2d(%x, @w) padding=1,1,1,1
%b = conv2d(%a, @w) padding=1,1,1,1
%c = conv2d(%b, @w) padding=1,1,1,1
%d = add(%c, %a)
output %d
`)
	lim := devices()["lavapipe"]
	p := build(t, lim, Options{Half: true, Float32: map[string]bool{"b": true}}, g)
	var got []string
	for _, s := range p.Steps {
		got = append(got, s.Node+" "+s.Variant.Name)
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{"a pack_f16", "a widen_f16", "b narrow_f16", "d add_f16", "d unpack_f16"} {
		if !slices.Contains(got, want) {
			t.Errorf("step %q is missing in\n%s", want, text)
		}
	}
	if _, ok := p.Precisions["b"]; ok || len(p.Precisions) != 3 {
		t.Errorf("precisions: got %v", p.Precisions)
	}
	checkPlan(t, lim, p)
}

func TestHalfFiltersSplitTheBias(t *testing.T) {
	g := bind(t, "graph g\ninput %x : float32[1,6,9,9]\nparam @w : float32[10,6,2,3]\nparam @b : float32[10]\n%y = conv2d(%x, @w, @b) bias=true\noutput %y\n",
		map[string][]float32{"w": iota32(10 * 36), "b": {1, 1.0001, 3.14159, -0.1, 1e5, float32(math.Inf(1)), 0, 2, 3, 4}})
	n := g.Nodes[0]
	op := n.Op.(graph.Conv2D)
	const block = 8
	whole, half := packFilters(n, op, packing{block: block, channels: 4}), packFilters(n, op, packing{block: block, channels: 4, half: true})
	a, b := fill(t, whole), fill(t, half)
	blocks := 2
	size := whole.Elems / blocks
	if !half.Half || half.Elems != whole.Elems+blocks*block || half.sizeBytes() != uint64(2*half.Elems) {
		t.Fatalf("got %d elements of half %v", half.Elems, half.Half)
	}
	for i := range blocks {
		from, to := a[i*size:][:size], b[i*(size+block):][:size+block]
		if !slices.Equal(from[block:], to[2*block:]) {
			t.Errorf("block %d: other weights", i)
		}
		for j, want := range from[:block] {
			hi, lo := to[j], to[block+j]
			if got := hi + graph.RoundFloat16(lo); hi != graph.RoundFloat16(want) || math.Abs(float64(got-want)) > 0x1p-21*math.Abs(float64(want)) && want < 65504 {
				t.Errorf("block %d: bias %d: got %g and %g, want %g", i, j, hi, lo, want)
			}
		}
	}
}
