package vulkan

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// struckFails fails the test when a kernel is struck off, or does what the test drivers do not.
type struckFails struct {
	slog.Handler
	t *testing.T
}

func (h struckFails) Enabled(context.Context, slog.Level) bool { return true }

func (h struckFails) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "struck off") || strings.Contains(r.Message, "loses NaN") {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
		h.t.Error(text)
	}
	return nil
}

// runGraph compiles g and runs it once, returning the outputs.
func runGraph(t *testing.T, d backend.Device, g *graph.Graph, inputs [][]float32) [][]float32 {
	t.Helper()
	results, _ := runTransformed(t, d, g, inputs)
	return results
}

// runTransformed is runGraph, and tells which nodes were computed through transforms.
func runTransformed(t *testing.T, d backend.Device, g *graph.Graph, inputs [][]float32) ([][]float32, map[string]backend.Winograd) {
	t.Helper()
	ctx := context.Background()
	e, err := d.Compile(ctx, g)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	in, out := newBuffers(t, d, e.Signature())
	defer closeAll(in, out)
	for i, b := range in {
		writeFloats(t, b, inputs[i])
	}
	if err := e.Run(ctx, in, out); err != nil {
		t.Fatal(err)
	}
	results := make([][]float32, len(out))
	for i, b := range out {
		results[i] = readFloats(t, b)
	}
	return results, e.(backend.Transformer).Transforms()
}

// newBuffers makes the buffers of a signature; the outputs are poisoned with NaN.
func newBuffers(t *testing.T, d backend.Device, s graph.Signature) (in, out []backend.Buffer) {
	t.Helper()
	for i, ports := range [][]graph.Port{s.Inputs, s.Outputs} {
		for _, p := range ports {
			b, err := d.NewBuffer(context.Background(), p.Type)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				in = append(in, b)
				continue
			}
			poison := make([]byte, p.Type.SizeBytes())
			for j := range poison {
				poison[j] = 0xff
			}
			if err := b.Write(context.Background(), poison); err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
	}
	return in, out
}

func closeAll(lists ...[]backend.Buffer) {
	for _, l := range lists {
		for _, b := range l {
			b.Close()
		}
	}
}

func writeFloats(t *testing.T, b backend.Buffer, v []float32) {
	t.Helper()
	x, err := graph.FromFloat32s(b.Type().Shape, v)
	if err == nil {
		err = b.Write(context.Background(), x.Data)
	}
	if err != nil {
		t.Fatal(err)
	}
}
