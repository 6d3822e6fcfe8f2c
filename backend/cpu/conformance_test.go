package cpu_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/conformance"
)

// conformanceEnv chooses the profile of TestConformance: quick (the default), full or long.
const conformanceEnv = "RESNET_RUN_CONFORMANCE"

// TestConformance holds the backend against the suite, with the kernels of RESNET_RUN_CPU.
func TestConformance(t *testing.T) {
	o, least := conformance.Options{}, 1000
	if s := os.Getenv(conformanceEnv); s != "" {
		p, err := conformance.ParseProfile(s)
		if err != nil {
			t.Fatal(err)
		}
		o.Profile, o.Timeout = p, time.Hour // emulators take minutes for a network of a hundred layers
	} else if testing.Short() { // the race detector and emulators make the rest slow
		o.Filter, least = "^(contract|replay|cancel|softmax)/|^conv2d/n2-c17-h9-w7-k19-g1/", 50
	}
	open := func(t *testing.T) backend.Device {
		d, err := cpu.New(cpu.Options{}).Open(context.Background(), "cpu")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	s := conformance.Run(t, open, o)
	if s.Run < least {
		t.Errorf("got %v, want at least %d run", s, least)
	}
}
