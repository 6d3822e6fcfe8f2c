package cpu

import (
	"context"
	"errors"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

func TestThePeakIsMeasured(t *testing.T) {
	eachSet(t, 2, func(t *testing.T, d *device) {
		p, err := d.MeasurePeak(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := p.FLOPsPerSecond(graph.Float32); !(got > 1e6 && got < 1e15) {
			t.Errorf("%g operations a second", got)
		}
		if !(p.BytesPerSecond > 1e6 && p.BytesPerSecond < 1e14) {
			t.Errorf("%g bytes a second", p.BytesPerSecond)
		}
	})
	d := open(t, Options{Threads: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.MeasurePeak(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	d.Close()
	if _, err := d.MeasurePeak(t.Context()); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("closed: got %v", err)
	}
}
