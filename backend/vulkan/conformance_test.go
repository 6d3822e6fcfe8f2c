package vulkan

import (
	"context"
	"errors"
	"flag"
	"os"
	"slices"
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
func TestConformance(t *testing.T) { testConformance(t, Float32) }

// TestHalfConformance is the same with float16 storage. What is not stored as float16 runs above, so that the everyday run takes of
// the quick profile what is, and of the convolutions those of several pictures.
func TestHalfConformance(t *testing.T) { testConformance(t, Half) }

const halfCases = "^(add|relu|max_pool|global_avg_pool|block|network|outputs|replay|concurrent|cancel)/|^conv2d/n[2-9]-"

func testConformance(t *testing.T, p Precision) {
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
	} else if p == Half {
		o.Filter = halfCases
	}
	var mu sync.Mutex
	var messages []string
	b := New(Options{NoCache: true, Precision: p, Validation: true, Unproved: true, OnMessage: func(m string) {
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
			if least := map[Precision]int{Float32: 2000, Half: 500}[p]; s.Run < least && !alone {
				t.Errorf("got %v, want at least %d run", s, least)
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

// TestKernelsStayInBounds runs a case or two of each op with GPU-assisted validation, under which kernels check every access. Without
// it a driver that runs on the CPU leaves out what lies outside of a binding, and a kernel that writes there passes the suite.
func TestKernelsStayInBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("kernels take long to compile with every access checked")
	}
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	t.Setenv("VK_LAYER_ENABLES", "VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT")
	var mu sync.Mutex
	var messages []string
	b := New(Options{NoCache: true, Validation: true, Unproved: true, OnMessage: func(m string) {
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
	i := slices.IndexFunc(list, func(d backend.DeviceInfo) bool { return strings.HasPrefix(d.Name, "llvmpipe") })
	if i < 0 {
		t.Skip("lavapipe is the driver on which the layer's instrumentation is known to work")
	}
	open := func(t *testing.T) backend.Device {
		d, err := b.Open(context.Background(), list[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	s := conformance.Run(t, open, conformance.Options{Filter: `^(batch_norm|relu|add|global_avg_pool|channel_pad|subsample)/n2-c65-h3-w3.*/integers$|` +
		`^(max|avg)_pool/n1-c7-h1-w1/r1-s1|^linear/n3-c17-k17/|^softmax/n65541-|^conv2d/n3-c7-h14-w19-k21-g1/r1-s1`})
	if alone := strings.Contains(flag.Lookup("test.run").Value.String(), "/"); s.Run < 10 && !alone {
		t.Errorf("got %v, want at least 10 run", s)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, m := range messages {
		t.Errorf("validation: %s", m)
	}
}
