package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// randomGraph is a DAG of ops on tensors of one shape; some results are read by nobody, some outputs are inputs or given twice.
func randomGraph(t testing.TB, r *rand.Rand, nodes int) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("random")
	typ := graph.F32(2, 4, 3, 5)
	values := []*graph.Value{b.Input("x", typ), b.Input("y", typ)}
	weights := make([]float32, 16)
	for i := range weights {
		weights[i] = float32(r.IntN(5)-2) / 4
	}
	data, err := graph.FromFloat32s(graph.NewShape(4, 4, 1, 1), weights)
	if err != nil {
		t.Fatal(err)
	}
	w := b.Param("w", data.Type, data)
	pick := func() *graph.Value { return values[max(0, len(values)-1-r.IntN(4))] }
	conv := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i)
		var v *graph.Value
		switch r.IntN(4) {
		case 0:
			v = b.Node(name, graph.ReLU{}, pick())
		case 1:
			v = b.Node(name, graph.Add{}, pick(), pick())
		case 2:
			v = b.Node(name, conv, pick(), w)
		default:
			withAdd := conv
			withAdd.Add = true
			v = b.Node(name, withAdd, pick(), w, pick())
		}
		values = append(values, v)
	}
	for range 1 + r.IntN(3) {
		b.Output(values[r.IntN(len(values))])
	}
	b.Output(values[len(values)-1])
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestPartsCanRunOneAfterTheOther on random graphs: the parts have every needed node once, in an order that works; each reads what was made or
// brought before, and no weights are copied.
func TestPartsCanRunOneAfterTheOther(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	several := 0
	for i := range 300 {
		g := randomGraph(t, r, 1+r.IntN(14))
		refused := map[string]bool{}
		for _, n := range g.Nodes {
			refused[n.Name] = r.IntN(3) == 0
		}
		refuse := func(n *graph.Node) bool { return refused[n.Name] }
		members := imaginary(nil, refuse, nothing)
		members[0].rates = Rates{FLOPS: 1e15, MemoryBytes: 1e15, LinkBytes: 1e15} // moving costs nothing
		members[1].rates = Rates{FLOPS: 1e6, MemoryBytes: 1e6, LinkBytes: 1e15}
		l := planOf(t, g, members)
		route := l.routes[0]
		checkFlow(t, route)
		made := map[string]bool{}
		for _, p := range route.parts {
			if err := p.graph.Validate(); err != nil || !p.graph.Bound() {
				t.Fatalf("graph %d: part %s: %v, bound: %t", i, p.graph.Name, err, p.graph.Bound())
			}
			for _, v := range p.graph.Params {
				if v.Data != g.Params[0].Data {
					t.Fatalf("graph %d: parameter %q was copied", i, v.Name)
				}
			}
			for _, n := range p.graph.Nodes {
				if made[n.Name] {
					t.Fatalf("graph %d: node %q is in two parts", i, n.Name)
				}
				made[n.Name] = true
			}
		}
		for j, n := range g.Nodes {
			if made[n.Name] != l.survey.live[j] {
				t.Fatalf("graph %d: node %q is run: %t, and needed: %t", i, n.Name, made[n.Name], l.survey.live[j])
			}
		}
		if len(route.parts) > 2 {
			several++
		}
	}
	if several < 20 {
		t.Errorf("only %d graphs were cut into more than two parts", several)
	}
}

// checkFlow follows the steps: nothing is read before it is there, nothing is brought twice.
func checkFlow(t *testing.T, r *routePlan) {
	t.Helper()
	var full []int
	there := map[hostPlace]bool{}
	for i := range r.survey.g.Inputs {
		there[hostPlace{inInput, i}] = true
	}
	for _, s := range r.flow.steps {
		switch s.kind {
		case upload:
			if !there[s.host] || slices.Contains(full, s.buf) {
				t.Fatalf("upload of %q: it is in host memory: %t, and on the device: %t", r.flow.bufs[s.buf].value.Name, there[s.host], slices.Contains(full, s.buf))
			}
			full = append(full, s.buf)
		case runPart:
			f := r.flow.parts[s.part]
			for _, b := range f.in {
				if !slices.Contains(full, b) {
					t.Fatalf("part %d reads %q, which is not there", s.part, r.flow.bufs[b].value.Name)
				}
			}
			full = append(full, f.out...)
		case download:
			if !slices.Contains(full, s.buf) || there[s.host] {
				t.Fatalf("download of %q", r.flow.bufs[s.buf].value.Name)
			}
			there[s.host] = true
		}
	}
	for _, c := range r.flow.copies {
		if !there[c.from] || there[c.to] {
			t.Fatalf("copy %+v", c)
		}
		there[c.to] = true
	}
	for i, v := range r.survey.g.Outputs {
		if !there[hostPlace{inOutput, i}] {
			t.Fatalf("output %d (%q) is written by nobody", i, v.Name)
		}
	}
}
