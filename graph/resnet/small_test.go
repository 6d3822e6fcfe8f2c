package resnet_test

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// smallCase is a small network with what timm or transformers compute for it; see tools/golden/resnet/small.py.
type smallCase struct {
	Name    string `json:"name"`
	Seed    uint64 `json:"seed"`
	Member  string `json:"member"` // whose kind it is; empty where a file would not tell
	Input   []int  `json:"input"`
	Tensors map[string]struct {
		Shape     []int
		Mean, Std float64
	} `json:"tensors"`
	Tolerance float64   `json:"tolerance"`
	Logits    []float64 `json:"logits"`
}

func readSmall(t *testing.T) []smallCase {
	t.Helper()
	f, err := os.Open("testdata/small.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var cases []smallCase
	if err := json.NewDecoder(z).Decode(&cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// folded is how far folded weights, which are rounded to float32, may move a logit.
const folded = 2e-6

// TestNumbersAreThoseOfTheLibraries goes all the way from the state dict of another library to its logits: names, detection, the graph,
// what parameters are made of, and what the passes make of it.
func TestNumbersAreThoseOfTheLibraries(t *testing.T) {
	cases := readSmall(t)
	if len(cases) < 28 {
		t.Fatalf("got %d cases, want at least 28", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			shapes := map[string]graph.Shape{}
			for name, s := range c.Tensors {
				shapes[name] = graph.NewShape(s.Shape...)
			}
			names, err := weights.Canonical(shapes)
			if err != nil {
				t.Fatal(err)
			}
			config, err := resnet.Detect(names.Shapes, resnet.DetectOptions{Member: c.Member})
			if err != nil {
				t.Fatal(err)
			}
			g, err := config.Build(c.Input[0], c.Input[2], c.Input[3])
			if err != nil {
				t.Fatal(err)
			}
			tensors := map[string]*graph.Tensor{}
			for name, inFile := range names.ToFile {
				s := c.Tensors[inFile]
				data := seeded.UniformAround(c.Seed, c.Name+"/"+inFile, names.Shapes[name].Elems(), s.Mean, s.Std)
				stored, err := graph.FromFloat32s(names.Shapes[name], data)
				if err == nil {
					tensors[name], err = config.Parameter(name, stored)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if g, err = g.Bind(tensors); err != nil {
				t.Fatal(err)
			}
			in := map[string][]float64{"input": reference.Widen(seeded.Uniform(c.Seed, c.Name+"/input", g.Inputs[0].Type.Shape.Elems(), 1))}
			got, err := reference.Eval(t.Context(), g, in)
			if err != nil {
				t.Fatal(err)
			}
			checkLogits(t, got["fc"], c.Logits, c.Tolerance)
			fused, err := pass.Run(g, pass.Default())
			if err != nil {
				t.Fatal(err)
			}
			if got, err = reference.Eval(t.Context(), fused, in); err != nil {
				t.Fatal(err)
			}
			checkLogits(t, got["fc"], c.Logits, c.Tolerance+folded)
		})
	}
}

// checkLogits holds each difference against the largest logit.
func checkLogits(t *testing.T, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d logits, want %d", len(got), len(want))
	}
	largest, worst := 0.0, 0.0
	for i, w := range want {
		largest, worst = max(largest, math.Abs(w)), max(worst, math.Abs(got[i]-w))
	}
	if e := worst / largest; !(e <= tolerance) {
		t.Errorf("relative error of the logits %.3g, want at most %g: got %v, want %v", e, tolerance, got, want)
	}
}
