package vulkan

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

// TestKernelsKeepToTheirTensors runs cases of the suite in which values lie in memory of the executable, with fences behind all of them. It sees what the
// suite cannot: a kernel that writes over its tensor's end changes what nothing reads, as long as the planner's luck lasts.
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

// TestFencesTellOfAKernelThatLeavesItsTensor makes extents of recorded kernels larger than their tensors are.
func TestFencesTellOfAKernelThatLeavesItsTensor(t *testing.T) {
	g := parseGraph(t, "graph g\ninput %x : float32[2,5,3,7]\n%a = relu(%x)\n%b = add(%a, %a)\n%y = global_avg_pool(%b)\noutput %y\n")
	for _, staged := range []bool{false, true} {
		eachDevice(t, Options{Unproved: true, Fences: true, ForceStaging: staged}, func(t *testing.T, d *device) {
			run := func(kernel string, extent int, more uint32) ([]float32, error) {
				t.Helper()
				e, in, out := ready(t, d, g)
				defer closeAll(in, out)
				defer e.Close()
				p := e.(*executable).plan
				if n := len(p.Fences); n != 2 {
					t.Fatalf("%d fences, want one behind each of two values", n)
				}
				for _, s := range p.Steps {
					if s.Variant.Name == kernel {
						s.Push[extent] += more
						more = 0
					}
				}
				if more > 0 {
					t.Fatalf("no step runs %s", kernel)
				}
				err := e.Run(t.Context(), in, out)
				return readFloats(t, out[0]), err
			}
			if got, err := run("", 0, 0); err != nil || slices.ContainsFunc(got, isNaN) {
				t.Errorf("the original: got %v, %v", got, err)
			}
			_, err := run("relu_f32", 0, 3)
			if err == nil || !strings.Contains(err.Error(), `12 of the 4096 bytes behind value "a" have changed, the first of them byte 0`) {
				t.Errorf("three elements more are written: got error %v", err)
			}
			if got, err := run("global_avg_pool_f32", 1, 1); err != nil || !isNaN(got[len(got)-1]) {
				t.Errorf("an element more is read: got %v, %v, want a mean that is NaN", got, err)
			}
		})
	}
}

func isNaN(v float32) bool { return v != v }
