package vulkan

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
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
	return execute(t, d, g, inputs).Outputs
}

// execute is runGraph that also tells how nodes were computed and stored.
func execute(t *testing.T, d backend.Device, g *graph.Graph, inputs [][]float32) backendtest.Result {
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
	r := backendtest.Result{Transforms: e.(backend.Transformer).Transforms(), Precisions: e.(backend.MixedPrecision).Precisions()}
	for _, b := range out {
		r.Outputs = append(r.Outputs, readFloats(t, b))
	}
	return r
}

// judge holds every node of a graph against the reference.
func judge(t *testing.T, d backend.Device, g *graph.Graph, inputs [][]float32) (values map[string][]float32) {
	t.Helper()
	values, _ = backendtest.Judge(t, g, inputs, func(g *graph.Graph, inputs [][]float32) backendtest.Result { return execute(t, d, g, inputs) })
	return values
}

// checkCase runs a golden case. It returns how many nodes were stored as float16.
func checkCase(t *testing.T, d *device, c golden.Case) (narrow int) {
	t.Helper()
	r := backendtest.CheckCase(t, c, func(g *graph.Graph, inputs [][]float32) backendtest.Result { return execute(t, d, g, inputs) })
	return len(r.Precisions)
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
