package cpu

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
)

// lazyNetwork is seededNetwork before and after the passes, with weights that are known again: as a file's are.
func lazyNetwork(t *testing.T, data map[string]*graph.Tensor, batch int) *graph.Graph {
	t.Helper()
	c, err := resnet.Lookup("resnet20-cifar")
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Build(batch, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Params {
		if data[p.Name] == nil {
			data[p.Name] = graph.Freeze(seededParam(t, p))
		}
	}
	if g, err = g.Bind(data); err != nil {
		t.Fatal(err)
	}
	if g, err = pass.Run(g, pass.Default()); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestExecutablesOfOneNetworkShareTheirWeights(t *testing.T) {
	data := map[string]*graph.Tensor{}
	eager := seededNetwork(t, "resnet20-cifar", 3, 16)
	eachSet(t, 2, func(t *testing.T, d *device) {
		var all []*executable
		for _, batch := range []int{1, 3, 1} {
			e, err := d.Compile(context.Background(), lazyNetwork(t, data, batch))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e.(*executable))
		}
		if n := len(all[0].packs); n != 20 || len(d.packs.held) != n {
			t.Errorf("got %d packed nodes for an executable and %d for three, want 20 and 20", n, len(d.packs.held))
		}
		for _, e := range all[1:] {
			if !slices.Equal(e.packs, all[0].packs) {
				t.Error("an executable has packed weights of its own")
			}
		}
		got := runGraph(t, d, lazyNetwork(t, data, 3), seededInput(eager))
		if want := runGraph(t, d, eager, seededInput(eager)); !slices.Equal(got[0], want[0]) {
			t.Error("shared weights give other bits than weights of one's own")
		}
		all[0].Close()
		all[0].Close()
		if len(d.packs.held) != 20 {
			t.Errorf("got %d packed nodes while two executables live, want 20", len(d.packs.held))
		}
		all[1].Close()
		all[2].Close()
		if len(d.packs.held) != 0 {
			t.Errorf("got %d packed nodes after the last Close, want 0", len(d.packs.held))
		}
	})
}

// TestWeightsThatMayChangeAreNotShared: only a source that says so has the same elements for ever.
func TestWeightsThatMayChangeAreNotShared(t *testing.T) {
	d := open(t, Options{Threads: 1})
	g := seededNetwork(t, "resnet20-cifar", 1, 8)
	e, in, out := ready(t, d, g, seededInput(g))
	if len(d.packs.held) != 0 {
		t.Errorf("got %d shared packs of tensors in memory, want 0", len(d.packs.held))
	}
	if err := e.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	before := readFloats(t, out[0])
	for _, p := range g.Params {
		clear(p.Data.Data)
	}
	if got := runGraph(t, d, g, seededInput(g))[0]; slices.Equal(got, before) {
		t.Error("weights that were changed give the result of the old ones")
	}
}

// broken fails after a number of reads.
type broken struct{ left int }

var errBroken = errors.New("the file is gone")

func (b *broken) ReadFloat32s(dst []float32) error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	clear(dst)
	return nil
}
func (b *broken) Bound() float64 { return 1 }
func (b *broken) Key() any       { return "broken" }

func TestWeightsThatCannotBeReadAreAnErrorOfCompile(t *testing.T) {
	d := open(t, Options{Threads: 1})
	for _, node := range []string{
		"input %x : float32[1,16,8,8]\nparam @w : float32[16,16,3,3]\n%y = conv2d(%x, @w) padding=1,1,1,1\noutput %y\n",
		"input %x : float32[1,16,8,8]\nparam @w : float32[16,16,1,1]\n%y = conv2d(%x, @w)\noutput %y\n",
		"input %x : float32[1,16]\nparam @w : float32[4,16]\n%y = linear(%x, @w)\noutput %y\n",
	} {
		g := parse(t, "graph g\n"+node)
		g, err := g.Bind(map[string]*graph.Tensor{"w": graph.NewLazy(g.Params[0].Type.Shape, &broken{})})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Compile(context.Background(), g)
		if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), `"w"`) {
			t.Errorf("%s: got %v, want that w cannot be read", node, err)
		}
		if len(d.packs.held) != 0 {
			t.Errorf("%s: %d packs are left", node, len(d.packs.held))
		}
	}
}
