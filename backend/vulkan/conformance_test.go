package vulkan

import (
	"flag"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

// conformanceEnv chooses the profile of TestConformance: quick (the default), full or long.
const conformanceEnv = "RESNET_RUN_CONFORMANCE"

// TestConformance holds every test device against the conformance suite, with the validation layer on. The everyday run leaves out
// softmax of 65,541 rows, with which SwiftShader spends as much time as with a thousand other cases.
func TestConformance(t *testing.T) { testConformance(t, Float32) }

// TestHalfConformance is the same with float16 storage. What is not stored as float16 runs above, so that of the quick profile it takes
// what is: of the convolutions those of several pictures, and in the everyday run of the two most common windows.
func TestHalfConformance(t *testing.T) { testConformance(t, Half) }

// Of the quick profile.
const (
	everydayCases     = `^([^s]|sub|split|spatial|softmax/n[0-9]{1,4}-)`
	halfCases         = `^(add|relu|max_pool|global_avg_pool|batch_norm|group_norm|split_attention|concat|channel_slice|channel_pad|spatial_pad|block|network|outputs|replay|concurrent|buffers|cancel)/|^conv2d/n[2-9]-`
	everydayHalfCases = `^(add|max_pool|group_norm|split_attention|concat|channel_slice|outputs|replay|concurrent|buffers|cancel)/|^(block|network)/.*/fused|^conv2d/n[2-9]-c(6|7|17|32|65|128)-.*/r[13]-s[13]-stride(1,1|2,2)-pad[01],`
)

func testConformance(t *testing.T, p Precision) {
	if testing.Short() {
		t.Skip("takes about a minute on each software driver")
	}
	thorough := backendtest.Thorough()
	o, least := conformance.Options{}, 2000
	if s := os.Getenv(conformanceEnv); s != "" {
		p, err := conformance.ParseProfile(s)
		if err != nil {
			t.Fatal(err)
		}
		o.Profile = p
	} else if p == Half {
		if o.Filter, least = everydayHalfCases, 300; thorough {
			o.Filter, least = halfCases, 500
		}
	} else if !thorough {
		o.Filter = everydayCases
	}
	eachDriver(t, Options{Precision: p, Unproved: true}, func(t *testing.T, open func(t *testing.T) backend.Device) {
		if s := conformance.Run(t, open, o); s.Run < least && !alone() {
			t.Errorf("got %v, want at least %d run", s, least)
		}
	})
}

// TestHalfArithmeticConformance is the same for kernels that multiply in float16, which no rule chooses on a driver that runs on the CPU.
func TestHalfArithmeticConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about a minute")
	}
	for i, kernel := range []string{"conv2d_tile64x64_f16a", "conv2d_tile32x32_split_f16a", "conv2d_tile128x128_f16a"} {
		if i%backendtest.OneIn(3) != 0 {
			continue
		}
		t.Run(kernel, func(t *testing.T) {
			o := Options{Precision: HalfArithmetic, Unproved: true, Kernels: []string{kernel, "conv2d_tile32x32_f16a", "conv2d_regtile4_f32"}}
			eachDriver(t, o, func(t *testing.T, open func(t *testing.T) backend.Device) {
				d := open(t)
				skipWithoutArithmetic(t, d.(*device), kernel)
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				filter, least := `^conv2d/n[2-9]-c(6|17|65)-.*/r[13]-s[13]-stride(1,1|2,2)-pad[01],`, 60
				if backendtest.Thorough() {
					filter, least = halfCases, 500
				}
				if s := conformance.Run(t, open, conformance.Options{Filter: filter}); s.Run < least && !alone() {
					t.Errorf("got %v, want at least %d run", s, least)
				}
			})
		})
	}
}

// alone reports whether some cases were asked for by name.
func alone() bool { return strings.Contains(flag.Lookup("test.run").Value.String(), "/") }

// TestDispatchesInPieces holds kernels of every kind against the suite with a bound that each dispatch breaks, so that each is several of parts of its
// workgroups. On a GPU only those are that would take longer than a watchdog waits.
func TestDispatchesInPieces(t *testing.T) {
	if testing.Short() {
		t.Skip("pipelines are compiled anew")
	}
	const convs = `^conv2d/n[23]-c(17|21|65)-.*/r3-s3-stride[12],[12]-pad1,1,1,1.*/(bias-add-relu|bias-relu)/(ordinary|integers)$`
	others := `^(softmax/n129-|linear/n[37]-c(17|65)|(max|avg)_pool/n2-c17-|global_avg_pool/n2-c33|gate/n2-c17|group_norm/n2-c1[78]|split_attention/n2-c1[78]|concat/n2|spatial_pad/n2-c17|add/n2-c33|batch_norm/n2-c33|relu/n2-c33|block/basic-.*n2/fused)`
	for name, c := range map[string]struct {
		o      Options
		filter string
		least  int
	}{
		"chosen": {Options{}, others + "|" + convs, 55}, "tile": {Options{Kernels: []string{"conv2d_tile32x32_f32", "conv2d_regtile4_f32"}}, convs, 5},
		"split":    {Options{Kernels: []string{"conv2d_tile32x32_split_f32", "conv2d_regtile4_f32"}}, convs, 5},
		"shared":   {Options{Kernels: []string{"conv2d_shared64_f32"}}, convs, 5},
		"matrices": {Options{Precision: Half, Kernels: []string{"conv2d_coopmat32x32_emulated_f16", "conv2d_regtile4_f32"}}, convs, 5},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Unproved, c.o.MaxSubmission = true, 1
			eachDriver(t, c.o, func(t *testing.T, open func(t *testing.T) backend.Device) {
				var pieces atomic.Int64
				s := conformance.Run(t, func(t *testing.T) backend.Device {
					return countingDevice{open(t).(*device), func(p *plan.Plan) {
						for _, s := range p.Steps {
							pieces.Add(int64(index(s.Pieces)))
						}
					}}
				}, conformance.Options{Filter: c.filter})
				if (s.Run < c.least || pieces.Load() < int64(c.least)) && !alone() {
					t.Errorf("got %v and %d dispatches in pieces, want %d of each at least", s, pieces.Load(), c.least)
				}
			})
		})
	}
}
