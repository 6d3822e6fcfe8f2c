package schedule

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// openVulkan opens the machine's first Vulkan device, or skips where there is none; a machine that must have one fails.
func openVulkan(t *testing.T) backend.Device {
	t.Helper()
	b := vulkan.New(vulkan.Options{NoCache: true})
	list, err := b.Devices(t.Context())
	if errors.Is(err, backend.ErrNoDevice) || err == nil && len(list) == 0 {
		if os.Getenv("CI") != "" || os.Getenv("RESNET_RUN_REQUIRE_VULKAN") != "" {
			t.Fatal("Vulkan is required here: ", err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Open(context.Background(), list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("device: ", d.Info().Name)
	return d
}

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
	g, input, want := resnet50(t, side)
	c, err := cpu.New(cpu.Options{}).Open(context.Background(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	d := schedule(t, Options{
		Devices: []Member{{"vulkan", openVulkan(t)}, {"cpu", c}}, Place: []Rule{{"layer*.conv2", "cpu"}, {"*", "vulkan"}},
	})
	p, err := d.Plan(t.Context(), g)
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
	s := open(t, d, g)
	if err := s.in[0].Write(t.Context(), input.Data); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.exec.Run(t.Context(), s.in, s.out); err != nil {
			t.Fatal(err)
		}
		out := graph.NewTensor(s.sig.Outputs[0].Type)
		if err := s.out[0].Read(t.Context(), out.Data); err != nil {
			t.Fatal(err)
		}
		e := golden.L2Error(reference.Widen(out.Float32s()), want)
		t.Logf("relative L2 error of the logits at %d: %.2g", side, e)
		if !(e <= 1e-5) {
			t.Errorf("relative L2 error of the logits: got %g, want at most 1e-5", e)
		}
		if top(out.Float32s()) != top(want) {
			t.Errorf("first class: got %d, want %d", top(out.Float32s()), top(want))
		}
	}
}

// resnet50 is the golden network with the passes run, for a picture of a size, with the logits that it must give.
func resnet50(t *testing.T, side int) (g *graph.Graph, input *graph.Tensor, want []float64) {
	t.Helper()
	var c golden.Case
	for _, n := range golden.Networks() {
		if n.Name == "resnet50" {
			var err error
			if c, err = n.Build(); err != nil {
				t.Fatal(err)
			}
		}
	}
	g, x := c.Graph, c.Inputs[0]
	if side != g.Inputs[0].Type.Shape.Dim(2) {
		config, err := resnet.Lookup("resnet50")
		if err != nil {
			t.Fatal(err)
		}
		data := map[string]*graph.Tensor{}
		for _, p := range g.Params {
			data[p.Name] = p.Data
		}
		if g, err = config.Build(1, side, side); err == nil {
			g, err = g.Bind(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		x = x[:3*side*side]
		output := g.Outputs[0].Name
		values, err := reference.Eval(t.Context(), g, map[string][]float64{g.Inputs[0].Name: reference.Widen(x)}, output)
		if err != nil {
			t.Fatal(err)
		}
		want = values[output]
	} else {
		want = c.Want[g.Outputs[0].Name]
	}
	input, err := graph.FromFloat32s(g.Inputs[0].Type.Shape, x)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = pass.Run(g, pass.Default()); err != nil {
		t.Fatal(err)
	}
	return g, input, want
}

func top[T float32 | float64](v []T) int {
	best := 0
	for i := range v {
		if v[i] > v[best] || math.IsNaN(float64(v[i])) {
			best = i
		}
	}
	return best
}
