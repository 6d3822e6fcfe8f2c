package cpu_test

import (
	"context"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/conformance"
)

// TestConformance holds the backend against the quick profile of the suite.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute under the race detector")
	}
	open := func(t *testing.T) backend.Device {
		ctx := context.Background()
		b := cpu.New(cpu.Options{})
		list, err := b.Devices(ctx)
		if err != nil {
			t.Fatal(err)
		}
		d, err := b.Open(ctx, list[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if s := conformance.Run(t, open, conformance.Options{}); s.Run < 1000 {
		t.Errorf("got %v, want at least 1000 run", s)
	}
}
