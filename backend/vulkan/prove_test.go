package vulkan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// parseBound makes a graph of text, with data for its parameters.
func parseBound(t *testing.T, text string) *graph.Graph {
	t.Helper()
	return parseGraph(t, "graph g\n"+text)
}

const twoConvs = `input %x : float32[2,12,11,9]
param @w : float32[40,12,3,3]
param @b : float32[40]
param @v : float32[24,40,1,1]
%y = conv2d(%x, @w, @b) padding=1,1,1,1 bias=true act=relu
%z = conv2d(%y, @v)
output %z
`

// TestKernelsPassTheirProof: a proof that strikes off right kernels would be as bad as none.
func TestKernelsPassTheirProof(t *testing.T) {
	nodes := parseBound(t, `input %x : float32[3,12,9,7]
param @w : float32[40,12,3,3]
param @b : float32[40]
param @v : float32[24,20,3,2]
param @bn : float32[24]
%y = conv2d(%x, @w, @b) padding=1,1,1,1 bias=true act=relu
%z = conv2d(%y, @v) groups=2 stride=1,2 dilation=2,1
%n = batch_norm(%z, @bn, @bn, @bn, @bn) epsilon=1e-05
%r = relu(%n)
%a = add(%r, %z)
%m = max_pool(%a) kernel=2,2 stride=2,1 padding=1,0,0,1
%p = avg_pool(%m) kernel=2,2 stride=1,1
%g = global_avg_pool(%p)
%f = flatten(%g)
%s = softmax(%f)
output %s
`).Nodes
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		proved := 0
		for _, n := range nodes {
			list, err := plan.Candidates(d.limits, d.planOptions(), n)
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range list {
				if testing.Short() && i%5 != 0 {
					continue // pipelines take long to compile
				}
				ok, err := d.outcomes.proveNode(t.Context(), n, c.Name)
				if err != nil || !ok {
					t.Errorf("node %q: kernel %s: proved %v, %v", n.Name, c.Name, ok, err)
				}
				proved++
			}
		}
		for _, p := range d.outcomes.known.Proofs() {
			if p.Struck || !(p.Error <= 1) {
				t.Errorf("got %+v, want it proved", p)
			}
		}
		if proved < 10 {
			t.Errorf("%d kernels were proved, want at least 10", proved)
		}
	})
}

// swap changes the n-th instruction of one opcode to another with the same operands.
func swap(code []uint32, from, to uint32, n int) []uint32 {
	out := slices.Clone(code)
	for at := 5; at < len(out) && out[at]>>16 > 0; at += int(out[at] >> 16) {
		if out[at]&0xffff == from {
			if n == 0 {
				out[at] = out[at]&^0xffff | to
				return out
			}
			n--
		}
	}
	return nil
}

// Opcodes of the SPIR-V specification.
const (
	opFAdd, opFSub, opFMul              = 129, 131, 133
	opFOrdGreaterThan, opFOrdLessThan   = 186, 184
	opFOrdGreaterThanEq, opFOrdLessThEq = 190, 188
)

// broken replaces one variant's code by code that computes something else.
func broken(t *testing.T, name string, changes ...[2]uint32) func(*shaders.Variant) []uint32 {
	t.Helper()
	return func(v *shaders.Variant) []uint32 {
		if v.Name != name {
			return v.SPIRV()
		}
		for _, c := range changes {
			if code := swap(v.SPIRV(), c[0], c[1], 0); code != nil {
				return code
			}
		}
		t.Errorf("%s has none of the instructions %v", name, changes)
		return v.SPIRV()
	}
}

// chosenFor are the candidates that the plan of a graph has by default.
func chosenFor(t *testing.T, d *device, g *graph.Graph) []string {
	t.Helper()
	p, err := d.settle(t.Context(), d.planOptions(), g, *d.tuning.Load())
	if err != nil {
		t.Fatal(err)
	}
	return p.Choices
}

// firstChoice is the kernel that a device's rule takes for the first node, without proof, and the shader that does most of its work.
func firstChoice(t *testing.T, g *graph.Graph) map[string]string {
	t.Helper()
	main := map[string]string{}
	eachDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
		name := chosenFor(t, d, g)[0]
		list, err := plan.Candidates(d.limits, d.planOptions(), g.Nodes[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if c.Name == name {
				variants := c.Variants()
				main[d.info.Name] = variants[len(variants)/2].Name // of a transform's three the product in the middle
			}
		}
	})
	return main
}

// TestAWrongKernelIsStruckOff breaks the kernel that the rule prefers: it must be named in the log, never be chosen, and the results must be
// right by another kernel. The strike is remembered, and ends when the kernel's code is another.
func TestAWrongKernelIsStruckOff(t *testing.T) {
	g := parseBound(t, twoConvs)
	for name, shader := range firstChoice(t, g) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var log bytes.Buffer
			o := Options{CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil)), spirv: broken(t, shader, [2]uint32{opFAdd, opFSub}, [2]uint32{opFMul, opFAdd})}
			var bad string
			onDevice(t, name, o, func(t *testing.T, d *device) {
				judge(t, d, g, seededInput(g))
				bad = struckKernel(t, d, shader)
				if p, err := d.settle(t.Context(), d.planOptions(), g, *d.tuning.Load()); err != nil || reasonOf(p, "y") != "rule: the next best, as "+bad+" was struck off" {
					t.Errorf("reason: got %q, %v", reasonOf(p, "y"), err)
				}
				if slices.Contains(chosenFor(t, d, g), bad) {
					t.Errorf("%s is chosen though it was struck off", bad)
				}
			})
			for _, want := range []string{"level=WARN", bad, name, "struck off", "out of bounds"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log does not say %q: %s", want, log.String())
				}
			}
			log.Reset()
			onDevice(t, name, o, func(t *testing.T, d *device) {
				if slices.Contains(chosenFor(t, d, g), bad) {
					t.Errorf("%s is chosen by the next device though it was struck off", bad)
				}
			})
			if log.Len() > 0 {
				t.Errorf("the second time the log says %s", log.String())
			}
			o.spirv = nil
			onDevice(t, name, o, func(t *testing.T, d *device) {
				if !slices.Contains(chosenFor(t, d, g), bad) {
					t.Errorf("%s with its right code is still struck off", bad)
				}
			})
		})
	}
}

// TestProofsAreTold: each proof of a first compilation before it is made, and the end; nothing of a second one.
func TestProofsAreTold(t *testing.T) {
	g := parseBound(t, twoConvs)
	var events []ProofEvent
	on := func(ProofEvent) {}
	tell := func(e ProofEvent) {
		events = append(events, e)
		on(e)
	}
	eachFreshDevice(t, Options{CacheDir: t.TempDir(), OnProof: tell}, func(t *testing.T, d *device) {
		events = nil
		judge(t, d, g, seededInput(g))
		if len(events) < 2 {
			t.Fatalf("got %v, want each proof and the end", events)
		}
		total := events[0].Total
		for i, e := range events {
			if e != (ProofEvent{d.info.Name, i, total}) {
				t.Errorf("event %d: got %+v", i, e)
			}
		}
		if total != len(events)-1 {
			t.Errorf("%d events with a total of %d", len(events), total)
		}
		events = nil
		judge(t, d, g, seededInput(g))
		if len(events) > 0 {
			t.Errorf("the second time: got %v, want nothing", events)
		}
		ctx, cancel := context.WithCancel(t.Context())
		on = func(ProofEvent) { cancel() }
		if _, err := d.settle(ctx, d.planOptions(), parseBound(t, strings.ReplaceAll(twoConvs, "[2,12,", "[3,12,")), *d.tuning.Load()); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled by the first event: got %v", err)
		}
		if n := len(events); n != 2 || events[0].Done != 0 || events[1].Done != events[1].Total {
			t.Errorf("a compilation that is cancelled: got %v, want the first proof and the end", events)
		}
		on = func(ProofEvent) {}
	})
}

// struckKernel returns the candidate that was struck off, and checks that it is one of those that run the shader.
func struckKernel(t *testing.T, d *device, shader string) (name string) {
	t.Helper()
	for _, p := range d.outcomes.known.Proofs() {
		if p.Struck {
			name = p.Kernel
			if !strings.Contains(p.Reason, "got ") {
				t.Errorf("reason: got %q, want what was found", p.Reason)
			}
		}
	}
	if name == "" {
		t.Fatalf("no kernel was struck off, want one that runs %s", shader)
	}
	return name
}

// onDevice runs f on the test device of that name.
func onDevice(t *testing.T, name string, o Options, f func(t *testing.T, d *device)) {
	t.Helper()
	ran := false
	eachFreshDevice(t, o, func(t *testing.T, d *device) {
		if d.info.Name == name {
			ran = true
			f(t, d)
		}
	})
	if !ran {
		t.Errorf("no device %q", name)
	}
}

// TestNoKernelLeft: an operation with a single kernel is refused when that is wrong, by Compile and from then on by Supports.
func TestNoKernelLeft(t *testing.T) {
	g := parseBound(t, "input %x : float32[2,3,5,4]\ninput %s : float32[2,3,5,4]\n%y = add(%x, %s)\noutput %y\n")
	eachFreshDevice(t, Options{Logger: slog.New(slog.DiscardHandler), spirv: broken(t, "add_f32", [2]uint32{opFAdd, opFSub})}, func(t *testing.T, d *device) {
		if err := d.Supports(g.Nodes[0]); err != nil {
			t.Errorf("before the proof: %v", err)
		}
		_, err := d.Compile(t.Context(), g)
		if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), "right answers") {
			t.Errorf("compile: got %v, want a refusal", err)
		}
		if err := d.Supports(g.Nodes[0]); !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("supports: got %v, want a refusal", err)
		}
	})
}

// TestTrialsSeeWhatIsNotWritten runs a kernel with fewer workgroups than its result needs, and looks at the guard.
func TestTrialsSeeWhatIsNotWritten(t *testing.T) {
	n := parseBound(t, "input %x : float32[5,7,13,11]\n%y = relu(%x)\noutput %y\n").Nodes[0]
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		tr, err := d.newTrial(t.Context(), n, "relu_f32", bellData(n))
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		if err := tr.set(t.Context(), bellData(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.replayed(t.Context()); err != nil {
			t.Errorf("a whole run: %v", err)
		}
		short, err := d.newTrial(t.Context(), n, "relu_f32", bellData(n))
		if err != nil {
			t.Fatal(err)
		}
		defer short.close()
		short.exe.plan.Steps[0].Groups[0]--
		if err := short.set(t.Context(), bellData(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := short.replayed(t.Context()); !errors.Is(err, errWrote) || !strings.Contains(err.Error(), "was not") {
			t.Errorf("a workgroup less: got %v, want an element that was not written", err)
		}
		long, err := d.newTrial(t.Context(), n, "relu_f32", bellData(n))
		if err != nil {
			t.Fatal(err)
		}
		defer long.close()
		if err := long.set(t.Context(), bellData(n)); err != nil {
			t.Fatal(err)
		}
		step := long.exe.plan.Steps[0]
		step.Push[0]++ // the number of elements
		step.Bindings[1].Size += 4
		if _, err := long.replayed(t.Context()); !errors.Is(err, errWrote) || !strings.Contains(err.Error(), "behind") {
			t.Errorf("an element more: got %v, want a write behind the result", err)
		}
	})
}

// TestNumbersBesideNaN: what must be NaN or infinity is counted where it is not, and everything else is compared.
func TestNumbersBesideNaN(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	got, want, _, lost := numbers(
		[]float32{1, float32(nan), 3, float32(inf), 5, float32(nan)}, []float64{1, nan, nan, inf, -inf, 6}, []float64{0, 0, 0, 0, 0, 1})
	if lost != 2 || len(got) != 2 || len(want) != 2 || want[1] != 6 || got[1] == got[1] {
		t.Errorf("got %v and %v, %d lost, want elements 0 and 5, and 2 lost", got, want, lost)
	}
}

// TestABatchOfNone needs no kernel, and so no proof.
func TestABatchOfNone(t *testing.T) {
	g := parseBound(t, strings.Replace(twoConvs, "[2,12,11,9]", "[0,12,11,9]", 1))
	eachFreshDevice(t, Options{Tuning: Tuning{Mode: TuneQuick}}, func(t *testing.T, d *device) {
		for _, n := range g.Nodes {
			if err := d.Supports(n); err != nil {
				t.Error(err)
			}
		}
		e, err := d.Compile(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		if got := d.outcomes.known.Proofs(); len(got) > 0 {
			t.Errorf("got %v, want no proof", got)
		}
	})
}

// TestSampledElements: first, last, and no more than asked for by much.
func TestSampledElements(t *testing.T) {
	for _, c := range []struct{ n, ends, limit int }{{1, 4, 12}, {5, 4, 12}, {12, 4, 12}, {13, 4, 12}, {64, 4, 12}, {2048, 4, 12}, {7, 2, 4}, {1000, 2, 4}} {
		got := someOf(c.n, c.ends, c.limit)
		if got[0] != 0 || got[len(got)-1] != c.n-1 || len(got) > c.limit+2 || len(got) < min(c.n, c.limit) || !slices.IsSorted(got) {
			t.Errorf("%+v: got %v", c, got)
		}
	}
	for rows := 1; rows < 9; rows++ {
		seen := map[int]bool{}
		for _, b := range bands(rows) {
			for r := b[0]; r < b[1]; r++ {
				if seen[r] || r >= rows {
					t.Errorf("%d rows: %v", rows, bands(rows))
				}
				seen[r] = true
			}
		}
		if !seen[0] || !seen[rows-1] {
			t.Errorf("%d rows: %v leave out an edge", rows, bands(rows))
		}
	}
}

// TestTheChecksumSeesOneUnitInOneWeight compares with a reference that has another weight than the device.
func TestTheChecksumSeesOneUnitInOneWeight(t *testing.T) {
	n := parseBound(t, twoConvs).Nodes[0]
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		name := chosenFor(t, d, parseBound(t, twoConvs))[1]
		n := parseBound(t, twoConvs).Nodes[1]
		whole := make([][]float32, len(n.Inputs))
		for i, v := range n.Inputs {
			whole[i] = cutFrom(pools().whole, v.Type.Shape.Elems(), i)
		}
		tr, err := d.newTrial(t.Context(), n, name, whole)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		if tr.transform() != nil {
			t.Fatalf("a 1x1 convolution by transform %v", tr.transform())
		}
		check := func() (v verdict) {
			if err := tr.checksum(t.Context(), whole, &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := check(); v.wrong != "" {
			t.Errorf("unchanged: %s", v.wrong)
		}
		tr.data[1] = slices.Clone(tr.data[1])
		tr.data[1][777]++
		if v := check(); v.wrong == "" {
			t.Error("one unit in one of 960 weights was not seen")
		}
	})
	if !exact(n) {
		t.Error("108 taps are not taken to be exact")
	}
	if huge := parseBound(t, "input %x : float32[1,1100000,1,1]\nparam @w : float32[1,1100000,1,1]\n%y = conv2d(%x, @w)\noutput %y\n").Nodes[0]; exact(huge) {
		t.Error("1,100,000 taps of up to 16 are taken to be exact")
	}
}

func TestShapeNamesWhatMatters(t *testing.T) {
	nodes := parseBound(t, twoConvs).Nodes
	if a, b := shapeOf(nodes[0]), shapeOf(nodes[1]); a == b || !strings.Contains(a, "float32[2,12,11,9]") || !strings.Contains(a, "act=relu") || strings.Contains(a, "%") {
		t.Errorf("got %q and %q", a, b)
	}
	if a, b := fmt.Sprint(cutFrom(pools().whole, 7, 1)), fmt.Sprint(cutFrom(pools().whole, 7, 2)); a == b {
		t.Error("two operands have the same numbers")
	}
}

// TestFloat16KernelsPassTheirProof, with the bounds of what they store.
func TestFloat16KernelsPassTheirProof(t *testing.T) {
	g := parseBound(t, twoConvs)
	eachDevice(t, Options{Precision: Half}, func(t *testing.T, d *device) {
		e, err := d.Compile(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if len(d.outcomes.known.Proofs()) == 0 {
			t.Error("nothing was proved")
		}
	})
}

// TestWindowsInPaddingAloneAreProved: no row of such a result covers a part of the input.
func TestWindowsInPaddingAloneAreProved(t *testing.T) {
	g := parseBound(t, "input %x : float32[1,10,8,1]\nparam @w : float32[13,10,1,1]\n%y = conv2d(%x, @w) stride=1,2 padding=1,1,1,0\noutput %y\n")
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		for i, v := range runGraph(t, d, g, seededInput(g))[0] {
			if v != 0 {
				t.Errorf("element %d: got %g, want 0, as there is no bias", i, v)
			}
		}
	})
}

// TestHashesCountWhatChangesFormats: with another kernel between formats everything is proved anew, since proofs ran through it.
func TestHashesCountWhatChangesFormats(t *testing.T) {
	g := parseBound(t, twoConvs)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		n := g.Nodes[0]
		list, err := plan.Candidates(d.limits, d.planOptions(), n)
		if err != nil {
			t.Fatal(err)
		}
		old := newOutcomes(d).hash(n, shapeOf(n), list[0].Name)
		saved := d.opts.spirv
		defer func() { d.opts.spirv = saved }()
		for _, name := range []string{"pack_f32", "widen_f16", "softmax_f32"} {
			d.opts.spirv = func(v *shaders.Variant) []uint32 {
				if v.Name == name {
					return append(slices.Clone(v.SPIRV()), 0)
				}
				return v.SPIRV()
			}
			if changed := newOutcomes(d).hash(n, shapeOf(n), list[0].Name) != old; changed != (name != "softmax_f32") {
				t.Errorf("another %s: the hash of %s changed: %v", name, list[0].Name, changed)
			}
		}
	})
}
