package head_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/head"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// TestClassMapsAreThoseOfGradCAM: a map is the Grad-CAM map that PyTorch's gradients give, times the number of places, plus the bias.
func TestClassMapsAreThoseOfGradCAM(t *testing.T) {
	cases, err := golden.Heads()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			g, err := head.ClassMaps(c.Graph)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Validate(); err != nil {
				t.Fatal(err)
			}
			logits, maps := g.Outputs[0], g.Outputs[1]
			got, err := reference.Eval(t.Context(), g, c.Inputs64(), logits.Name, maps.Name)
			if err != nil {
				t.Fatal(err)
			}
			if e := golden.MaxRelError(got[logits.Name], c.Want["fc"]); e > 1e-12 {
				t.Errorf("logits: relative error %g", e)
			}
			n, k, h, w := maps.Type.Shape.NCHW()
			bias := make([]float32, k)
			if v := g.Value("fc.bias"); v != nil {
				bias = v.Data.Float32s()
			}
			want := make([]float64, n*k*h*w)
			for i := range want {
				want[i] = c.Extra["gradcam"][i]*float64(h*w) + float64(bias[i/(h*w)%k])
			}
			if e := golden.MaxRelError(got[maps.Name], want); e > 1e-12 {
				t.Errorf("maps: relative error %g", e)
			}
			means := make([]float64, n*k)
			for i, v := range got[maps.Name] {
				means[i/(h*w)] += v / float64(h*w)
			}
			if e := golden.MaxRelError(means, c.Want["fc"]); e > 1e-12 {
				t.Errorf("means of the maps: relative error %g of the logits", e)
			}
		})
	}
}

func TestEmbeddingIsWhatTheLinearLayerReads(t *testing.T) {
	cases, err := golden.Heads()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		g, err := head.Embedding(c.Graph)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = pass.Run(g, pass.Default()); err != nil { // drops the linear layer
			t.Fatal(err)
		}
		if g.Value("fc") != nil || g.Value("fc.weight") != nil || len(g.Outputs) != 1 {
			t.Errorf("%s: the linear layer is still there:\n%v", c.Name, g)
		}
		name := g.Outputs[0].Name
		got, err := reference.Eval(t.Context(), g, c.Inputs64(), name)
		if err != nil {
			t.Fatal(err)
		}
		if e := golden.MaxRelError(got[name], c.Want["flatten"]); e > 1e-12 {
			t.Errorf("%s: relative error %g", c.Name, e)
		}
	}
}

// TestEveryMemberHasAHead: of each member of the family, without weights, and the extents are those of its last features.
func TestEveryMemberHasAHead(t *testing.T) {
	for _, name := range resnet.Names() {
		c, err := resnet.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		g, err := c.Build(2, c.InputSize, c.InputSize)
		if err != nil {
			t.Fatal(err)
		}
		maps, err := head.ClassMaps(g)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		side := (c.InputSize + 31) / 32
		if c.Stem == resnet.CIFARStem {
			side = g.Value("avgpool").Node.Inputs[0].Type.Shape.Dim(2)
		}
		if got, want := maps.Outputs[1].Type.Shape, graph.NewShape(2, c.Classes, side, side); got != want || maps.Outputs[0].Type != g.Outputs[0].Type {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if e, err := head.Embedding(g); err != nil || e.Outputs[0].Type.Shape.Rank() != 2 {
			t.Errorf("%s: embedding %v, %v", name, e, err)
		}
	}
}

func TestOtherEndsAreRefused(t *testing.T) {
	const start = "graph g\ninput %x : float32[1,4,6,6]\nparam @w : float32[3,4]\nparam @v : float32[3,144]\n"
	for _, c := range []struct{ name, rest, maps, embedding string }{
		{"no linear layer", "%y = global_avg_pool(%x)\noutput %y\n", `want a linear layer as the last, got global_avg_pool "y"`, `got global_avg_pool "y"`},
		{"the input", "output %x\n", "want a linear layer as the last, got an input", "got an input"},
		{"a softmax", "%m = global_avg_pool(%x)\n%f = flatten(%m)\n%y = linear(%f, @w)\n%s = softmax(%y)\noutput %s\n", `got softmax "s"`, `got softmax "s"`},
		{"no mean", "%f = flatten(%x)\n%y = linear(%f, @v)\noutput %y\n", `want the mean over all places before the linear layer "y", got input "x"`, ""},
		{"a maximum", "%m = max_pool(%x) kernel=6,6 stride=1,1\n%f = flatten(%m)\n%y = linear(%f, @w)\noutput %y\n", `got max_pool "m"`, ""},
		{"a mean of a part", "%m = avg_pool(%x) kernel=1,6 stride=6,1\n%f = flatten(%m)\n%y = linear(%f, @w)\noutput %y\n", `got avg_pool "m"`, ""},
		{"a window as large as the picture", "%m = avg_pool(%x) kernel=6,6 stride=1,1\n%f = flatten(%m)\n%y = linear(%f, @w)\noutput %y\n", "", ""},
	} {
		g, err := graph.Parse(strings.NewReader(start + c.rest))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for what, f := range map[string]struct {
			do   func(*graph.Graph) (*graph.Graph, error)
			want string
		}{"maps": {head.ClassMaps, c.maps}, "embedding": {head.Embedding, c.embedding}} {
			_, err := f.do(g)
			if f.want == "" && err != nil || f.want != "" && (!errors.Is(err, head.ErrOther) || !strings.Contains(err.Error(), f.want)) {
				t.Errorf("%s: %s: got %v, want %q", c.name, what, err, f.want)
			}
		}
	}
}

// TestNamesThatAreTaken: the network may have values of the names that the maps would get.
func TestNamesThatAreTaken(t *testing.T) {
	long := strings.Repeat("n", 256)
	text := fmt.Sprintf("graph g\ninput %%y.maps : float32[1,4,2,2]\nparam @%s : float32[3,4]\nparam @w.maps : float32[3]\n%%m = global_avg_pool(%%y.maps)\n%%f = flatten(%%m)\n%%y = linear(%%f, @%s, @w.maps) bias=true\noutput %%y\n", long, long)
	g, err := graph.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	maps, err := head.ClassMaps(g)
	if err != nil {
		t.Fatal(err)
	}
	if got := maps.Outputs[1].Name; got != "y.maps2" {
		t.Errorf("got %q", got)
	}
}
