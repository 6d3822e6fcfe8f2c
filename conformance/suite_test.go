package conformance_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
)

// profileEnv chooses the profile of the tests that run the suite: quick (the default), full or long.
const profileEnv = "RESNET_RUN_CONFORMANCE"

func openReference(t *testing.T) backend.Device {
	t.Helper()
	d, err := reference.New().Open(context.Background(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReferenceConforms(t *testing.T) {
	o := conformance.Options{Strict: true}
	if s := os.Getenv(profileEnv); s != "" {
		p, err := conformance.ParseProfile(s)
		if err != nil {
			t.Fatal(err)
		}
		o.Profile = p
	}
	if testing.Short() {
		// The race detector makes numbers slow and finds nothing in them; what it is for are runs beside others and hostile use.
		o.Filter = "^((contract|alias|buffers|outputs|inputs)/|(concurrent|replay/25|recompile)/(conv2d|softmax|pools|network-n1)$|cancel/(before|compile)|softmax/n3-)"
	}
	s := conformance.Run(t, openReference, o)
	alone := strings.Contains(flag.Lookup("test.run").Value.String(), "/") // some cases were asked for by name
	if s.Refused+s.Skipped > 0 || s.Run < 1000 && !alone && !testing.Short() || s.Run < 90 && !alone {
		t.Errorf("got %v, want at least 1000 run, none refused or skipped", s)
	}
}
