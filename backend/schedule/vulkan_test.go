//go:build cgo

package schedule

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/backendtest/vulkantest"
)

// TestResNet50OverVulkanAndCPU forces the 3×3 convolution of every block to the CPU and everything else to Vulkan. On pictures of 64×64 the
// logits must be those of the float64 reference; with RESNET_RUN_FULL at 224×224 those of PyTorch in float64.
func TestResNet50OverVulkanAndCPU(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole network, and the reference runs it too")
	}
	side := 64
	if os.Getenv("RESNET_RUN_FULL") != "" {
		side = 224
	}
	c := backendtest.GoldenNetwork(t, "resnet50", side)
	host, err := cpu.New(cpu.Options{}).Open(context.Background(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	d := schedule(t, Options{
		Devices: []Member{{"vulkan", vulkantest.Open(t)}, {"cpu", host}}, Place: []Rule{{"layer*.conv2", "cpu"}, {"*", "vulkan"}},
	})
	p, err := d.Plan(t.Context(), c.Graph)
	if err != nil {
		t.Fatal(err)
	}
	parts, nodes := map[string]int{}, map[string]int{}
	for _, part := range p.Routes[0].Parts {
		parts[part.Device]++
		nodes[part.Device] += len(part.Nodes)
		for _, n := range part.Nodes {
			if conv2 := strings.HasSuffix(n, ".relu2"); conv2 != (part.Device == "cpu") { // the name after the passes
				t.Errorf("node %q is on %s", n, part.Device)
			}
		}
	}
	if parts["cpu"] != 16 || nodes["cpu"] != 16 || parts["vulkan"] != 17 {
		t.Fatalf("got parts %v with nodes %v, want 16 convolutions on the CPU between 17 parts", parts, nodes)
	}
	backendtest.CheckLogits(t, d, c)
}
