package golden

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// TestOpCasesCoverEveryOpAndAwkwardGeometry guards against a regenerated file that has lost what it is for.
func TestOpCasesCoverEveryOpAndAwkwardGeometry(t *testing.T) {
	cases, err := Ops()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	mark := func(what string, ok bool) {
		if ok {
			seen[what]++
		}
	}
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.Name] {
			t.Errorf("two cases are called %s", c.Name)
		}
		names[c.Name] = true
		if err := c.Graph.Validate(); err != nil || !c.Graph.Bound() {
			t.Errorf("%s: bound %v, %v", c.Name, c.Graph.Bound(), err)
		}
		if len(c.Values()) != len(c.Want) {
			t.Errorf("%s: values %q, golden ones for %d", c.Name, c.Values(), len(c.Want))
		}
		for _, n := range c.Graph.Nodes {
			mark(n.Op.Name(), true)
			markGeometry(mark, n)
		}
	}
	want := append(graph.OpNames(), "h != w", "batch", "kernel r != s", "stride differs", "dilation differs", "groups", "depthwise", "asymmetric padding",
		"bias", "add", "act", "stride above kernel", "max ceil", "avg ceil", "avg counts padding", "pool padding differs", "norm of all channels", "norm of each channel", "norm of some channels", "branches", "branches of groups", "add to branches",
		"several inputs", "inputs twice", "slice off the start", "mirrored", "padded with zeros")
	for _, w := range want {
		if seen[w] < 5 {
			t.Errorf("%s: %d cases, want at least 5", w, seen[w])
		}
	}
	if len(cases) < 300 {
		t.Errorf("%d cases, want at least 300", len(cases))
	}
}

func markGeometry(mark func(string, bool), n *graph.Node) {
	x := n.Inputs[0].Type.Shape
	if x.Rank() == 4 {
		mark("h != w", x.Dim(2) != x.Dim(3))
		mark("batch", x.Dim(0) > 1)
	}
	lopsided := func(p graph.Padding) bool { return p.Top != p.Bottom || p.Left != p.Right }
	switch o := n.Op.(type) {
	case graph.Conv2D:
		w := n.Inputs[1].Type.Shape
		mark("kernel r != s", w.Dim(2) != w.Dim(3))
		mark("stride differs", o.Stride[0] != o.Stride[1])
		mark("dilation differs", o.Dilation[0] != o.Dilation[1] && min(w.Dim(2), w.Dim(3)) > 1)
		mark("groups", o.Groups > 1 && w.Dim(1) > 1)
		mark("depthwise", o.Groups > 1 && w.Dim(1) == 1)
		mark("asymmetric padding", lopsided(o.Padding))
		mark("bias", o.Bias)
		mark("add", o.Add)
		mark("act", o.Act == graph.ActReLU)
		mark("stride above kernel", o.Stride[0] > w.Dim(2) || o.Stride[1] > w.Dim(3))
	case graph.MaxPool:
		mark("max ceil", o.CeilMode)
		mark("pool padding differs", lopsided(o.Padding))
	case graph.AvgPool:
		mark("avg ceil", o.CeilMode)
		mark("avg counts padding", o.CountIncludePad && o.Padding != graph.Padding{})
		mark("pool padding differs", lopsided(o.Padding))
	case graph.GroupNorm:
		mark("norm of all channels", o.Groups == 1 && x.Dim(1) > 1)
		mark("norm of each channel", o.Groups == x.Dim(1) && o.Groups > 1)
		mark("norm of some channels", o.Groups > 1 && o.Groups < x.Dim(1))
	case graph.SplitAttention:
		mark("branches", o.Radix > 1 && o.Groups == 1)
		mark("branches of groups", o.Radix > 1 && o.Groups > 1)
		mark("add to branches", o.Add)
	case graph.Concat:
		mark("several inputs", len(n.Inputs) > 1)
		mark("inputs twice", n.Inputs[0] == n.Inputs[len(n.Inputs)-1] && len(n.Inputs) > 1)
	case graph.ChannelSlice:
		mark("slice off the start", o.Begin > 0)
	case graph.SpatialPad:
		mark("mirrored", o.Reflect && lopsided(o.Padding))
		mark("padded with zeros", !o.Reflect && lopsided(o.Padding))
	}
}

func TestBlockCasesHaveEveryIntermediate(t *testing.T) {
	cases, err := Blocks()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.Name)
		if len(c.Want) != len(c.Graph.Nodes) || len(c.Inputs) != 1 || len(c.Inputs64()["x"]) != len(c.Inputs[0]) {
			t.Errorf("%s: %d values for %d nodes, %d inputs", c.Name, len(c.Want), len(c.Graph.Nodes), len(c.Inputs))
		}
	}
	for _, want := range []string{"basic-plain", "basic-projection-stride2", "basic-option-a-stride2", "bottleneck-plain", "bottleneck-projection-stride2", "bottleneck-option-a-stride2"} {
		if !slices.Contains(names, want) {
			t.Errorf("no case %s among %q", want, names)
		}
	}
}

func TestNetworksAreBoundAndCalibrated(t *testing.T) {
	n := Networks()[0]
	c, err := n.Build()
	if err != nil {
		t.Fatal(err)
	}
	if n.Name != "resnet18" || !c.Graph.Bound() || len(c.Want["fc"]) != 1000 || len(c.Inputs[0]) != 3*224*224 {
		t.Errorf("%s: bound %v, %d logits, %d inputs", n.Name, c.Graph.Bound(), len(c.Want["fc"]), len(c.Inputs[0]))
	}
	squares := 0.0
	for _, v := range c.Want["fc"] {
		squares += v * v
	}
	if rms := math.Sqrt(squares / 1000); rms < 0.3 || rms > 3 {
		t.Errorf("root mean square of the logits %g, want it near 1", rms)
	}
	for _, p := range c.Graph.Params {
		if strings.HasSuffix(p.Name, "running_var") && slices.Min(p.Data.Float32s()) <= 0 {
			t.Errorf("%s: a variance is not positive", p.Name)
		}
	}
}

func TestErrorMeasures(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		got, want []float64
		max, l2   float64
	}{
		{[]float64{3, 4}, []float64{3, 4}, 0, 0},
		{[]float64{3, 5}, []float64{3, 4}, 0.25, 0.2},
		{[]float64{0, 0}, []float64{0, 0}, 0, 0},
		{[]float64{1, 0}, []float64{0, 0}, inf, inf},
		{[]float64{3}, []float64{3, 4}, inf, inf},
		{[]float64{nan, 4}, []float64{3, 4}, inf, nan},
		{[]float64{inf, 4}, []float64{3, 4}, inf, inf},
		{nil, nil, 0, 0},
	} {
		if got := MaxRelError(c.got, c.want); got != c.max {
			t.Errorf("MaxRelError(%v, %v) = %v, want %v", c.got, c.want, got, c.max)
		}
		if got := L2Error(c.got, c.want); got != c.l2 && !(math.IsNaN(got) && math.IsNaN(c.l2)) {
			t.Errorf("L2Error(%v, %v) = %v, want %v", c.got, c.want, got, c.l2)
		}
	}
}

// TestDamagedFilesAreNoticed runs the loader in a module of its own with files that do not fit together.
func TestDamagedFilesAreNoticed(t *testing.T) {
	const good = `[{"name":"a","seed":1,"leaves":{"x":[0,1]},"graph":"graph case\ninput %x : float32[2]\n%y = relu(%x)\noutput %y\n","want":{"y":[0,2]}}]`
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for _, c := range []struct {
		name, json string
		bytes      int
		want       string
	}{
		{"good", good, 16, ""},
		{"truncated values", good, 15, "multiple of 8 bytes"},
		{"too few values", good, 8, "do not fit"},
		{"values left over", good, 24, "the cases use 2 values, the file has 3"},
		{"truncated JSON", good[:50], 16, "unexpected end"},
		{"no cases", "[]", 16, "no cases"},
		{"negative offset", swap("[0,2]", "[-1,2]"), 16, "do not fit"},
		{"wrong count", swap("[0,2]", "[0,1]"), 16, "do not fit"},
		{"unknown value", swap(`{"y":`, `{"z":`), 16, "do not fit"},
		{"no value for the output", swap(`"want":{"y":[0,2]}`, `"want":{}`), 16, "no golden values"},
		{"a leaf too many", swap(`"x":[0,1]`, `"x":[0,1],"w":[0,1]`), 16, "want 1 leaves, got 2"},
		{"broken graph", swap("relu", "rule"), 16, "unknown op"},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "testdata", "golden")
		if err := os.MkdirAll(filepath.Join(root, "deep", "er"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{filepath.Join(root, "go.mod"): nil, filepath.Join(dir, "ops.json"): []byte(c.json), filepath.Join(dir, "ops.f64"): make([]byte, c.bytes)} {
			if err := os.WriteFile(name, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Chdir(filepath.Join(root, "deep", "er"))
		cases, err := Ops()
		if c.want == "" {
			if err != nil || len(cases) != 1 || cases[0].Inputs[0][0] == 0 {
				t.Errorf("%s: %v, %v", c.name, cases, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
}
