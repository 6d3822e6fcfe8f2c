package golden

import (
	"archive/zip"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// ONNX returns the backend tests of the onnx package that our graphs can say, from testdata/golden/onnx.zip; which, and why
// the others are not there, is in docs/conformance/oracles.md. Want has the float32 results that onnx gives, widened.
// Signals of one dimension are pictures of one row, and vectors are pictures of one pixel.
func ONNX() ([]Case, error) {
	folders, names, err := readArchive()
	if err != nil {
		return nil, fmt.Errorf("load ONNX tests: %w", err)
	}
	var cases []Case
	for _, name := range names {
		files := folders[name]
		if strings.HasPrefix(name, "light/") {
			continue // without inputs
		}
		c, err := onnxCase(name, files)
		if err != nil {
			return nil, fmt.Errorf("load ONNX test %s: %w", name, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// LightResNet50 returns onnx's light_resnet50 as it is, all weights 0.02, with the result that onnx has for the input 0,
// 1/n, 2/n, ... of n elements; and the same graph with other parameters, which fill makes by the name, shape and role
// ("conv", "weight", "bias", "mean", "variance", "matrix") of each, and other inputs, without a result.
func LightResNet50(fill func(name, role string, shape graph.Shape) []float32, input []float32) (light, other Case, err error) {
	folders, _, err := readArchive()
	if err != nil {
		return light, other, fmt.Errorf("load light_resnet50: %w", err)
	}
	files := folders["light/light_resnet50"]
	ramp := make([]float32, 3*224*224)
	for i := range ramp {
		ramp[i] = float32(float64(i) / float64(len(ramp)))
	}
	for _, x := range []struct {
		to    *Case
		input []float32
		fill  func(name, role string, shape graph.Shape) []float32
	}{{&light, ramp, nil}, {&other, input, fill}} {
		t := &onnxGraph{fill: x.fill, given: []onnxTensor{{dims: []int{1, 3, 224, 224}, f32: x.input}}}
		if *x.to, err = t.build("light_resnet50", files["model.onnx"]); err != nil {
			return light, other, fmt.Errorf("load light_resnet50: %w", err)
		}
	}
	out, err := readTensor(files["output_0.pb"])
	if err != nil {
		return light, other, fmt.Errorf("load light_resnet50: output: %w", err)
	}
	light.Want[light.Graph.Outputs[0].Name] = widen(out.f32)
	return light, other, nil
}

// LightResNet50Want returns the logits and the probabilities that onnx's reference has for light_resnet50 with the weights and the
// input of tools/golden/onnx/light.py.
func LightResNet50Want() ([2][]float64, error) {
	dir, err := Dir()
	if err != nil {
		return [2][]float64{}, err
	}
	all, err := readFloat64s(filepath.Join(dir, "light_resnet50.f64"))
	if err == nil && len(all) != 2000 {
		err = fmt.Errorf("load light_resnet50.f64: want 2000 numbers, got %d", len(all))
	}
	if err != nil {
		return [2][]float64{}, err
	}
	return [2][]float64{all[:1000], all[1000:]}, nil
}

// readArchive returns the files of onnx.zip by folder, and the folders sorted.
func readArchive() (map[string]map[string][]byte, []string, error) {
	dir, err := Dir()
	if err != nil {
		return nil, nil, err
	}
	archive, err := zip.OpenReader(filepath.Join(dir, "onnx.zip"))
	if err != nil {
		return nil, nil, err
	}
	defer archive.Close()
	folders := map[string]map[string][]byte{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			return nil, nil, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		dir, file := path.Split(f.Name)
		dir = strings.TrimSuffix(dir, "/")
		if folders[dir] == nil {
			folders[dir] = map[string][]byte{}
		}
		folders[dir][file] = data
	}
	var names []string
	for name := range folders {
		names = append(names, name)
	}
	slices.Sort(names)
	return folders, names, nil
}

func onnxCase(name string, files map[string][]byte) (Case, error) {
	t := &onnxGraph{}
	for i := 0; files[fmt.Sprintf("input_%d.pb", i)] != nil; i++ {
		in, err := readTensor(files[fmt.Sprintf("input_%d.pb", i)])
		if err != nil {
			return Case{}, fmt.Errorf("input %d: %w", i, err)
		}
		t.given = append(t.given, in)
	}
	c, err := t.build(name, files["model.onnx"])
	if err != nil {
		return c, err
	}
	out, err := readTensor(files["output_0.pb"])
	if err != nil {
		return c, fmt.Errorf("output: %w", err)
	}
	if y := c.Graph.Outputs[0]; len(out.f32) != y.Type.Shape.Elems() {
		return c, fmt.Errorf("output: want %d elements for %v, got %v", y.Type.Shape.Elems(), y.Type, out.dims)
	}
	c.Want[c.Graph.Outputs[0].Name] = widen(out.f32)
	return c, nil
}

// onnxGraph makes a graph of ours from a model.
type onnxGraph struct {
	given     []onnxTensor // what the test gives for the model's inputs
	fill      func(name, role string, shape graph.Shape) []float32
	constants map[string]onnxTensor
	values    map[string]*graph.Value
	b         *graph.Builder
	c         Case
}

func (t *onnxGraph) build(name string, data []byte) (Case, error) {
	m, err := readModel(data)
	if err != nil {
		return t.c, fmt.Errorf("model: %w", err)
	}
	if len(m.inputs) != len(t.given) || len(m.outputs) == 0 {
		return t.c, fmt.Errorf("model: %d inputs and %d outputs, the test gives %d inputs", len(m.inputs), len(m.outputs), len(t.given))
	}
	t.constants, t.values = m.tensors, map[string]*graph.Value{}
	t.b, t.c = graph.NewBuilder("onnx"), Case{Name: name, Want: map[string][]float64{}}
	for i, name := range m.inputs { // an operator takes what it needs as values; the rest are parameters
		t.constants[name] = t.given[i]
	}
	for _, n := range m.nodes {
		if err := t.node(n); err != nil {
			return t.c, fmt.Errorf("node of %s: %w", n.op, err)
		}
	}
	out := t.values[m.outputs[0]]
	if out == nil {
		return t.c, fmt.Errorf("no value %q", m.outputs[0])
	}
	t.b.Output(out)
	t.c.Graph, err = t.b.Build()
	return t.c, err
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_.]`)

func legal(name string) string { return "v" + notInNames.ReplaceAllString(name, ".") }

// value is an operand of a node that is no parameter: the result of another node, or an input of the graph.
func (t *onnxGraph) value(name string, pictures bool) (*graph.Value, error) {
	if v := t.values[name]; v != nil {
		return v, nil
	}
	x, ok := t.constants[name]
	if !ok || len(x.f32) == 0 {
		return nil, fmt.Errorf("no value %q of float32", name)
	}
	dims := x.dims
	if pictures && len(dims) == 3 {
		dims = []int{dims[0], dims[1], 1, dims[2]}
	}
	v := t.b.Input(legal(name), graph.F32(dims...))
	t.values[name] = v
	t.c.Inputs = append(t.c.Inputs, x.f32)
	return v, nil
}

// param adds a parameter of that shape.
func (t *onnxGraph) param(name, role string, data []float32, dims ...int) (*graph.Value, error) {
	s := graph.NewShape(dims...)
	if t.fill != nil {
		data = t.fill(name, role, s)
	}
	x, err := graph.FromFloat32s(s, data)
	if err != nil {
		return nil, fmt.Errorf("parameter %q: %w", name, err)
	}
	return t.b.Param(legal(name)+".param", x.Type, x), nil
}

// transposed is a matrix of those rows and columns with its axes exchanged.
func transposed(m []float32, rows, columns int) []float32 {
	out := make([]float32, len(m))
	for i, v := range m {
		out[i%columns*rows+i/columns] = v
	}
	return out
}

func scaled(m []float32, by float32) []float32 {
	out := make([]float32, len(m))
	for i, v := range m {
		out[i] = v * by
	}
	return out
}

func widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}
