package vulkan

import (
	"context"
	"errors"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// TestPeakComesFromRightAnswers: MeasurePeak checks its results itself; rates that no machine has would be a wrong count.
func TestPeakComesFromRightAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds on software drivers")
	}
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		before := d.AllocatedBytes()
		p, err := d.MeasurePeak(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", p)
		if f := p.FLOPsPerSecond(graph.Float32); !(f > 1e6 && f < 1e16) {
			t.Errorf("got %g FLOP/s", f)
		}
		want := 2 + len(d.limits.Matrices) // float32, fused and not
		if d.facts.Features.ShaderFloat16 {
			want += 2
		}
		if has := p.FLOPsPerSecond(graph.Float16) > 0; has != d.facts.Features.ShaderFloat16 || len(p.Arithmetic) != want {
			t.Errorf("got %+v, want float32 and, as the device has it (%v), float16, fused and not", p, d.facts.Features.ShaderFloat16)
		}
		if b := p.BytesPerSecond; !(b > 1e6 && b < 1e15) {
			t.Errorf("got %g B/s", b)
		}
		if now := d.AllocatedBytes(); now-before > stagingBytes+1<<20 { // the staging memory is made on first use and stays
			t.Errorf("%d bytes stay allocated", now-before)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.MeasurePeak(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v", err)
		}
	})
}

// TestAllocatedBytesComesBackToWhereItWas counts a buffer and an executable.
func TestAllocatedBytesComesBackToWhereItWas(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		before := d.AllocatedBytes()
		e, in, out := ready(t, d, g)
		want := int64(g.Cost().ParamBytes + int64(in[0].Type().SizeBytes()))
		if got := d.AllocatedBytes() - before; got < want {
			t.Errorf("got %d bytes, want at least %d for weights and input", got, want)
		}
		closeAll(in, out)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if got := d.AllocatedBytes(); got != before && got != before+stagingBytes {
			t.Errorf("got %d bytes after closing, want %d", got, before)
		}
	})
	var _ backend.MemoryReporter = (*device)(nil)
}
