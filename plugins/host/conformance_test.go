//go:build unix

package host

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
)

// TestConformance runs the suite over the wire: what a plugin is to callers must be what its backend is. Without
// RESNET_RUN_FULL it is the contract, concurrent and cancelled runs, and some convolutions.
func TestConformance(t *testing.T) {
	for name, filter := range map[string]string{"cpu": `^(contract|outputs|inputs|concurrent|cancel|replay)/|^conv2d/n1-.*/ordinary$`, "reference": `^contract/`} {
		t.Run(name, func(t *testing.T) {
			o := conformance.Options{Filter: filter}
			if os.Getenv("RESNET_RUN_FULL") != "" {
				o = conformance.Options{Profile: conformance.Full}
			} else if testing.Short() {
				o.Filter = `^contract`
			}
			b, _ := start(t, name, patient)
			s := conformance.Run(t, func(t *testing.T) backend.Device { return openDevice(t, b) }, o)
			if s.Passed < 20 {
				t.Errorf("got %+v, want at least 20 cases that passed", s)
			}
			if deaths := b.deaths; deaths > 0 {
				t.Errorf("the plugin died %d times: %v", deaths, b.last)
			}
		})
	}
}

// TestConformanceGoesOnAfterAPluginThatEnds has a plugin that some cases end: these fail, and no other.
func TestConformanceGoesOnAfterAPluginThatEnds(t *testing.T) {
	for mode, test := range map[string]struct {
		limits Limits
		want   string
	}{
		"exits": {brief, "it ended with status 7"},
		"stops": {Limits{Start: 2 * time.Minute, Patience: 4 * time.Second, Health: 50 * time.Millisecond, Pause: time.Millisecond}, "it did not answer within 4s: health check"},
		"eats":  {Limits{Memory: 256 << 20}, "that RESNET_RUN_PLUGIN_MEMORY allows"},
	} {
		t.Run(mode, func(t *testing.T) {
			b, _ := start(t, mode+forThreeRows, test.limits)
			died := 0
			open := func(ctx context.Context) (backend.Device, error) {
				list, err := b.Devices(ctx)
				if err != nil {
					return nil, err
				}
				return b.Open(ctx, list[0].ID)
			}
			s, err := conformance.Execute(t.Context(), open, conformance.Options{Filter: "^softmax/n(3-c33/|8-c10/|8-c64/)"}, func(r conformance.Result) error {
				ends := strings.HasPrefix(r.Case.Name, "softmax/n3-")
				if ends {
					died++
				}
				if (r.Status == conformance.Failed) != ends || ends && !strings.Contains(r.Err.Error(), test.want) {
					t.Errorf("%s: got %v, %v", r.Case.Name, r.Status, r.Err)
				}
				return nil
			})
			if err != nil || died != 2 || s.Passed < 3 {
				t.Errorf("got %d deaths, %v, %v", died, s, err)
			}
		})
	}
}
