package vulkan

import (
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
)

// ruled is the plan that the rule makes, without proofs, and what it chooses.
func ruled(t *testing.T, d *device, g *graph.Graph) (*plan.Plan, []choice) {
	t.Helper()
	p, err := plan.Build(d.limits, d.planOptions(), g)
	if err != nil {
		t.Fatal(err)
	}
	list, err := choicesOf(g, p)
	if err != nil {
		t.Fatal(err)
	}
	return p, list
}

// TestPipelinesOfProofsAreMadeTogether: the proofs find all that they need, and when a process ended in making them, each makes its own.
func TestPipelinesOfProofsAreMadeTogether(t *testing.T) {
	g := parseBound(t, twoConvs)
	eachFreshDevice(t, Options{NoCache: true}, func(t *testing.T, d *device) {
		p, list := ruled(t, d, g)
		there := func() (keys []string) {
			for key := range d.kernels.pipelines {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			return keys
		}
		d.outcomes.makeTogether(t.Context(), list)
		d.outcomes.proved()
		before := there()
		if len(before) < 4 {
			t.Errorf("got %v, want the kernels of two layers, those of the small shapes, and those between formats", before)
		}
		if ok, err := d.outcomes.prove(t.Context(), g, p); err != nil || !ok {
			t.Fatalf("proved %v, %v", ok, err)
		}
		if after := there(); !slices.Equal(before, after) {
			t.Errorf("before the proofs there were %v, after them %v", before, after)
		}
	})
	eachFreshDevice(t, Options{NoCache: true}, func(t *testing.T, d *device) {
		_, list := ruled(t, d, g)
		d.outcomes.known.AddProof(tune.Proof{Key: d.outcomes.togetherKey(), Struck: true, Reason: "a process ended"})
		if d.outcomes.makeTogether(t.Context(), list); len(d.kernels.pipelines) > 0 {
			t.Errorf("%d pipelines were made side by side", len(d.kernels.pipelines))
		}
	})
}
