package vulkan

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/shaders"
)

// TestHalfOpsAreWithinTheirBounds runs golden op cases with float16 storage, with each convolution kernel for it.
func TestHalfOpsAreWithinTheirBounds(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		name  string
		o     Options
		every int
	}
	runs := []part{{"default", Options{}, 6}, {"staging", Options{ForceStaging: true}, 40}}
	for _, k := range plan.HalfConvKernels() {
		every := 8
		if strings.Contains(k, "depthwise") { // few convolutions are for it
			every = 2
		}
		runs = append(runs, part{k, Options{Kernels: []string{k, "conv2d_regtile4_f32"}, Fences: true}, every})
	}
	for i, o := range runs {
		o.o.Precision = precisionOf(o.name)
		t.Run(o.name, func(t *testing.T) {
			eachDevice(t, o.o, func(t *testing.T, d *device) {
				skipWithoutArithmetic(t, d, o.name)
				narrow, picked, taken := 0, 0, 0
				for j, c := range cases {
					if last := c.Graph.Nodes[len(c.Graph.Nodes)-1]; i > 1 {
						if !d.offers(last, o.name) {
							continue
						}
						j = taken
						taken++
					}
					if j%o.every != i%o.every {
						continue
					}
					if picked++; narrow > 0 && picked%backendtest.OneIn(4) != 0 {
						continue
					}
					t.Run(c.Name, func(t *testing.T) { narrow += checkCase(t, d, c) })
				}
				if narrow == 0 {
					t.Error("no node was float16")
				}
			})
		})
	}
}

// precisionOf is the precision that lets a kernel run.
func precisionOf(kernel string) Precision {
	switch v := shaders.Lookup(kernel); {
	case v == nil || v.Half && v.HalfTerms == 0:
		return Half
	case v.Half:
		return HalfArithmetic
	}
	return Float32
}

// skipWithoutArithmetic ends a test of a kernel that multiplies in float16 on a device that cannot: lavapipe can.
func skipWithoutArithmetic(t *testing.T, d *device, kernel string) {
	t.Helper()
	if precisionOf(kernel) == HalfArithmetic && !d.limits.Float16 {
		if strings.Contains(d.info.Name, "llvmpipe") {
			t.Fatal("lavapipe has no float16 arithmetic")
		}
		t.Skip("this device has no float16 arithmetic: it is tested on lavapipe")
	}
}

func TestADeviceWithoutFloat16ArithmeticSaysSo(t *testing.T) {
	var log bytes.Buffer
	without := 0
	eachFreshDevice(t, Options{Precision: HalfArithmetic, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, d *device) {
		if said := strings.Contains(log.String(), "(shaderFloat16)"); said == d.limits.Float16 {
			t.Errorf("float16 arithmetic %v, and the log says:\n%s", d.limits.Float16, &log)
		}
		if !d.limits.Float16 {
			without++
		}
		log.Reset()
	})
	if without == 0 && !alone() {
		t.Skip("every device here has float16 arithmetic")
	}
}

// TestHalfBlocks runs basic and bottleneck blocks.
func TestHalfBlocks(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	eachDevice(t, Options{Precision: Half}, func(t *testing.T, d *device) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				if checkCase(t, d, c) == 0 {
					t.Error("no node was float16")
				}
			})
		}
	})
}

// TestHalfNetworks is TestNetworksMatchPyTorch with float16 storage.
func TestHalfNetworks(t *testing.T) {
	backendtest.EachNetwork(t, func(t *testing.T, c golden.Case) {
		eachDevice(t, Options{Precision: Half}, func(t *testing.T, d *device) {
			r := execute(t, d, c.Graph, c.Inputs)
			for _, n := range c.Graph.Nodes {
				if p := r.Precisions[n.Name]; n.Op.Name() == "conv2d" && (p.Operands != graph.Float16 || p.Parameters != graph.Float16 || p.Result != graph.Float16) {
					t.Errorf("node %q: got %v, want float16", n.Name, p)
				}
			}
			backendtest.CheckNetwork(t, c, r.Outputs[0], 3e-3)
		})
	})
}

// TestHalfArithmeticNetworks is TestHalfNetworks with convolutions that multiply in float16.
func TestHalfArithmeticNetworks(t *testing.T) {
	kernel := "conv2d_tile32x32_f16a"
	backendtest.EachNetwork(t, func(t *testing.T, c golden.Case) {
		eachDevice(t, Options{Precision: HalfArithmetic, Kernels: []string{kernel, "conv2d_packed8x4_f16", "conv2d_regtile4_f32"}}, func(t *testing.T, d *device) {
			skipWithoutArithmetic(t, d, kernel)
			r := execute(t, d, c.Graph, c.Inputs)
			for _, n := range c.Graph.Nodes {
				if p := r.Precisions[n.Name]; n.Op.Name() == "conv2d" && p.HalfTerms != 16 {
					t.Errorf("node %q: got %v, want sums of 16 products in float16", n.Name, p)
				}
			}
			backendtest.CheckNetwork(t, c, r.Outputs[0], 6e-3)
		})
	})
}
