package vulkan

import (
	"log/slog"

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

// ampleRoom is how many times what a network reads and writes a plan takes at the very most: weights and tensors of transforms are four and two times as large, and
// channels come in fours.
const ampleRoom = 16

// makeRoom changes options until the plan that the rule makes is within what the device has left, or nothing helps. That is before proofs and
// measurements, which take the memory of their layers. Drivers need not refuse what is beyond: some move memory to the host and become slow, some fail later.
func (d *device) makeRoom(g *graph.Graph, opt *plan.Options) error {
	if err := d.enter(); err != nil {
		return err
	}
	free := d.freeMemory()
	d.leave()
	if cost := g.Cost(); uint64(cost.ReadBytes)+uint64(cost.WriteBytes) < free/ampleRoom {
		return nil
	}
	for {
		rule := *opt
		if d.proves(opt) {
			rule.Judge = d.outcomes.struck
		}
		p, err := plan.Build(d.limits, rule, g)
		if err != nil {
			return err
		}
		if again, err := d.relieve(g, p, opt, false); !again || err != nil {
			return err
		}
	}
}

// relieve changes options for a plan that is above the device's free memory: the batch where that is what is too large, else the weights, which transforms
// make four times as large. It is false where the plan fits, or nothing helps, which is said of the plan that is last.
func (d *device) relieve(g *graph.Graph, p *plan.Plan, opt *plan.Options, last bool) (again bool, err error) {
	if err := d.enter(); err != nil {
		return false, err
	}
	n, free := needsOf(g, p), d.freeMemory()
	d.leave()
	if n.arena+n.weights+n.buffers <= free {
		return false, nil
	}
	log := d.opts.Logger.With("graph", g.Name, "batch", p.Batch, "free", free, "weights", n.weights, "buffers", n.buffers, "intermediate", n.arena)
	if again = lessen(p, opt, n.weights+n.buffers <= free, "it is above the device's memory budget", log); !again && last {
		log.Warn("the device's memory may not hold the network")
	}
	return again, nil
}

// lessen changes options so that the next plan takes less memory than p: smaller parts of the batch, where those help, else no transforms. It is false where
// there is nothing left.
func lessen(p *plan.Plan, opt *plan.Options, partsHelp bool, why string, log *slog.Logger) bool {
	switch {
	case partsHelp && p.Chunk > 1:
		opt.MaxChunk = (p.Chunk + 1) / 2
		log.Warn("batch split, as "+why, "parts of", opt.MaxChunk)
	case len(p.Transforms) > 0 && !opt.Direct:
		opt.Direct = true
		log.Warn("convolutions without transforms, as the device's memory does not hold their weights and tensors")
	default:
		return false
	}
	return true
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
