package vulkan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

var _ backend.KernelReporter = (*executable)(nil)

// Kernels has the driver compile the executable's kernels again, on a logical device of its own, and say what it made of them: pipelines that are asked for
// that are not looked for in caches by all drivers, and what runs should come from there.
//
// Errors: backend.ErrUnsupported when the driver lacks VK_KHR_pipeline_executable_properties, backend.ErrClosed, backend.ErrDeviceLost, and the context's.
func (e *executable) Kernels(ctx context.Context) ([]backend.KernelReport, error) {
	wrap := func(err error) error { return fmt.Errorf("kernels of %q: %w", e.name, err) }
	d := e.dev
	if err := d.enter(); err != nil {
		return nil, wrap(err)
	}
	defer d.leave()
	if err := acquire(ctx, e.turn); err != nil {
		return nil, wrap(err)
	}
	closed := e.closed
	<-e.turn
	if closed {
		return nil, wrap(backend.ErrClosed)
	}
	c, err := newCompiler(d.inst, candidate{d.info, d.facts, d.physical}, d.opts)
	if err != nil {
		return nil, wrap(mapError(err))
	}
	defer c.close()
	list, err := c.report(ctx, e.plan.Steps)
	if err != nil {
		return nil, wrap(mapError(err))
	}
	return list, nil
}

// compiler is a device that compiles kernels and runs none.
type compiler struct{ device }

// newCompiler makes one of a physical device, which need not be able to run anything: there are drivers that compile for a GPU that is not there.
func newCompiler(inst *vk.Instance, c candidate, o Options) (*compiler, error) {
	features := wantedFeatures(&c.facts)
	if features.PipelineExecutableInfo = c.facts.Features.PipelineExecutableInfo; !features.PipelineExecutableInfo {
		return nil, backend.Unsupported("kernel statistics", "a driver with VK_KHR_pipeline_executable_properties", c.info.Driver)
	}
	family, _ := c.facts.ComputeQueue()
	dev, err := inst.CreateDevice(c.handle, vk.DeviceOptions{QueueFamily: family, Features: features})
	if err != nil {
		return nil, err
	}
	k := &compiler{device{info: c.info, facts: c.facts, limits: limits(&c.facts), inst: inst, dev: dev}}
	o.NoCache = true
	k.configure(o)
	if k.kernels, err = newKernels(&k.device); err != nil {
		dev.Destroy()
		return nil, err
	}
	k.kernels.statistics = true
	return k, nil
}

func (c *compiler) close() {
	c.kernels.destroy()
	c.dev.Destroy()
}

// report compiles the kernels of steps.
func (c *compiler) report(ctx context.Context, steps []*plan.Step) (list []backend.KernelReport, err error) {
	made, err := c.kernels.getAll(ctx, steps)
	if err != nil {
		return nil, err
	}
	defer c.kernels.release(made)
	at := map[string][]int{} // in the list, by pipeline
	for i, s := range steps {
		key := pipelineKey(s)
		if _, ok := at[key]; !ok {
			all, err := c.dev.Statistics(made[i].pipeline)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Variant.Name, err)
			}
			for _, x := range all {
				at[key] = append(at[key], len(list))
				list = append(list, reportOf(s, x))
			}
		}
		for _, j := range at[key] {
			if r := &list[j]; !slices.Contains(r.Nodes, s.Node) {
				r.Nodes = append(r.Nodes, s.Node)
			}
		}
	}
	return list, nil
}

func reportOf(s *plan.Step, x vk.Executable) backend.KernelReport {
	r := backend.KernelReport{Kernel: s.Variant.Name, Invocations: s.Variant.LocalSize, SubgroupSize: x.SubgroupSize}
	if r.Invocations == 0 {
		r.Invocations = int(s.Spec[0])
	}
	for _, stat := range x.Statistics {
		r.Statistics = append(r.Statistics, backend.KernelStatistic(stat))
	}
	r.Spilled = spilled(r.Statistics)
	return r
}

// spilled is how much a compiler keeps in memory of what belongs into registers, in whatever unit: statistics have no common names.
func spilled(list []backend.KernelStatistic) (most float64) {
	for _, s := range list {
		switch strings.ToLower(s.Name) {
		case "spilled vgprs", "scratch size", // RADV
			"spill count", "scratch memory size", // ANV
			"stp count",        // Turnip
			"tmu spills",       // V3DV
			"spills",           // Honeykrisp
			"spills to memory": // NVK
			most = max(most, s.Value)
		}
	}
	return most
}
