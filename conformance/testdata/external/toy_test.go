package toy

import (
	"context"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
)

func hold(t *testing.T, relu func(x, y []float32)) {
	conformance.Run(t, func(t *testing.T) backend.Device {
		d, err := reference.New().Open(context.Background(), "cpu")
		if err != nil {
			t.Fatal(err)
		}
		return device{d, relu}
	}, conformance.Options{})
}

func TestRight(t *testing.T) {
	hold(t, func(x, y []float32) {
		for i, v := range x {
			if y[i] = v; v < 0 {
				y[i] = 0
			}
		}
	})
}

// TestWrong has a kernel that forgets the elements beyond the last full vector of four. It must fail.
func TestWrong(t *testing.T) {
	hold(t, func(x, y []float32) {
		for i, v := range x[:len(x)&^3] {
			if y[i] = v; v < 0 {
				y[i] = 0
			}
		}
	})
}
