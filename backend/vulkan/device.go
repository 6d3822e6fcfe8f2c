package vulkan

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// device is an open Vulkan device with what its executables share.
type device struct {
	opts   Options
	info   backend.DeviceInfo
	facts  facts.Facts
	limits plan.Limits
	inst   *vk.Instance
	dev    *vk.Device

	physical vk.PhysicalDevice

	// What kernels that emulate matrix units take for those of the device; for tests, and for Options.Kernels that name one.
	emulate         plan.MatrixShape
	emulateSubgroup int

	unified     bool          // the host can write the device's memory
	bound       time.Duration // of a submission; 0 is none
	allocations atomic.Int64  // live ones: a device allows only so many (maxMemoryAllocationCount)

	allocatedBytes atomic.Int64 // of those that are live

	// life is held for reading by every call in progress, a run that was given up on included, and for writing by Close.
	life   sync.RWMutex
	closed bool
	lost   atomic.Bool

	compute *queue
	copies  *queue // the same, unless the family has another: then copies run beside kernels

	kernels  *kernels
	staging  *staging
	outcomes *outcomes
	tuning   atomic.Pointer[Tuning]

	childMu  sync.Mutex
	children map[child]struct{}
	nextID   atomic.Uint64
}

// child is a buffer or an executable.
type child interface{ destroy() }

var _ backend.Device = (*device)(nil)

func open(o Options, inst *vk.Instance, c candidate) (*device, error) {
	family, _ := c.facts.ComputeQueue()
	queues := min(c.facts.QueueFamilies[family].Count, 2)
	dev, err := inst.CreateDevice(c.handle, vk.DeviceOptions{QueueFamily: family, Queues: queues, Features: wantedFeatures(&c.facts)})
	if err != nil {
		return nil, err
	}
	d := &device{
		info: c.info, facts: c.facts, limits: limits(&c.facts), inst: inst, dev: dev, physical: c.handle, children: map[child]struct{}{},
		compute: &queue{handle: dev.Queue(0)},
	}
	if d.copies = d.compute; queues > 1 {
		d.copies = &queue{handle: dev.Queue(1)}
	}
	d.configure(o)
	if o.Precision == HalfArithmetic && !d.limits.Float16 {
		o.Logger.Warn("float16 is stored, but not multiplied: the device has no such arithmetic (shaderFloat16)", "device", c.info.Name)
	}
	d.outcomes = newOutcomes(d)
	if d.kernels, err = newKernels(d); err == nil {
		d.staging, err = newStaging(d)
	}
	if err != nil {
		if d.kernels != nil {
			d.kernels.destroy()
		}
		dev.Destroy()
		return nil, err
	}
	return d, nil
}

// configure takes options, and what follows from them alone.
func (d *device) configure(o Options) {
	d.opts = o
	d.unified = d.facts.UnifiedMemory() && !o.ForceStaging
	d.bound = submissionBound(o, d.facts.Type == facts.DeviceCPU)
	d.emulate, d.emulateSubgroup = emulatedShape(o.Kernels)
	d.SetTuning(o.Tuning)
}

// emulatedShape is the shape of matrices, and the number of invocations that share one, for kernels that emulate matrix units. Who asks for such a kernel wants
// some shape: one whose sizes are not to be confused. In the smallest tile a column has more pixels than a subgroup has invocations, and the tile more than
// the workgroup, which makes another path through the kernel.
func emulatedShape(kernels []string) (shape plan.MatrixShape, subgroup int) {
	for _, name := range kernels {
		v := shaders.Lookup(name)
		switch {
		case v == nil || !v.Emulated:
		case v.PixelTile == 32:
			return plan.MatrixShape{M: 8, N: 32, K: 16}, 4
		default:
			shape, subgroup = plan.MatrixShape{M: 16, N: 8, K: 32}, 32
		}
	}
	return shape, subgroup
}

// Info returns the device's facts.
func (d *device) Info() backend.DeviceInfo {
	info := d.info
	info.Properties = maps.Clone(info.Properties) // the caller may change its copy
	return info
}

// Supports reports whether a kernel exists for the node within the device's limits that was not struck off.
func (d *device) Supports(n *graph.Node) error {
	if err := plan.Supports(d.limits, d.planOptions(), n); err != nil {
		return err
	}
	return d.outcomes.refuses(n)
}

func (d *device) planOptions() plan.Options {
	return plan.Options{
		Variants: d.opts.Kernels, Direct: d.opts.Direct, MaxChunk: d.opts.MaxChunk, Half: d.opts.Precision != Float32, HalfTerms: d.opts.Precision == HalfArithmetic,
		Emulate: d.emulate, EmulateSubgroup: d.emulateSubgroup, Fence: d.fence(),
	}
}

// enter begins a call; leave ends it. Between the two the device is not destroyed.
func (d *device) enter() error {
	d.life.RLock()
	var err error
	switch {
	case d.closed:
		err = backend.ErrClosed
	case d.lost.Load():
		err = backend.ErrDeviceLost
	default:
		return nil
	}
	d.life.RUnlock()
	return err
}

func (d *device) leave() { d.life.RUnlock() }

// fail translates an error of the Vulkan layer and remembers a lost device.
func (d *device) fail(err error) error {
	err = mapError(err)
	if err != nil && isLost(err) && !d.lost.Swap(true) {
		d.opts.Logger.Error("Vulkan device lost", "device", d.info.Name, "error", err)
	}
	return err
}

// Close releases everything that was made from the device.
func (d *device) Close() error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.childMu.Lock()
	for c := range d.children {
		c.destroy()
	}
	d.children = nil
	d.childMu.Unlock()
	d.staging.destroy()
	d.kernels.save()
	d.kernels.destroy()
	d.dev.Destroy()
	d.inst.Close()
	return nil
}

func (d *device) adopt(c child) {
	d.childMu.Lock()
	d.children[c] = struct{}{}
	d.childMu.Unlock()
}

// disown reports whether the child was still to be destroyed.
func (d *device) disown(c child) bool {
	d.childMu.Lock()
	defer d.childMu.Unlock()
	_, ok := d.children[c]
	delete(d.children, c)
	return ok
}

// closeChild destroys a buffer or executable once, unless the device did.
func (d *device) closeChild(c child) {
	d.life.RLock() // not enter: a lost device's children are released too
	defer d.life.RUnlock()
	if !d.closed && d.disown(c) {
		c.destroy()
	}
}

// NewBuffer allocates a tensor.
func (d *device) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if t.DType.SizeBytes() == 0 {
		return nil, fmt.Errorf("make buffer of %v: %w", t, backend.Unsupported("dtype", "a valid element type", t.DType.String()))
	}
	if err := d.enter(); err != nil {
		return nil, fmt.Errorf("make buffer of %v: %w", t, err)
	}
	defer d.leave()
	m, err := d.allocate(uint64(t.SizeBytes())+d.fence(), deviceMemory)
	if err != nil {
		return nil, fmt.Errorf("make buffer of %v: %w", t, d.fail(err))
	}
	m.fence = d.fence()
	b := &buffer{dev: d, typ: t, id: d.nextID.Add(1), mem: m, use: make(chan struct{}, 1)}
	d.adopt(b)
	return b, nil
}

// queue is a queue of a device. What another queue wrote is to be waited for by its fence and then made visible by [device.begin].
type queue struct {
	handle vk.Queue
	mu     sync.Mutex // submissions must not overlap
}

// submit hands recorded command buffers to a queue as one submission, in order.
func (d *device) submit(q *queue, f vk.Fence, cmds ...vk.CommandBuffer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return d.dev.QueueSubmit(q.handle, f, cmds...)
}

// begin starts recording a command buffer. What is submitted to one queue ends with a barrier for what follows there; with two queues,
// the fence that was waited for in between made all writes available, but they are visible to a command only behind a barrier.
func (d *device) begin(cmd vk.CommandBuffer, once bool) error {
	if err := d.dev.BeginCommandBuffer(cmd, once); err != nil {
		return err
	}
	if d.copies != d.compute {
		d.dev.CmdBarrier(cmd, afterRun, afterRun, vk.AccessShaderWrite|vk.AccessTransferWrite, accessAfterRun)
	}
	return nil
}
