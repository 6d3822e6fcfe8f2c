package model

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// smallOf is a member with few blocks and channels.
func smallOf(t *testing.T, member string) resnet.Config {
	t.Helper()
	c := config(t, member)
	c.Depths, c.Widths, c.Classes = [resnet.MaxStages]int{1, 1}, [resnet.MaxStages]int{32, 64}, 5
	return c
}

// stored makes tensors for the parameters of a network, under the names and with the shapes that rename gives them.
func stored(t *testing.T, c resnet.Config, rename func(name string, s graph.Shape) (string, graph.Shape)) map[string]*graph.Tensor {
	t.Helper()
	g, err := c.Build(1, 64, 64)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		name, shape := rename(p.Name, p.Type.Shape)
		if tensors[name], err = graph.FromFloat32s(shape, seeded.UniformAround(1, name, shape.Elems(), 1, 0.3)); err != nil {
			t.Fatal(err)
		}
	}
	return tensors
}

func asItIs(name string, s graph.Shape) (string, graph.Shape) { return name, s }

// TestNamesTellWhatTensorsDoNot: in config.json, in the header of a safetensors file, and at the beginning of a file's name.
func TestNamesTellWhatTensorsDoNot(t *testing.T) {
	c := smallOf(t, "resnet50")
	for _, test := range []struct {
		what, file, config string
		metadata           map[string]string
		want               resnet.AntiAlias
	}{
		{"nothing", "m.safetensors", "", nil, resnet.NoAntiAlias},
		{"timm/resnetaa50.a1h_in1k", "model.safetensors", `{"architecture":"resnetaa50"}`, nil, resnet.AverageAntiAlias},
		{"with how it was trained", "model.safetensors", `{"architecture":"resnetaa50.a1h_in1k"}`, nil, resnet.AverageAntiAlias},
		{"another architecture", "model.safetensors", `{"architecture":"resnet50"}`, nil, resnet.NoAntiAlias},
		{"an unknown architecture", "model.safetensors", `{"architecture":"resnetzz50"}`, nil, resnet.NoAntiAlias},
		{"metadata", "m.safetensors", "", map[string]string{"architecture": "resnetblur50"}, resnet.BlurAntiAlias},
		{"metadata before config.json", "m.safetensors", `{"architecture":"resnetaa50"}`, map[string]string{"architecture": "resnetblur50"}, resnet.BlurAntiAlias},
		{"the name of a file", "resnetblur50-84f4748f.safetensors", "", nil, resnet.BlurAntiAlias},
		{"a longer name", "resnetaa50_a1h-4cf422b3.safetensors", "", nil, resnet.AverageAntiAlias},
		{"a name that only begins alike", "resnetaa50x.safetensors", "", nil, resnet.NoAntiAlias},
		{"a name within", "my-resnetaa50.safetensors", "", nil, resnet.NoAntiAlias},
		{"config.json before the name of a file", "resnetblur50.safetensors", `{"architecture":"resnet50"}`, nil, resnet.NoAntiAlias},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := t.TempDir()
			if test.config != "" {
				modeltest.WriteFile(t, filepath.Join(dir, "config.json"), []byte(test.config))
			}
			m, err := Load(t.Context(), modeltest.WriteFile(t, filepath.Join(dir, test.file), modeltest.Safetensors(t, stored(t, c, asItIs), test.metadata)), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := m.Config(); got.AntiAlias != test.want {
				t.Errorf("got anti-aliasing %v (%s), want %v", got.AntiAlias, m.Architecture(), test.want)
			}
		})
	}
}

// TestNamedGroupNorms: without a name, norms that lack their statistics are an error.
func TestNamedGroupNorms(t *testing.T) {
	dir := t.TempDir()
	path := modeltest.WriteFile(t, filepath.Join(dir, "m.safetensors"), modeltest.Safetensors(t, stored(t, smallOf(t, "resnet50_gn"), asItIs), nil))
	if _, err := Load(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), "missing: bn1.running_mean") {
		t.Errorf("without a name: got %v, want bn1.running_mean among what is missing", err)
	}
	modeltest.WriteFile(t, filepath.Join(dir, "config.json"), []byte(`{"architecture":"resnet50_gn"}`))
	m, err := Load(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := m.Config(); got.NormGroups != 32 {
		t.Errorf("got %+v, want group norms", got)
	}
}

// TestKernelsOfOneDimension: a file has [1,1,k] for what is [1,1,k,1] in the network, with the same numbers.
func TestKernelsOfOneDimension(t *testing.T) {
	tensors := stored(t, smallOf(t, "ecaresnet26t"), func(name string, s graph.Shape) (string, graph.Shape) {
		if strings.HasSuffix(name, ".se.conv.weight") {
			return name, graph.NewShape(1, 1, s.Dim(2))
		}
		return name, s
	})
	m := loadTensors(t, tensors)
	got := boundParam(t, m, "layer1.0.se.conv.weight")
	if want := tensors["layer1.0.se.conv.weight"]; got.Type.Shape.Rank() != 4 || got.Float32s()[1] != want.Float32s()[1] {
		t.Errorf("got %v %v, want %v", got.Type, got.Float32s(), want.Float32s())
	}
}

// TestStandardizedWeights loads BiT with timm's names: each filter has mean 0 and variance 1, and what is no convolution stays.
func TestStandardizedWeights(t *testing.T) {
	to := strings.NewReplacer("layer1.", "stages.0.blocks.", "layer2.", "stages.1.blocks.", "fc.", "head.fc.")
	tensors := stored(t, smallOf(t, "resnetv2_50x1_bit"), func(name string, s graph.Shape) (string, graph.Shape) {
		switch {
		case name == "conv1.weight":
			return "stem.conv.weight", s
		case name == "fc.weight":
			return "head.fc.weight", graph.NewShape(s.Dim(0), s.Dim(1), 1, 1)
		}
		return to.Replace(name), s
	})
	m := loadTensors(t, tensors)
	w := boundParam(t, m, "layer2.0.conv2.weight")
	filters, all := w.Type.Shape.Dim(0), reference.Widen(w.Float32s())
	for k := range filters {
		var sum, squares float64
		filter := all[k*len(all)/filters:][:len(all)/filters]
		for _, v := range filter {
			sum += v
			squares += v * v
		}
		if n := float64(len(filter)); math.Abs(sum/n) > 1e-6 || math.Abs(squares/n-1) > 1e-5 {
			t.Errorf("filter %d: got mean %g and mean square %g, want 0 and 1", k, sum/n, squares/n)
		}
	}
	if !(w.Bound() >= 1) || math.IsInf(w.Bound(), 0) {
		t.Errorf("got bound %g", w.Bound())
	}
	if got, want := boundParam(t, m, "fc.weight"), tensors["head.fc.weight"]; got.Type.Shape != graph.NewShape(5, 256) || got.Float32s()[7] != want.Float32s()[7] {
		t.Errorf("classifier: got %v that begins %v, want %v", got.Type, got.Float32s()[:8], want.Float32s()[:8])
	}
	if p := m.Preprocess; p.Mean != [3]float32{.5, .5, .5} || p.Std != p.Mean || !strings.Contains(m.PreprocessFrom, "pre-activation") {
		t.Errorf("got %+v from %s, want mean and std 0.5", p, m.PreprocessFrom)
	}
}

func loadTensors(t *testing.T, tensors map[string]*graph.Tensor) *Model {
	t.Helper()
	m, err := Load(t.Context(), modeltest.WriteFile(t, filepath.Join(t.TempDir(), "m.safetensors"), modeltest.Safetensors(t, tensors, nil)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// boundParam is a parameter of the model's graph.
func boundParam(t *testing.T, m *Model, name string) *graph.Tensor {
	t.Helper()
	g, err := m.Graph(1)
	if err != nil {
		t.Fatal(err)
	}
	if g.Value(name) == nil || g.Value(name).Data == nil {
		t.Fatalf("%s has no parameter %s with data", m.Architecture(), name)
	}
	return g.Value(name).Data
}

// TestRandomWeightsOfEveryKind runs a small network of each kind on noise: its logits are neither all alike nor large.
func TestRandomWeightsOfEveryKind(t *testing.T) {
	for _, member := range []string{"ecaresnetlight", "resnetaa50", "resnetblur50", "resnetrs50", "resnest26d", "resnest50d_1s4x24d", "skresnet18", "skresnet50",
		"res2net50_48w_2s", "resnetv2_18d", "resnetv2_50", "resnetv2_50d_gn", "resnet50_gn", "resnetv2_50x1_bit"} {
		c := smallOf(t, member)
		c.InputSize, c.Classes = 32, 50
		tensors, err := randomWeights(t.Context(), c, 3)
		if err != nil {
			t.Errorf("%s: %v", member, err)
			continue
		}
		g, err := c.Build(2, 32, 32)
		if err == nil {
			g, err = g.Bind(tensors)
		}
		if err != nil {
			t.Fatal(err)
		}
		values, err := reference.Eval(t.Context(), g, map[string][]float64{"input": noise(9, g.Inputs[0].Type.Shape)})
		if err != nil {
			t.Fatal(err)
		}
		if s := deviation(values["fc"]); !(s > 0.1 && s < 5) {
			t.Errorf("%s: logits: got standard deviation %v, want about 1", member, s)
		}
	}
}
