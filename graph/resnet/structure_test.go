package resnet

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// structureCase is what PyTorch says about one network; see tools/golden/resnet/structure.py.
type structureCase struct {
	Member  string           `json:"member"`
	Input   []int            `json:"input"`
	Classes int              `json:"classes"`
	MACs    int64            `json:"macs"`
	Params  map[string][]int `json:"params"` // absent for a member's later cases
	Outputs map[string][]int `json:"outputs"`
}

func readStructure(t *testing.T) []structureCase {
	t.Helper()
	f, err := os.Open("testdata/structure.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Cases []structureCase }
	if err := json.NewDecoder(z).Decode(&golden); err != nil {
		t.Fatal(err)
	}
	return golden.Cases
}

func TestGraphsAreThoseOfPyTorch(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range readStructure(t) {
		t.Run(fmt.Sprintf("%s/%v/%d", c.Member, c.Input, c.Classes), func(t *testing.T) {
			cfg := mustLookup(t, c.Member)
			cfg.InChannels, cfg.Classes = c.Input[1], c.Classes
			g, err := cfg.Build(c.Input[0], c.Input[2], c.Input[3])
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Validate(); err != nil {
				t.Fatal(err)
			}
			checkOutputs(t, g, c.Outputs)
			if got := g.Cost().MACs; got != c.MACs {
				t.Errorf("got %d MACs, want %d", got, c.MACs)
			}
			if c.Params != nil {
				seen[c.Member] = true
				checkParams(t, g, c.Params)
			}
		})
	}
	for _, name := range Names() {
		if !seen[name] {
			t.Errorf("there is no golden case for %s", name)
		}
	}
}

// checkParams holds the parameters against a state dict, by the names that package weights gives it.
func checkParams(t *testing.T, g *graph.Graph, want map[string][]int) {
	t.Helper()
	inFile := map[string]graph.Shape{}
	for name, dims := range want {
		inFile[name] = graph.NewShape(dims...)
	}
	names, err := weights.Canonical(inFile)
	if err != nil {
		t.Fatal(err)
	}
	shapes := names.Shapes
	got := map[string]graph.Shape{}
	for _, p := range g.Params {
		got[p.Name] = p.Type.Shape
	}
	if !maps.Equal(got, shapes) {
		for n, s := range shapes {
			if got[n] != s {
				t.Errorf("parameter %s: got %v, want %v", n, got[n], s)
			}
		}
		t.Errorf("got %d parameters, want %d", len(got), len(shapes))
	}
}

// checkOutputs holds the nodes against the modules of the same name, both ways.
func checkOutputs(t *testing.T, g *graph.Graph, want map[string][]int) {
	t.Helper()
	found := 0
	for _, n := range g.Nodes {
		switch n.Op.(type) {
		case graph.Conv2D, graph.BatchNorm, graph.GroupNorm, graph.MaxPool, graph.AvgPool, graph.GlobalAvgPool, graph.Linear:
		default:
			continue
		}
		if strings.HasSuffix(n.Name, ".mean") { // no module in PyTorch
			continue
		}
		found++
		if dims, ok := want[n.Name]; !ok {
			t.Errorf("node %s: PyTorch has no such module", n.Name)
		} else if w := graph.NewShape(dims...); n.Output.Type.Shape != w {
			t.Errorf("node %s: got %v, want %v", n.Name, n.Output.Type.Shape, w)
		}
	}
	if found != len(want) {
		t.Errorf("got %d layers, want %d", found, len(want))
	}
}
