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
		{"timm with pre-activation", []string{"stem.conv.weight", "stages.0.blocks.0.norm1.weight", "stages.3.blocks.10.conv3.weight", "stages.0.blocks.0.downsample.conv.weight", "norm.bias", "head.fc.weight", "stages.0.blocks.0.norm1.v.x"}, SchemeTimm,
			map[string]string{"conv1.weight": "stem.conv.weight", "layer1.0.norm1.weight": "stages.0.blocks.0.norm1.weight", "layer4.10.conv3.weight": "stages.3.blocks.10.conv3.weight",
				"layer1.0.downsample.conv.weight": "stages.0.blocks.0.downsample.conv.weight", "norm.bias": "norm.bias", "fc.weight": "head.fc.weight", "stages.0.blocks.0.norm1.v.x": "stages.0.blocks.0.norm1.v.x"}},
		{"timm with pre-activation and a deep stem", []string{"stem.conv1.weight", "stem.norm1.running_mean", "stem.conv2.weight", "stem.norm2.bias", "stem.conv3.weight", "stem.norm3.bias", "head.fc.bias"}, SchemeTimm,
			map[string]string{"conv1.0.weight": "stem.conv1.weight", "conv1.1.running_mean": "stem.norm1.running_mean", "conv1.3.weight": "stem.conv2.weight", "conv1.4.bias": "stem.norm2.bias",
				"conv1.6.weight": "stem.conv3.weight", "stem.norm3.bias": "stem.norm3.bias", "fc.bias": "head.fc.bias"}},
		{"BiT of transformers", []string{"bit.embedder.convolution.weight", "bit.encoder.stages.1.layers.0.norm3.bias", "bit.encoder.stages.0.layers.2.conv1.weight", "bit.encoder.stages.0.layers.0.downsample.conv.weight", "bit.norm.weight", "classifier.1.bias"}, SchemeHuggingFace,
			map[string]string{"conv1.weight": "bit.embedder.convolution.weight", "layer2.0.norm3.bias": "bit.encoder.stages.1.layers.0.norm3.bias", "layer1.2.conv1.weight": "bit.encoder.stages.0.layers.2.conv1.weight",
				"layer1.0.downsample.conv.weight": "bit.encoder.stages.0.layers.0.downsample.conv.weight", "norm.weight": "bit.norm.weight", "fc.bias": "classifier.1.bias"}},
		{"BitModel", []string{"embedder.convolution.weight", "encoder.stages.1.layers.0.norm3.bias", "norm.bias"}, SchemeHuggingFace,
			map[string]string{"conv1.weight": "embedder.convolution.weight", "layer2.0.norm3.bias": "encoder.stages.1.layers.0.norm3.bias", "norm.bias": "norm.bias"}},
		{"other cores of timm", []string{"conv1.weight", "layer1.0.conv2.paths.0.conv.weight"}, SchemeTimm,
			map[string]string{"conv1.weight": "conv1.weight", "layer1.0.conv2.paths.0.conv.weight": "layer1.0.conv2.paths.0.conv.weight"}},
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

func TestCanonicalShapes(t *testing.T) {
	in := map[string]graph.Shape{"module.conv1.weight": graph.NewShape(8, 3, 7, 7), "module.fc.weight": graph.NewShape(5, 8, 1, 1), "module.fc.bias": graph.NewShape(5),
		"module.layer1.0.se.conv.weight": graph.NewShape(1, 1, 3), "module.layer1.0.bn1.num_batches_tracked": graph.NewShape()}
	want := map[string]graph.Shape{"conv1.weight": graph.NewShape(8, 3, 7, 7), "fc.weight": graph.NewShape(5, 8), "fc.bias": graph.NewShape(5), "layer1.0.se.conv.weight": graph.NewShape(1, 1, 3, 1)}
	got, err := Canonical(in)
	if err != nil || !maps.Equal(got.Shapes, want) {
		t.Errorf("got %v, %v, want %v", got.Shapes, err, want)
	}
	in["module.fc.weight"] = graph.NewShape(5, 8, 2, 1)
	if got, err := Canonical(in); err != nil || got.Shapes["fc.weight"].Rank() != 4 {
		t.Errorf("a classifier that is no 1×1 convolution: got %v, %v", got.Shapes["fc.weight"], err)
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
		{"TResNet", []string{"body.conv1.0.weight", "body.layer1.0.conv1.0.weight", "head.fc.weight"}, `want the names of a ResNet (torchvision, timm, Hugging Face, cifar), got "body.conv1.0.weight"`},
		{"BiT of both libraries", []string{"bit.embedder.convolution.weight", "stages.0.blocks.0.norm1.weight"}, "several schemes: huggingface"},
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
