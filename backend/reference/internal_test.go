package reference

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func TestGammaIsInfiniteWhereTheFormulaEnds(t *testing.T) {
	if g := gamma(1 << 23); g < 1 || g > 1.001 {
		t.Errorf("gamma(2^23) = %v, want 1: half over half", g)
	}
	for _, n := range []float64{1 << 24, 1 << 40, math.Inf(1)} {
		if g := gamma(n); !math.IsInf(g, 1) {
			t.Errorf("gamma(%g) = %v, want infinity", n, g)
		}
	}
	bound := []float64{0}
	if softmaxBound([]float64{-300}, []float64{1e-130}, bound, 0, 1e-130); !math.IsInf(bound[0], 1) {
		t.Errorf("bound of a sum smaller than its error: %v, want infinity", bound[0])
	}
}

func TestRowsAreEachDoneOnceAndStopWhenCancelled(t *testing.T) {
	done := make([]atomic.Int32, 1000)
	if err := rows(t.Context(), len(done), func(i int) { done[i].Add(1) }); err != nil {
		t.Fatal(err)
	}
	for i := range done {
		if n := done[i].Load(); n != 1 {
			t.Errorf("row %d was done %d times", i, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var begun atomic.Int32
	err := rows(ctx, 1000, func(int) {
		begun.Add(1)
		cancel()
	})
	if err != context.Canceled || int(begun.Load()) > runtime.GOMAXPROCS(0) {
		t.Errorf("error %v after %d rows, want the context's after at most one a processor", err, begun.Load())
	}
}

// countedContext counts how often it is asked whether it is cancelled.
type countedContext struct {
	context.Context
	asked atomic.Int32
}

func (c *countedContext) Err() error {
	c.asked.Add(1)
	return c.Context.Err()
}

func TestLongRowsAskForCancellationOnTheWay(t *testing.T) {
	for op, least := range map[string]int32{
		"conv2d(%x, @w)":                          40, // channels
		"max_pool(%x) kernel=1,1":                 7,  // rows of the only plane of a channel
		"avg_pool(%x) kernel=1,1":                 7,
		"max_pool(%x) kernel=7,1 padding=6,0,0,0": 7,
	} {
		g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1,40,7,2]\nparam @w : float32[1,40,1,1]\n%y = " + op + "\noutput %y\n"))
		if err != nil {
			t.Fatal(err)
		}
		n := g.Nodes[0]
		if n.Op.Name() != "conv2d" {
			least *= 40
		}
		in := [][]float64{make([]float64, 40*7*2), make([]float64, 40)}[:len(n.Inputs)]
		ctx := &countedContext{Context: t.Context()}
		if _, err := Node(ctx, n, in); err != nil {
			t.Fatal(err)
		}
		if asked := ctx.asked.Load(); asked < least {
			t.Errorf("%s: asked %d times, want at least %d", op, asked, least)
		}
	}
}

func TestValuesAreLetGoAfterTheirLastReader(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[3]\n%a = relu(%x)\n%b = relu(%a)\n%c = add(%b, %b)\n%d = add(%c, %a)\noutput %d\noutput %b\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(g, nil)
	r.values[g.Inputs[0]] = []float64{1, -2, 3}
	if err := r.do(t.Context(), g.Outputs); err != nil {
		t.Fatal(err)
	}
	if len(r.values) != 2 || !slices.Equal(r.values[g.Outputs[0]], []float64{3, 0, 9}) || !slices.Equal(r.values[g.Outputs[1]], []float64{1, 0, 3}) {
		t.Errorf("values left: %v, want those of the outputs alone", r.values)
	}
}
