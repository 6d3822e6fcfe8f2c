package weights

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// Names of models of torchvision, timm and transformers, with the translation proved by their logits.
func TestCanonicalAgainstLibraries(t *testing.T) {
	var cases []struct {
		Case      string            `json:"case"`
		Scheme    Scheme            `json:"scheme"`
		Prefix    string            `json:"prefix"`
		Shapes    map[string][]int  `json:"shapes"`
		Canonical map[string]string `json:"canonical"`
	}
	readJSON(t, "names.json", &cases)
	if len(cases) < 8 {
		t.Fatalf("names.json: want at least 8 cases, got %d", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			shapes, ignored := map[string]graph.Shape{}, []string{}
			for n, d := range c.Shapes {
				shapes[n] = graph.NewShape(d...)
				if strings.HasSuffix(n, "num_batches_tracked") {
					ignored = append(ignored, n)
				}
			}
			slices.Sort(ignored)
			got, err := Canonical(shapes)
			if err != nil {
				t.Fatal(err)
			}
			if got.Scheme != c.Scheme || got.Prefix != c.Prefix {
				t.Errorf("got scheme %s with prefix %q, want %s with %q", got.Scheme, got.Prefix, c.Scheme, c.Prefix)
			}
			if !maps.Equal(got.ToFile, c.Canonical) {
				t.Errorf("names: got %v, want %v", got.ToFile, c.Canonical)
			}
			if len(ignored) == 0 || !slices.Equal(got.Ignored, ignored) {
				t.Errorf("ignored: got %v, want %v", got.Ignored, ignored)
			}
		})
	}
}

func canonical(names ...string) (Names, error) {
	shapes := map[string]graph.Shape{}
	for _, n := range names {
		shapes[n] = graph.NewShape(1)
	}
	return Canonical(shapes)
}

func TestCanonicalTranslates(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     []string
		scheme Scheme
		want   map[string]string
	}{
		{"kuangliu", []string{"conv1.weight", "bn1.bias", "layer2.0.shortcut.0.weight", "layer2.0.shortcut.1.running_var", "layer4.1.conv2.weight", "linear.weight", "linear.bias"}, SchemeCIFAR,
			map[string]string{"conv1.weight": "conv1.weight", "bn1.bias": "bn1.bias", "layer2.0.downsample.0.weight": "layer2.0.shortcut.0.weight",
				"layer2.0.downsample.1.running_var": "layer2.0.shortcut.1.running_var", "layer4.1.conv2.weight": "layer4.1.conv2.weight", "fc.weight": "linear.weight", "fc.bias": "linear.bias"}},
		{"shortcut with fc", []string{"conv1.weight", "layer2.0.shortcut.0.weight", "fc.weight"}, SchemeCIFAR,
			map[string]string{"conv1.weight": "conv1.weight", "layer2.0.downsample.0.weight": "layer2.0.shortcut.0.weight", "fc.weight": "fc.weight"}},
		{"prefixes in a row", []string{"module.model.conv1.weight", "module.model.fc.bias"}, SchemeTorchvision,
			map[string]string{"conv1.weight": "module.model.conv1.weight", "fc.bias": "module.model.fc.bias"}},
		{"compiled model", []string{"_orig_mod.conv1.weight", "_orig_mod.linear.bias"}, SchemeCIFAR,
			map[string]string{"conv1.weight": "_orig_mod.conv1.weight", "fc.bias": "_orig_mod.linear.bias"}},
		{"a prefix that not all share stays", []string{"conv1.weight", "model.fc.bias", "layer1.0.conv1.weight"}, SchemeTorchvision,
			map[string]string{"conv1.weight": "conv1.weight", "model.fc.bias": "model.fc.bias", "layer1.0.conv1.weight": "layer1.0.conv1.weight"}},
		{"unknown names stay", []string{"conv1.weight", "fc.bias", "extra.thing"}, SchemeTorchvision,
			map[string]string{"conv1.weight": "conv1.weight", "fc.bias": "fc.bias", "extra.thing": "extra.thing"}},
		{"unknown Hugging Face names stay", []string{"resnet.embedder.embedder.convolution.weight", "resnet.encoder.stages.1.layers.10.layer.2.normalization.running_mean", "resnet.other"}, SchemeHuggingFace,
			map[string]string{"conv1.weight": "resnet.embedder.embedder.convolution.weight",
				"layer2.10.bn3.running_mean": "resnet.encoder.stages.1.layers.10.layer.2.normalization.running_mean", "resnet.other": "resnet.other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := canonical(c.in...)
			if err != nil {
				t.Fatal(err)
			}
			if got.Scheme != c.scheme || !maps.Equal(got.ToFile, c.want) {
				t.Errorf("got %s %v, want %s %v", got.Scheme, got.ToFile, c.scheme, c.want)
			}
		})
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want string
	}{
		{"nothing", nil, "no tensors"},
		{"only counters", []string{"bn1.num_batches_tracked"}, "want the names of a ResNet"},
		{"another network", []string{"features.0.weight", "classifier.1.weight", "a", "b", "c", "d"}, `got "a", "b", "c", "classifier.1.weight", "d" and 1 more`},
		{"two heads", []string{"conv1.weight", "linear.weight", "fc.weight"}, `several schemes: cifar ("linear.weight"), torchvision ("fc.weight")`},
		{"two shortcuts", []string{"layer2.0.shortcut.0.weight", "layer2.0.downsample.0.weight"}, "several schemes"},
		{"Hugging Face and torchvision", []string{"resnet.embedder.embedder.convolution.weight", "conv1.weight"}, "several schemes: huggingface"},
		{"two names for one tensor", []string{"resnet.embedder.embedder.convolution.weight", "embedder.embedder.convolution.weight"},
			`"embedder.embedder.convolution.weight" and "resnet.embedder.embedder.convolution.weight" are both "conv1.weight"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := canonical(c.in...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %s", err, c.want)
			}
		})
	}
}
