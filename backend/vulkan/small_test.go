package vulkan

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

// small are limits far below what any device has, so that small cases meet them. Shared memory and invocations are those that Vulkan promises.
func small(lim plan.Limits, binding, allocation uint64, texels uint32) plan.Limits {
	floor := plan.Floor()
	floor.MaxStorageBufferRange, floor.MaxMemoryAllocationSize, floor.MaxTexelBufferElements = binding, allocation, texels
	floor.MaxComputeWorkGroupCount = [3]uint32{60, 40, 80}
	floor.SoftwareDriver, floor.SubgroupSize = lim.SoftwareDriver, lim.SubgroupSize
	return floor
}

// countingDevice hands the plan of each executable on.
type countingDevice struct {
	*device
	count func(*plan.Plan)
}

func (d countingDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.device.Compile(ctx, g)
	if err == nil {
		d.count(e.(*executable).plan)
	}
	return e, err
}

// TestSmallDevices holds plans for such limits against the suite, where the other tests of the planner look at what it plans: batches that are divided,
// weights on several pages, convolutions whose tensors are bound in parts. What does not fit is refused, and the suite sees that Supports and Compile
// agree on it.
func TestSmallDevices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	for _, c := range []struct {
		name                string
		binding, allocation uint64
		texels              uint32
		everyday, filter    string
		run                 int
		met                 func(*plan.Plan) bool
		least               int64
	}{
		{
			"batches", 48 << 10, 1 << 20, 1 << 10, `^(conv2d/(n[3-9]|n2-.*-h([89]|[1-9][0-9]))|block/.*n2/fused|outputs)`, `^(conv2d|block|gate|group_norm|max_pool|outputs)/`, 100,
			func(p *plan.Plan) bool { return p.Chunk < p.Batch }, 20,
		},
		{
			"parts", 32 << 10, 1 << 20, 1 << 10, `^conv2d/(n1-c[0-9]+-h5-w7-k1(68|76)-|n2-c128-h6-w9-)`, `^conv2d/`, 5,
			func(p *plan.Plan) bool {
				return slices.ContainsFunc(p.Steps, func(s *plan.Step) bool { return s.Parts })
			}, 3, // offsets of bindings are multiples of 256, so that few of the small tensors divide
		},
		{
			"pages", 160 << 10, 512 << 10, 8 << 10, `^network/`, `^network/`, 1,
			func(p *plan.Plan) bool { return len(p.PageBytes) > 1 }, 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			filter := c.everyday
			if backendtest.Thorough() {
				filter = c.filter
			}
			eachDriver(t, Options{Unproved: true}, func(t *testing.T, open func(t *testing.T) backend.Device) {
				var met atomic.Int64
				s := conformance.Run(t, func(t *testing.T) backend.Device {
					d := open(t).(*device)
					d.limits = small(d.limits, c.binding, c.allocation, c.texels)
					return countingDevice{d, func(p *plan.Plan) { met.Add(int64(index(c.met(p)))) }}
				}, conformance.Options{Filter: filter})
				if (s.Run < c.run || met.Load() < c.least) && !alone() {
					t.Errorf("got %v, with %d plans of the kind: want at least %d run and %d of the kind", s, met.Load(), c.run, c.least)
				}
			})
		})
	}
}
