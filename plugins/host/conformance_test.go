//go:build unix

package host

import (
	"os"
	"testing"

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
