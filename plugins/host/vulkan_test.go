//go:build unix && cgo

package host

import (
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/schedule"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/backendtest/vulkantest"
)

// TestResNet50OverAPluginAndVulkan has the 3×3 convolution of every block done by a plugin and everything else by Vulkan. On pictures of
// 64×64 the logits must be those of the float64 reference; with RESNET_RUN_FULL at 224×224 those of PyTorch in float64.
func TestResNet50OverAPluginAndVulkan(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole network, and the reference runs it too")
	}
	side := 64
	if os.Getenv("RESNET_RUN_FULL") != "" {
		side = 224
	}
	b, w := startBeside(t, "cpu", patient) // a Vulkan driver keeps goroutines and files of its own
	plugin, vulkan := openDevice(t, b), vulkantest.Open(t)
	d, err := schedule.New(schedule.Options{
		Devices: []schedule.Member{{Name: "vulkan", Device: vulkan}, {Name: "plugin", Device: plugin}},
		Place:   []schedule.Rule{{Nodes: "layer*.conv2", Device: "plugin"}, {Nodes: "*", Device: "vulkan"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, d)
	c := backendtest.GoldenNetwork(t, "resnet50", side)
	plan, err := d.Plan(t.Context(), c.Graph)
	if err != nil {
		t.Fatal(err)
	}
	convolutions := 0
	for _, part := range plan.Routes[0].Parts {
		for _, n := range part.Nodes {
			if conv2 := strings.HasSuffix(n, ".relu2"); conv2 != (part.Device == "plugin") { // the name after the passes
				t.Errorf("node %q is on %s", n, part.Device)
			} else if conv2 {
				convolutions++
			}
		}
	}
	if convolutions != 16 {
		t.Errorf("the plugin has %d convolutions, want that of each of the 16 blocks", convolutions)
	}
	backendtest.CheckLogits(t, d, c)
	if err := b.now.alive(); err != nil {
		t.Errorf("%v, log:\n%s", err, w.log)
	}
}
