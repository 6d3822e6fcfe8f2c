package vulkan

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/conformance"
)

// conformanceEnv chooses the profile of TestConformance: quick (the default), full or long.
const conformanceEnv = "RESNET_RUN_CONFORMANCE"

// TestConformance holds every test device against the conformance suite, with the validation layer on.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about a minute on each software driver")
	}
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	var o conformance.Options
	if s := os.Getenv(conformanceEnv); s != "" {
		p, err := conformance.ParseProfile(s)
		if err != nil {
			t.Fatal(err)
		}
		o.Profile = p
	}
	var mu sync.Mutex
	var messages []string
	b := New(Options{NoCache: true, Validation: true, OnMessage: func(m string) {
		mu.Lock()
		defer mu.Unlock()
		messages = append(messages, m)
	}})
	list, err := b.Devices(context.Background())
	if errors.Is(err, backend.ErrNoDevice) {
		vktest.Unavailable(t, err.Error())
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		t.Run(info.Name, func(t *testing.T) {
			open := func(t *testing.T) backend.Device {
				d, err := b.Open(context.Background(), info.ID)
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			s := conformance.Run(t, open, o)
			alone := strings.Contains(flag.Lookup("test.run").Value.String(), "/") // some cases were asked for by name
			if s.Run < 1000 && !alone {
				t.Errorf("got %v, want at least 1000 run", s)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range messages {
				t.Errorf("validation: %s", m)
			}
			messages = nil
		})
	}
}
