package pass_test

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// FuzzPasses rewrites graphs from text: no valid graph may make a pass fail, the signature stays, a second run
// changes nothing, and without folding every value that is left is the same to the bit.
func FuzzPasses(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		before, after, _ := strings.Cut(string(data), "----\n")
		f.Add(before)
		f.Add(after)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := graph.Parse(strings.NewReader(text))
		if err != nil {
			t.Skip("not a graph")
		}
		got := run(t, g, pass.Default())
		if !reflect.DeepEqual(got.Signature(), g.Signature()) {
			t.Errorf("signature %v, want %v", got.Signature(), g.Signature())
		}
		if again := run(t, got, pass.Default()); again.Text() != got.Text() {
			t.Errorf("the second time gives\n%s\nwant\n%s", again.Text(), got.Text())
		}
		if c := g.Cost(); tooBig(g) || c.FLOPs > 1<<16 {
			return
		}
		compareFused(t, g)
	})
}

// tooBig reports whether the graph has tensors that are not small float32 ones.
func tooBig(g *graph.Graph) bool {
	for _, vs := range [][]*graph.Value{g.Inputs, g.Params} {
		for _, v := range vs {
			if v.Type.DType != graph.Float32 || v.Type.Shape.Elems() > 1<<12 {
				return true
			}
		}
	}
	for _, n := range g.Nodes {
		if n.Output.Type.Shape.Elems() > 1<<12 || n.Cost().FLOPs > 1<<16 {
			return true
		}
	}
	return false
}

func compareFused(t *testing.T, g *graph.Graph) {
	t.Helper()
	if len(g.Params) > 0 {
		g = bind(t, g)
	}
	in := map[string][]float64{}
	for _, v := range g.Inputs {
		in[v.Name] = reference.Widen(seeded.Uniform(1, v.Name, v.Type.Shape.Elems(), 1))
	}
	want := eval(t, g, in)
	for name, got := range eval(t, run(t, g, without(pass.Default(), "fold_batch_norm")), in) {
		for i, v := range got {
			if v != want[name][i] && !(math.IsNaN(v) && math.IsNaN(want[name][i])) {
				t.Fatalf("%s[%d] = %v, want %v", name, i, v, want[name][i])
			}
		}
	}
	if folded := run(t, g, pass.Default()); !folded.Bound() {
		t.Error("the passes lost parameter data")
	}
}
