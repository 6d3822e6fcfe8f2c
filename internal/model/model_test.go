package model

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

func TestLoadFile(t *testing.T) {
	path := modeltest.WriteModel(t, t.TempDir())
	m, err := Load(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Side != 8 || strings.Join(m.Labels, " ") != "red green blue" || !m.HasWeights() {
		t.Errorf("got side %d, labels %q, weights %t", m.Side, m.Labels, m.HasWeights())
	}
	want := modeltest.Config()
	got, _ := m.Config()
	if want.Name, want.InputSize = got.Name, got.InputSize; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	g, err := m.Graph(2)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Bound() || g.Inputs[0].Type != graph.F32(2, 3, 8, 8) || g.Outputs[0].Type != graph.F32(2, 3) {
		t.Errorf("got bound %t, input %v, output %v", g.Bound(), g.Inputs[0].Type, g.Outputs[0].Type)
	}
}

func TestLoadErrorsTellWhatToPass(t *testing.T) {
	dir := t.TempDir()
	colour := modeltest.WriteModel(t, dir)
	bad := modeltest.WriteFile(t, filepath.Join(dir, "bad.pth"), []byte("nonsense that is no weights file"))
	tensors := modeltest.Tensors(t)
	delete(tensors, "layer1.0.conv2.weight")
	cut := modeltest.WriteFile(t, filepath.Join(dir, "cut.safetensors"), modeltest.Safetensors(t, tensors, nil))
	for _, test := range []struct {
		name, ref string
		opts      Options
		want      []string
	}{
		{"unknown", "resnet5", Options{}, []string{"resnet50", "'resnet-run models'"}},
		{"no such file", filepath.Join(dir, "none.pth"), Options{}, []string{"no file of that name"}},
		{"folder", dir, Options{}, []string{"folder"}},
		{"not weights", bad, Options{}, []string{"bad.pth"}},
		{"tensor missing", cut, Options{}, []string{"cut.safetensors", "layer1.0.conv2.weight"}},
		{"architecture alone", "resnet18", Options{}, []string{"--weights FILE", "random:1"}},
		{"bad seed", "resnet18", Options{Weights: "random:x"}, []string{"whole number"}},
		{"bad seed without weights made", "resnet18", Options{Weights: "random:x", StructureOnly: true}, []string{"whole number"}},
		{"state dict of an architecture", "resnet18", Options{StateDict: "ema", StructureOnly: true}, []string{"--state-dict"}},
		{"state dict of a bundled model", DefaultName, Options{StateDict: "ema"}, []string{"--state-dict", "ema"}},
		{"shortcut of an architecture", "resnet18", Options{Detect: resnet.DetectOptions{Shortcut: resnet.ZeroPad}, StructureOnly: true}, []string{"--shortcut zero-pad"}},
		{"stride of random weights", "resnet18", Options{Weights: "random:1", Detect: resnet.DetectOptions{StrideOn1x1: true}}, []string{"got --stride-on-1x1"}},
		{"weights with a file", colour, Options{Weights: colour}, []string{"--weights goes with"}},
		{"other architecture's weights", "resnet18", Options{Weights: colour}, []string{"those of resnet-basic-1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(t.Context(), test.ref, test.opts)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q, want %q in it", err, w)
				}
			}
		})
	}
	if _, err := Load(t.Context(), "resnet5", Options{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

// The published counts: parameters, and multiply-accumulates for one picture of the input size in units of 10^9.
func TestListHasPublishedCounts(t *testing.T) {
	want := map[string]struct {
		params int64
		gmacs  float64
	}{
		"resnet18": {11689512, 1.814}, "resnet50": {25557032, 4.089}, "resnext101_64x4d": {83455272, 15.460},
		"wide_resnet50_2": {68883240, 11.398}, "resnet20-cifar": {269722, 0.041}, "resnet18-cifar": {11173962, 0.555},
	}
	list, err := List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		w, ok := want[s.Name]
		if !ok {
			continue
		}
		delete(want, s.Name)
		if s.Params != w.params || math.Abs(float64(s.MACs)/1e9-w.gmacs) > 0.0005 {
			t.Errorf("%s: got %d parameters and %d MACs, want %d and %v·10^9", s.Name, s.Params, s.MACs, w.params, w.gmacs)
		}
	}
	if len(want) > 0 {
		t.Errorf("not listed: %v", want)
	}
}

// TestRandomWeightsAreCalibrated runs networks on a photograph, which the calibration did not see, and looks at the
// results of the stem, of every block, of the shortcuts' batch norms and of the whole.
func TestRandomWeightsAreCalibrated(t *testing.T) {
	if testing.Short() || modeltest.Race {
		t.Skip("runs large networks on the reference")
	}
	for _, name := range []string{"resnet18", "resnet110-cifar"} {
		t.Run(name, func(t *testing.T) {
			m, err := Load(t.Context(), name, Options{Weights: "random:7"})
			if err != nil {
				t.Fatal(err)
			}
			g, err := m.Graph(1)
			if err != nil {
				t.Fatal(err)
			}
			values, err := reference.Eval(t.Context(), g, map[string][]float64{"input": photo(t, m)})
			if err != nil {
				t.Fatal(err)
			}
			checked := 0
			for _, n := range g.Nodes {
				_, isNorm := n.Op.(graph.BatchNorm)
				_, isAdd := n.Op.(graph.Add)
				if !isAdd && (!isNorm || strings.Contains(n.Name, ".bn")) {
					continue
				}
				checked++
				if s := deviation(values[n.Name]); !(s > 0.4 && s < 2.5) {
					t.Errorf("%s: got standard deviation %v, want about 1", n.Name, s)
				}
			}
			if checked < 12 {
				t.Errorf("looked at %d layers, want the stem, 8 blocks and 3 shortcuts at least", checked)
			}
			if s := deviation(values["fc"]); !(s > 0.25 && s < 4) {
				t.Errorf("logits: got standard deviation %v, want about 1", s)
			}
		})
	}
}

func photo(t *testing.T, m *Model) []float64 {
	t.Helper()
	f, err := os.Open("../../photos/moose.jpg")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read from
	img, err := imaging.Decode(f, f.Name(), imaging.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 3*m.Side*m.Side)
	if err := m.Preprocess.Apply(img, x); err != nil {
		t.Fatal(err)
	}
	return reference.Widen(x)
}

// TestNoiseIsSmooth compares neighbouring pixels: in white noise they would have nothing in common.
func TestNoiseIsSmooth(t *testing.T) {
	const h, w = 40, 56
	x := noise(3, graph.NewShape(2, 3, h, w))
	if s := deviation(x); math.Abs(s-1) > 1e-9 {
		t.Errorf("got standard deviation %v, want 1", s)
	}
	var right, below, channel float64
	for y := range h - 1 {
		for c := range w - 1 {
			v := x[y*w+c]
			right, below, channel = right+v*x[y*w+c+1], below+v*x[(y+1)*w+c], channel+v*x[h*w+y*w+c]
		}
	}
	n := float64((h-1)*(w-1)) * math.Pow(deviation(x[:h*w]), 2)
	for name, got := range map[string]float64{"to the right": right / n, "below": below / n, "of the next channel": channel / n} {
		if !(got > 0.5 && got < 1.3) {
			t.Errorf("correlation with the pixel %s: got %v, want about 0.8", name, got)
		}
	}
}

func deviation(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	n := float64(len(x))
	return math.Sqrt(squares/n - sum*sum/n/n)
}

func TestRandomWeightsComeFromTheSeed(t *testing.T) {
	config := modeltest.Config()
	config.StemWidth, config.Widths[0] = 64, 64
	load := func(seed uint64) map[string]*graph.Tensor {
		tensors, err := randomWeights(t.Context(), config, seed)
		if err != nil {
			t.Fatal(err)
		}
		return tensors
	}
	a, b, c := load(1), load(1), load(2)
	// He et al. 2015: variance 2/fan-in, here 3×3×64; the linear layer has 1/fan-in, here 64.
	for name, want := range map[string]float64{"layer1.0.conv1.weight": math.Sqrt(2. / 576), "fc.weight": math.Sqrt(1. / 64)} {
		if got := deviation(reference.Widen(a[name].Float32s())); math.Abs(got/want-1) > 0.1 {
			t.Errorf("%s: got standard deviation %v, want %v", name, got, want)
		}
	}
	if len(a) != 3+3*4+2 {
		t.Errorf("got %d tensors, want 3 convolutions, 3 batch norms of 4, and a linear layer with bias", len(a))
	}
	for name := range a {
		if !slices.Equal(a[name].Float32s(), b[name].Float32s()) {
			t.Errorf("%s differs between two runs", name)
		}
		if slices.Equal(a[name].Float32s(), c[name].Float32s()) {
			t.Errorf("%s is the same for two seeds", name)
		}
	}
}

func TestCalibrationStopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, "resnet18", Options{Weights: "random:1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestChannelStatistics(t *testing.T) {
	// Two pictures, two channels of one row and two columns.
	mean, variance := channelStatistics(graph.NewShape(2, 2, 1, 2), []float64{1, 2, 10, 10, 3, 6, 10, 10})
	if mean[0] != 3 || mean[1] != 10 {
		t.Errorf("got means %v, want 3 and 10", mean)
	}
	// The variances are 3.5 and 0, together 1.75, and each is drawn half-way there.
	if variance[0] != 2.625 || variance[1] != 0.875 {
		t.Errorf("got variances %v, want 2.625 and 0.875", variance)
	}
	// One picture of one element a channel: 1, 3, 5 and 7 have mean 4 and variance 5.
	mean, variance = channelStatistics(graph.NewShape(1, 4, 1, 1), []float64{1, 3, 5, 7})
	for c := range mean {
		if mean[c] != 4 || variance[c] != 5 {
			t.Errorf("channel %d of one element: got mean %v and variance %v, want those of all, 4 and 5", c, mean[c], variance[c])
		}
	}
}

func TestTop(t *testing.T) {
	m := &Model{Preset: Preset{Labels: []string{"a", "b", "c", "d"}}}
	top, err := m.Top([]float32{1, 3, 3, -100}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(top) != 3 || top[0].Label != "b" || top[1].Label != "c" || top[2].Label != "a" {
		t.Errorf("got %v, want b, c, a: of equal logits the lower index first", top)
	}
	e2 := math.Exp(-2)
	if want := 1 / (2 + e2); math.Abs(top[0].Probability-want) > 1e-15 || top[0].Logit != 3 || top[0].Index != 1 {
		t.Errorf("got %+v, want probability %v", top[0], want)
	}
	if top, err := m.Top([]float32{1e38, -1e38, 0, 0}, 9); err != nil || len(top) != 4 || top[0].Probability != 1 {
		t.Errorf("huge logits: got %v, %v", top, err)
	}
	for _, bad := range [][]float32{{1, float32(math.NaN()), 2, 3}, {1, 2, 3, float32(math.Inf(1))}, {1, 2, 3}} {
		if _, err := m.Top(bad, 1); err == nil {
			t.Errorf("%v: got no error", bad)
		}
	}
}

func TestEvaluationCounts(t *testing.T) {
	m := &Model{Preset: Preset{Labels: strings.Split("a b c d e f g", " ")}}
	e := m.NewEvaluation()
	for _, p := range []struct {
		class  int
		logits []float32
	}{
		{0, []float32{9, 1, 2, 3, 4, 5, 6}}, // right
		{1, []float32{9, 1, 2, 3, 4, 5, 6}}, // last of seven
		{1, []float32{9, 4, 2, 3, 4, 5, 6}}, // fourth: the tie with e goes to the lower index
		{2, []float32{0, 0, 1, 0, 0, 0, 0}},
	} {
		if err := e.Add(p.class, p.logits); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{e.Add(7, make([]float32, 7)), e.Add(-1, make([]float32, 7)), e.Add(0, []float32{float32(math.NaN()), 0, 0, 0, 0, 0, 0})} {
		if err == nil {
			t.Error("a picture that cannot be counted was counted")
		}
	}
	if e.Pictures != 4 || e.Top1 != 0.5 || e.Top5 != 0.75 {
		t.Errorf("got %d pictures, top-1 %v, top-5 %v, want 4, 0.5, 0.75", e.Pictures, e.Top1, e.Top5)
	}
	if e.Confusion[1][0] != 2 || e.Confusion[0][0] != 1 || e.Confusion[2][2] != 1 || e.Confusion[0][1] != 0 {
		t.Errorf("got confusion %v", e.Confusion)
	}
	if c := e.PerClass[1]; c.Pictures != 2 || c.Correct != 0 || c.Label != "b" || e.PerClass[2].Accuracy != 1 {
		t.Errorf("got classes %+v", e.PerClass)
	}
}

// TestSharedStatisticsAreCountedOnce: two batch norms with the same four parameters of 8 have 16 that are learned.
func TestSharedStatisticsAreCountedOnce(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1,8,3,3]\nparam @w : float32[8]\nparam @b : float32[8]\nparam @m : float32[8]\nparam @v : float32[8]\n" +
		"%y = batch_norm(%x, @w, @b, @m, @v) epsilon=1e-05\n%z = batch_norm(%y, @w, @b, @m, @v) epsilon=1e-05\noutput %z\n"))
	if err != nil {
		t.Fatal(err)
	}
	if layers, totals := Layers(g); totals.Params != 16 || layers[0].Params != 16 || layers[1].Params != 16 {
		t.Errorf("got %d in all, %d and %d in the layers", totals.Params, layers[0].Params, layers[1].Params)
	}
}

// TestANamedArchitectureGoesBeforeSidecars: what was asked for by name is built.
func TestANamedArchitectureGoesBeforeSidecars(t *testing.T) {
	dir := t.TempDir()
	c, err := resnet.Lookup("resnet50")
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := randomWeights(t.Context(), c, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range tensors {
		data, err := x.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		tensors[name] = &graph.Tensor{Type: x.Type, Data: data}
	}
	path := modeltest.WriteFile(t, filepath.Join(dir, "m.safetensors"), modeltest.Safetensors(t, tensors, nil))
	modeltest.WriteFile(t, filepath.Join(dir, "config.json"), []byte(`{"downsample_in_bottleneck":true}`))
	for ref, want := range map[string]bool{"resnet50": false, "resnet50-v1": true, path: true} {
		opts := Options{StructureOnly: true}
		if ref != path {
			opts.Weights = path
		}
		m, err := Load(t.Context(), ref, opts)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := m.Config(); got.StrideOn1x1 != want {
			t.Errorf("%s: the stride is on the first convolution: %t, want %t", ref, got.StrideOn1x1, want)
		}
	}
}

func TestInspectTotals(t *testing.T) {
	m, err := Load(t.Context(), "resnet18", Options{StructureOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	before, err := m.Inspect(View{Batch: 2})
	if err != nil {
		t.Fatal(err)
	}
	after, err := m.Inspect(View{Batch: 2, AfterPasses: true})
	if err != nil {
		t.Fatal(err)
	}
	if before.Totals.Params != 11689512 {
		t.Errorf("got %d parameters, want 11,689,512", before.Totals.Params)
	}
	var sum Totals
	for _, l := range before.Layers {
		sum.Params, sum.MACs, sum.OutputBytes = sum.Params+l.Params, sum.MACs+l.MACs, sum.OutputBytes+l.OutputBytes
	}
	if sum.Params != before.Totals.Params || sum.MACs != before.Totals.MACs || sum.OutputBytes != before.Totals.OutputBytes {
		t.Errorf("the layers sum up to %+v, the totals are %+v", sum, before.Totals)
	}
	// The largest need is at the stem: conv1's result [2,64,112,112] beside bn1's.
	if want := int64(2 * 4 * 2 * 64 * 112 * 112); before.Totals.PeakBytes != want {
		t.Errorf("got a peak of %d bytes, want %d", before.Totals.PeakBytes, want)
	}
	if len(after.Layers) >= len(before.Layers) || after.Totals.MACs != before.Totals.MACs || len(after.Passes) == 0 {
		t.Errorf("after the passes: %d layers, %d MACs, passes %v", len(after.Layers), after.Totals.MACs, after.Passes)
	}
	wide, err := m.Inspect(View{Batch: 1, Height: 64, Width: 96})
	if err != nil {
		t.Fatal(err)
	}
	if got := wide.Graph.Inputs[0].Type; got != graph.F32(1, 3, 64, 96) {
		t.Errorf("got input %v, want rows before columns", got)
	}
}

func TestParseExtentAndChannels(t *testing.T) {
	if h, w, err := ParseExtent("48x640"); h != 48 || w != 640 || err != nil {
		t.Errorf("got %d, %d, %v", h, w, err)
	}
	if h, w, err := ParseExtent(""); h != 0 || w != 0 || err != nil {
		t.Errorf("nothing: got %d, %d, %v", h, w, err)
	}
	for _, bad := range []string{"48", "x", "48x", "0x4", "4x-1", "4x4x4", "99999x1", "4 x4"} {
		if _, _, err := ParseExtent(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if v, err := ParseChannels("--mean", "0.5, 1,2e-1"); err != nil || v != [3]float32{0.5, 1, 0.2} {
		t.Errorf("got %v, %v", v, err)
	}
	if v, err := ParseChannels("--mean", "0.5"); err != nil || v != [3]float32{0.5, 0.5, 0.5} {
		t.Errorf("one number: got %v, %v", v, err)
	}
	for _, bad := range []string{"", "1,2", "1,2,3,4", "a,b,c", "1,,3", "1e99"} {
		if _, err := ParseChannels("--mean", bad); err == nil || !strings.Contains(err.Error(), "--mean") {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
}

func TestBundledModels(t *testing.T) {
	m, err := Load(t.Context(), DefaultName, Options{})
	if err != nil {
		t.Fatal(err) // tools/train makes the file
	}
	c, err := resnet.Lookup("resnet20-cifar")
	if err != nil {
		t.Fatal(err)
	}
	if m.Architecture() != c.Name || strings.Join(m.Labels, " ") != strings.Join(CIFAR10Labels(), " ") || m.Side != 32 {
		t.Errorf("got %s, %q, side %d", m.Architecture(), m.Labels, m.Side)
	}
	card, err := os.ReadFile("bundled/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range BundledNames() {
		if !strings.Contains(string(card), "## "+n) {
			t.Errorf("bundled/README.md has no card of %s", n)
		}
	}
}
