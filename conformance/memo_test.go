package conformance

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func TestRecallAsksOnceForEachQuestion(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[2,3]\n%y = relu(%x)\n%z = relu(%y)\noutput %z\n"))
	if err != nil {
		t.Fatal(err)
	}
	m, asked := newMemo(), 0
	ask := func(n *graph.Node, x []float64, c computed) {
		_, err := recall(m, m.key([][]float64{x}, describe(n), c), judged.size, func() (judged, error) {
			asked++
			return judged{make([]float64, len(x)), nil}, nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for i, q := range []struct {
		n *graph.Node
		x []float64
		c computed
	}{
		{g.Nodes[0], []float64{1, 2}, computed{}},
		{g.Nodes[0], []float64{1, math.Nextafter(2, 3)}, computed{}}, // another bit
		{g.Nodes[0], []float64{1, 2, 0}, computed{}},
		{g.Nodes[1], []float64{1, 2}, computed{}}, // same numbers, another node
		{g.Nodes[0], []float64{1, 2}, computed{exact: true}},
		{g.Nodes[0], []float64{math.Copysign(0, -1)}, computed{}},
		{g.Nodes[0], []float64{0}, computed{}},
	} {
		ask(q.n, q.x, q.c)
		ask(q.n, q.x, q.c)
		if asked != i+1 {
			t.Errorf("question %d: asked %d times so far, want %d", i, asked, i+1)
		}
	}
}

func TestRecallKeepsNoErrorAndNoMoreThanItsLimit(t *testing.T) {
	m, asked := newMemo(), 0
	want := errors.New("no")
	for range 2 {
		if _, err := recall(m, 1, judged.size, func() (judged, error) { asked++; return judged{}, want }); !errors.Is(err, want) {
			t.Errorf("got %v", err)
		}
	}
	for range 2 {
		if _, err := recall(m, 2, func(judged) int { return memoElems + 1 }, func() (judged, error) { asked++; return judged{}, nil }); err != nil {
			t.Error(err)
		}
	}
	if asked != 4 {
		t.Errorf("asked %d times, want 4", asked)
	}
	if _, err := recall(nil, (*memo)(nil).key(nil), judged.size, func() (judged, error) { asked++; return judged{}, nil }); err != nil || asked != 5 {
		t.Errorf("without a memo: got %v, asked %d times", err, asked)
	}
}
