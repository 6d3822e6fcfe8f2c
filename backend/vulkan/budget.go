package vulkan

import (
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
)

// needs is the device memory of an executable and of the buffers of one run.
type needs struct{ arena, weights, buffers uint64 }

func needsOf(g *graph.Graph, p *plan.Plan) needs {
	n := needs{arena: p.ArenaBytes}
	for _, size := range p.PageBytes {
		n.weights += size
	}
	sig := g.Signature()
	for _, ports := range [][]graph.Port{sig.Inputs, sig.Outputs} {
		for _, port := range ports {
			n.buffers += uint64(port.Type.SizeBytes())
		}
	}
	return n
}

// fits tells whether the plan is to be tried: its memory is within what the device has left, or smaller parts of the batch
// would not help. Drivers need not refuse what is beyond that: some move memory to the host and become slow, some fail later.
func (d *device) fits(g *graph.Graph, p *plan.Plan) bool {
	n, free := needsOf(g, p), d.freeMemory()
	if n.arena+n.weights+n.buffers <= free {
		return true
	}
	log := d.opts.Logger.With("graph", g.Name, "batch", p.Batch, "free", free, "weights", n.weights, "buffers", n.buffers, "intermediate", n.arena)
	if p.Chunk <= 1 || n.weights+n.buffers > free {
		log.Warn("the device's memory may not hold the network")
		return true
	}
	log.Warn("batch split, as it is above the device's memory budget", "parts of", (p.Chunk+1)/2)
	return false
}

// freeMemory is how many bytes may still be allocated for kernels to use: what the driver tells (VK_EXT_memory_budget), else
// the size of the heap less what this device has allocated, and in any case no more than Options.MemoryBudget leaves.
func (d *device) freeMemory() uint64 {
	own := uint64(max(d.allocatedBytes.Load(), 0))
	free := ^uint64(0)
	if heap, ok := d.deviceHeap(); ok {
		h := facts.ReadHeaps(d.inst, d.physical, &d.facts)[heap]
		if h.Budget > 0 {
			free = less(h.Budget, h.Usage)
		} else {
			free = less(h.Size, own)
		}
	}
	if limit := d.opts.MemoryBudget; limit > 0 {
		free = min(free, less(uint64(limit), own))
	}
	return free
}

// less is a - b, at least 0.
func less(a, b uint64) uint64 { return a - min(a, b) }

// deviceHeap is the heap that deviceMemory comes from.
func (d *device) deviceHeap() (heap int, ok bool) {
	for _, want := range d.preferences(deviceMemory) {
		if t, ok := d.facts.MemoryType(want, 0); ok {
			return d.facts.MemoryTypes[t].Heap, true
		}
	}
	return 0, false
}
