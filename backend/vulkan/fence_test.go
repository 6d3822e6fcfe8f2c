package vulkan

import (
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

// TestKernelsKeepToTheirTensors runs cases of the suite with fences behind all values, in memory of the executable and in buffers. It sees what the suite
// cannot: a kernel that writes over its tensor's end changes what nothing reads, as long as the planner's luck lasts, or nothing at all where a driver cuts
// off what lies outside of a binding.
func TestKernelsKeepToTheirTensors(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute or two")
	}
	const values = `^(block|network|outputs)/|^conv2d/`
	for _, c := range []struct {
		name     string
		o        Options
		filter   string
		everyday int // one case of so many in the everyday run, of a quarter as many in the thorough one
	}{
		{"float32", Options{}, values, 8},
		{"single operations", Options{}, `^(add|relu|gate|[a-z]+_pool|batch_norm|group_norm|softmax|linear|concat|channel_[a-z]+|split_attention|spatial_pad|subsample|buffers|replay|concurrent)/`, 32},
		{"float16", Options{Precision: Half}, `^(block|network|outputs|add|relu|max_pool|global_avg_pool)/|^conv2d/n[2-9]-`, 12},
		{"tiles", Options{Kernels: []string{"conv2d_tile64x64_f32", "conv2d_regtile4_f32"}}, `^conv2d/n[2-9]-`, 16},
		{"divided sums", Options{Precision: Half, Kernels: []string{"conv2d_tile32x32_split_f16", "conv2d_tile32x32_f16", "conv2d_regtile4_f32"}}, `^conv2d/n[2-9]-`, 16},
		{"small transforms", Options{Kernels: []string{"winograd2_conv2d_packed8x4_f32", "conv2d_packed8x4_ssbo_f32", "conv2d_regtile4_f32"}}, `^conv2d/n[2-9]-.*/r3-s3-stride1,1`, 6},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			o := conformance.Options{Filter: everyNth(t, c.filter, max(1, c.everyday*backendtest.OneIn(4)/4))}
			c.o.Unproved, c.o.Fences = true, true
			eachDriver(t, c.o, func(t *testing.T, open func(t *testing.T) backend.Device) {
				if s := conformance.Run(t, open, o); s.Run < 10 && !alone() {
					t.Errorf("got %v, want at least 10 run", s)
				}
			})
		})
	}
}

// everyNth is an expression for every n-th of the quick cases that another matches.
func everyNth(t *testing.T, filter string, n int) string {
	t.Helper()
	cases, err := conformance.Options{Filter: filter}.Chosen()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := 0; i < len(cases); i += n {
		names = append(names, regexp.QuoteMeta(cases[i].Name))
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// TestFencesTellOfAKernelThatLeavesItsTensor makes extents of recorded kernels larger or smaller than their tensors are.
func TestFencesTellOfAKernelThatLeavesItsTensor(t *testing.T) {
	const values = "graph g\ninput %x : float32[2,5,3,7]\n%a = relu(%x)\n%b = add(%a, %a)\n%y = global_avg_pool(%b)\noutput %y\n"
	const sum = "graph g\ninput %x : float32[2,5,3,7]\ninput %z : float32[2,5,3,7]\n%y = add(%x, %z)\noutput %y\n"
	const mean = "graph g\ninput %x : float32[2,5,3,7]\n%y = global_avg_pool(%x)\noutput %y\n"
	const pair = "graph g\ninput %x : float32[2,5,3,7]\ninput %e : float32[0,3]\n%y = relu(%x)\n%r = relu(%e)\noutput %r\noutput %y\noutput %y\n"
	for _, c := range []struct {
		name, graph    string
		kernel         string // whose extents are changed, none when empty
		extent, change int
		fails          string // with which error
		nans           int    // how many numbers of the last output are NaN otherwise
	}{
		{name: "values", graph: values},
		{name: "values, three elements more are written", graph: values, kernel: "relu_f32", change: 3, fails: `6 of the 4096 bytes behind value "a" have changed, the first of them byte 0`},
		{name: "values, what is read behind one is written behind the next", graph: values, kernel: "add_f32", change: 1, fails: `bytes behind value "b" have changed, the first of them byte 0`},
		{name: "values, an element more is read", graph: values, kernel: "global_avg_pool_f32", extent: 1, change: 1, nans: 1},
		{name: "buffers", graph: sum},
		{name: "buffers, three elements more are written", graph: sum, kernel: "add_f32", change: 3, fails: `bytes behind output "y" have changed, the first of them byte 0`},
		{name: "buffers, two elements are not written", graph: sum, kernel: "add_f32", change: -2, nans: 2},
		{name: "buffers, an element more is read", graph: mean, kernel: "global_avg_pool_f32", extent: 1, change: 1, nans: 1},
		{name: "a result beside an empty one, and copied", graph: pair},
		{name: "a result beside an empty one, with an element more", graph: pair, kernel: "relu_f32", change: 1, fails: `bytes behind output "y" have changed, the first of them byte 0`},
	} {
		for _, staged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, staged %t", c.name, staged), func(t *testing.T) {
				eachDevice(t, Options{Unproved: true, Fences: true, ForceStaging: staged}, func(t *testing.T, d *device) {
					e, in, out := ready(t, d, parseGraph(t, c.graph))
					defer closeAll(in, out)
					defer e.Close()
					widen(t, e, c.kernel, c.extent, c.change)
					run := func() error { return e.Run(t.Context(), in, out) }
					profile := func() error {
						_, err := e.(backend.Profiler).Profile(t.Context(), in, out)
						return err
					}
					for _, once := range []func() error{run, run, profile} { // the second run finds what the first one left
						for _, b := range out {
							writeFloats(t, b, make([]float32, b.Type().Shape.Elems()))
						}
						err := once()
						switch {
						case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
							t.Errorf("got error %v, want %s", err, c.fails)
						case c.fails == "" && err != nil:
							t.Error(err)
						case c.fails == "":
							got := readFloats(t, out[len(out)-1])
							if nans := len(got) - len(slices.DeleteFunc(slices.Clone(got), isNaN)); nans != c.nans {
								t.Errorf("%d of %d numbers are NaN, want %d", nans, len(got), c.nans)
							}
						}
					}
				})
			})
		}
	}
}

// widen changes an extent of the first step that a kernel runs.
func widen(t *testing.T, e backend.Executable, kernel string, extent, change int) {
	t.Helper()
	if kernel == "" {
		return
	}
	for _, s := range e.(*executable).plan.Steps {
		if s.Variant.Name == kernel {
			s.Push[extent] += uint32(change)
			return
		}
	}
	t.Fatalf("no step runs %s", kernel)
}

// TestFencesOfBuffersThatAreShared gives one buffer for two inputs, and looks behind a buffer when the batch goes through the arena in parts.
func TestFencesOfBuffersThatAreShared(t *testing.T) {
	g := parseGraph(t, "graph g\ninput %x : float32[3,5,2]\ninput %z : float32[3,5,2]\n%y = add(%x, %z)\noutput %y\n")
	for _, o := range []Options{{}, {ForceStaging: true}, {MaxChunk: 2}, {MaxChunk: 2, ForceStaging: true}} {
		o.Unproved, o.Fences = true, true
		eachDevice(t, o, func(t *testing.T, d *device) {
			e, in, out := ready(t, d, g)
			defer closeAll(in, out)
			defer e.Close()
			x := readFloats(t, in[0])
			for range 2 {
				if err := e.Run(t.Context(), []backend.Buffer{in[0], in[0]}, out); err != nil {
					t.Fatal(err)
				}
				for i, v := range readFloats(t, out[0]) {
					if v != 2*x[i] {
						t.Fatalf("element %d: got %g, want %g", i, v, 2*x[i])
					}
				}
			}
			for _, b := range append(in[:1:1], out...) { // in[1] was of no run
				m, size := b.(*buffer).mem, b.Type().SizeBytes()
				behind := make([]byte, fenceBytes)
				if err := d.staging.read(m, uint64(size), behind); err != nil {
					t.Fatal(err)
				}
				for i, v := range floats(behind, len(behind)/4) {
					if !isNaN(v) {
						t.Fatalf("number %d behind %v is %g, want NaN", i, b.Type(), v)
					}
				}
			}
		})
	}
}

func TestNaNs(t *testing.T) {
	for n := range uint16(nanHalves) {
		b := nans(5, n)
		half := binary.LittleEndian.Uint16(b)
		if v := graph.Float16FromBits(half); len(b) != 5 || !isNaN(v) || !isNaN(math.Float32frombits(binary.LittleEndian.Uint32(b))) || b[4] != b[0] {
			t.Errorf("number %d: got %x, want NaN", n, b)
		}
	}
	if a, b := fenceNaN(nanHalves-2), fenceNaN(nanHalves-1); a != nanHalves-1 || b != 1 {
		t.Errorf("the last number is %d and the next %d, want %d and 1", a, b, nanHalves-1)
	}
}

func isNaN(v float32) bool { return v != v }
