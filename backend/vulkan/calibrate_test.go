package vulkan

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// chain is four 1×1 convolutions; the weights of each have the given size.
func chain(t *testing.T, batch int, sizes ...float64) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("chain")
	v := b.Input("x", graph.F32(batch, 8, 5, 7))
	for i, size := range sizes {
		name := string(rune('a' + i))
		w, err := graph.FromFloat32s(graph.NewShape(8, 8, 1, 1), seeded.Uniform(3, name, 64, size/math.Sqrt(8)))
		if err != nil {
			t.Fatal(err)
		}
		op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
		v = b.Node(name, op, v, b.Param(name+".weight", w.Type, w))
	}
	b.Output(v)
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestLayersThatWouldLeaveFloat16StayFloat32(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []float64
		kept  string // the nodes that must stay float32
	}{
		{"an ordinary network", []float64{1, 1, 1, 1}, ""},
		{"a result beyond the range", []float64{1, 1e4, 1e-3, 1}, "bc"},
		{"a first result beyond the range", []float64{3e4, 1e-3, 1, 1}, "ab"},
		{"a last result beyond the range", []float64{1, 1, 30, 1e3}, "d"},
		{"weights beyond the range", []float64{1, 1e-3, 4e5, 1e-2}, "c"},
		{"weights that vanish", []float64{1, 1, 1e-5, 3e4}, "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := chain(t, 3, c.sizes...)
			x := seededInput(g)
			want, err := reference.Eval(t.Context(), g, map[string][]float64{"x": reference.Widen(x[0])})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			o := Options{Precision: Half, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			eachDevice(t, o, func(t *testing.T, d *device) {
				log.Reset()
				r := execute(t, d, g, x)
				for _, n := range g.Nodes {
					_, half := r.Precisions[n.Name]
					if kept := strings.Contains(c.kept, n.Name); kept == half {
						t.Errorf("node %q: got %v, want float32 %v", n.Name, r.Precisions[n.Name], kept)
					}
					if logged := strings.Contains(log.String(), "node="+n.Name+" "); logged != strings.Contains(c.kept, n.Name) {
						t.Errorf("node %q: logged %v:\n%s", n.Name, logged, &log)
					}
				}
				if e := golden.L2Error(reference.Widen(r.Outputs[0]), want[g.Outputs[0].Name]); !(e <= 3e-3) {
					t.Errorf("relative L2 error: got %g, want at most 3e-3", e)
				}
			})
		})
	}
}

// TestLayersWhoseSumsWouldLeaveFloat16KeepFloat32 has results that float16 holds, of terms whose sums it may not hold.
func TestLayersWhoseSumsWouldLeaveFloat16KeepFloat32(t *testing.T) {
	const kernel = "conv2d_tile32x32_f16a"
	for _, c := range []struct {
		name  string
		sizes []float64
		wide  string // the nodes whose sums must stay float32
	}{
		{"an ordinary network", []float64{1, 1, 1, 1}, ""},
		{"large terms", []float64{1, 1200, 1e-3, 1}, "b"},
		{"large operands", []float64{1200, 1, 1e-3, 1}, "ab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := chain(t, 2, c.sizes...)
			x := seededInput(g)
			want, err := reference.Eval(t.Context(), g, map[string][]float64{"x": reference.Widen(x[0])})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			o := Options{Precision: HalfArithmetic, Kernels: []string{kernel, "conv2d_packed8x4_f16"}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			eachDevice(t, o, func(t *testing.T, d *device) {
				skipWithoutArithmetic(t, d, kernel)
				log.Reset()
				r := execute(t, d, g, x)
				for _, n := range g.Nodes {
					p, half := r.Precisions[n.Name]
					if wide := strings.Contains(c.wide, n.Name); !half || wide != (p.HalfTerms == 0) {
						t.Errorf("node %q: got %v, want float16 with sums of float32 %v", n.Name, p, wide)
					}
					if logged := strings.Contains(log.String(), "node="+n.Name+" "); logged != strings.Contains(c.wide, n.Name) {
						t.Errorf("node %q: logged %v:\n%s", n.Name, logged, &log)
					}
				}
				if e := golden.L2Error(reference.Widen(r.Outputs[0]), want[g.Outputs[0].Name]); !(e <= 3e-3) {
					t.Errorf("relative L2 error: got %g, want at most 3e-3", e)
				}
			})
		})
	}
}

func TestCalibrationUsesTheCallersInput(t *testing.T) {
	g := chain(t, 2, 1, 100, 1e-2)
	var seen []graph.Port
	small := Options{Precision: Half, Calibrate: func(ports []graph.Port) [][]float32 {
		seen = ports
		return [][]float32{make([]float32, ports[0].Type.Shape.Elems())}
	}}
	large := small
	large.Calibrate = func(ports []graph.Port) [][]float32 {
		x := make([]float32, ports[0].Type.Shape.Elems())
		for i := range x {
			x[i] = 500
		}
		return [][]float32{x}
	}
	for _, c := range []struct {
		o    Options
		half int
	}{{small, 3}, {large, 1}} {
		eachDevice(t, c.o, func(t *testing.T, d *device) {
			if stored := execute(t, d, g, seededInput(g)).Precisions; len(stored) != c.half {
				t.Errorf("float16 nodes: got %v, want %d", stored, c.half)
			}
		})
	}
	if len(seen) != 1 || seen[0].Name != "x" || seen[0].Type != graph.F32(1, 8, 5, 7) {
		t.Errorf("ports: got %v, want x of one picture", seen)
	}
	wrong := small
	wrong.Calibrate = func([]graph.Port) [][]float32 { return nil }
	eachDevice(t, wrong, func(t *testing.T, d *device) {
		if e, err := d.Compile(context.Background(), g); err == nil || !strings.Contains(err.Error(), `calibrate: input "x"`) {
			t.Errorf("no numbers: got %v, %v", e, err)
		}
	})
}

func TestHalfCompileOfAClosedDevice(t *testing.T) {
	eachFreshDevice(t, Options{Precision: Half}, func(t *testing.T, d *device) {
		d.Close()
		if _, err := d.Compile(context.Background(), chain(t, 1, 1)); !errors.Is(err, backend.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestPrecisionsAreVariantsOfTheBackend(t *testing.T) {
	r := &backend.Registry{}
	if err := r.Register(New(Options{})); err != nil {
		t.Fatal(err)
	}
	b, err := r.Backend("vulkan@f16")
	if err != nil {
		t.Fatal(err)
	}
	if b.Name() != "vulkan@f16" || b.(*vulkan).opts.Precision != Half {
		t.Errorf("got %q with %v", b.Name(), b.(*vulkan).opts.Precision)
	}
	if b, err := r.Backend("vulkan@f16a"); err != nil || b.Name() != "vulkan@f16a" || b.(*vulkan).opts.Precision != HalfArithmetic {
		t.Errorf("got %v, %v", b, err)
	}
	if b, err := r.Backend("vulkan@f32"); err != nil || b.Name() != "vulkan" {
		t.Errorf("got %v, %v", b, err)
	}
	for name, want := range map[string]Precision{"vulkan@fenced": Float32, "vulkan@f16-fenced": Half, "vulkan@f16a-fenced": HalfArithmetic} {
		b, err := r.Backend(name)
		if err != nil || b.Name() != name || b.(*vulkan).opts.Precision != want || !b.(*vulkan).opts.Fences {
			t.Errorf("%s: got %v, %v", name, b, err)
		}
	}
	for _, name := range []string{"vulkan@-fenced", "vulkan@fenced-f16", "vulkan@f8-fenced", "vulkan@"} {
		if b, err := r.Backend(name); err == nil || !strings.Contains(err.Error(), "or one of them and -fenced, or fenced alone") {
			t.Errorf("%s: got %v, %v", name, b, err)
		}
	}
	if _, err := r.Backend("vulkan@f8"); err == nil || !strings.Contains(err.Error(), "want f32, f16 or f16a") {
		t.Errorf("unknown precision: got %v", err)
	}
}
