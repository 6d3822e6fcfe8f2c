// Package cpu is the backend for machines without a GPU: float32 on the vector units of the processor, in Go and
// generated assembly.
//
// # How it computes
//
// Activations are NHWC inside, with a halo of zeros where a convolution pads. A convolution is an implicit matrix
// product: a micro-kernel (package internal/kernel) multiplies runs of channels, as they lie in memory, with packed
// weights, for a tile of pixels by filters, and applies bias, shortcut and ReLU before it writes. Products are summed in
// two levels, blocks of about 128 and then the blocks.
//
// All other ops are loops over the channels of a pixel or a row of pixels. What is the same for every pixel of a picture, the weights of a
// gate or what a group is normalised by, is computed in a step before. Statistics are summed in float64.
//
// Compile reads and packs the weights tensor by tensor, once for all executables of a device where the graph says that they
// are the same (graph.Source), and lays all intermediate values into one arena by lifetime. A run cuts each step into
// tasks for workers that live as long as the executable, and allocates nothing. Each output element is computed by one
// task in one order, so the bits do not depend on the number of workers; they do depend on the instruction set.
//
// 3×3 convolutions of stride 1, of any number of groups, take a quarter of the products by Winograd's algorithm F(4×4,3×3), where
// the picture is large enough to pay for the larger weights, and a group wide enough to pay for the transforms; whether, depends on the
// layer alone, never on batch, threads or machine.
// These are of class B (see backend/reference), and the executable says which; all others are of class A. Options.Direct
// has all of class A.
package cpu

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/backend/hostmem"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/machine"
)

const (
	backendName = "cpu"
	deviceID    = "cpu"
)

// Options change what the backend does.
type Options struct {
	// Threads is how many threads a run uses, the caller's included; 0 is GOMAXPROCS at Open, or as
	// many as the CPU quota of a container has processors, rounded up, when that is less.
	Threads int
	// Kernels is the instruction set: "portable", "avx2" or "avx512". "" is what the environment variable
	// RESNET_RUN_CPU says, or else the fastest that the processor has.
	Kernels string
	// Direct has every convolution computed as a plain sum, of class A. Without it, or the environment variable
	// RESNET_RUN_CPU_DIRECT set to 1, 3×3 convolutions of stride 1 are computed by Winograd's algorithm where that pays:
	// class B, see backend.Transformer.
	Direct bool
}

// kernelsVariable is the environment variable that stands in for [Options].Kernels.
const kernelsVariable = "RESNET_RUN_CPU"

// directVariable is the environment variable that sets [Options].Direct.
const directVariable = "RESNET_RUN_CPU_DIRECT"

var (
	_ backend.Backend    = cpuBackend{}
	_ backend.Device     = (*device)(nil)
	_ backend.Executable = (*executable)(nil)
)

// New returns the backend "cpu". Its one device, "cpu", runs every op of the IR on float32 tensors of up to 2 GiB each.
// It needs nothing of the machine.
func New(o Options) backend.Backend { return cpuBackend{o} }

type cpuBackend struct{ opts Options }

func (cpuBackend) Name() string { return backendName }

func (b cpuBackend) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	d, err := b.device()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return []backend.DeviceInfo{d.info}, nil
}

func (b cpuBackend) Open(ctx context.Context, id string) (backend.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open device %q: %w", id, err)
	}
	if id != deviceID {
		return nil, fmt.Errorf("open device %q: %w of that ID, want %q", id, backend.ErrNoDevice, deviceID)
	}
	d, err := b.device()
	if err != nil {
		return nil, fmt.Errorf("open device %q: %w", id, err)
	}
	return d, nil
}

func (b cpuBackend) device() (*device, error) {
	name := b.opts.Kernels
	if name == "" {
		name = os.Getenv(kernelsVariable)
	}
	set, err := kernel.Choose(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", backend.ErrNoDevice, err)
	}
	d := &device{set: set, direct: b.opts.Direct, workers: b.opts.Threads, packs: newPacks(), children: map[*executable]struct{}{}}
	switch v := os.Getenv(directVariable); v {
	case "", "0":
	case "1":
		d.direct = true
	default:
		return nil, fmt.Errorf("%w: %s=%q: want 0 or 1", backend.ErrNoDevice, directVariable, v)
	}
	if d.workers < 1 {
		d.workers = runtime.GOMAXPROCS(0)
		// A thread that waits spins, and would spend what the quota allows the one that works.
		if quota := quotaCPUs("/"); quota < float64(d.workers) {
			d.workers = max(1, int(math.Ceil(quota)))
		}
	}
	memory := machine.Installed()
	if d.limit = memory; memory == 0 {
		d.limit = 1 << 36
	}
	d.MaxBytes = min(maxTensorBytes, d.limit)
	d.info = backend.DeviceInfo{
		Backend: backendName, ID: deviceID, Name: machine.Processor(), Type: backend.CPU,
		Driver: runtime.Version(), API: runtime.GOOS + "/" + runtime.GOARCH, MemoryBytes: memory,
		Properties: map[string]string{"kernels": set.Name, "threads": fmt.Sprint(d.workers), "convolutions": convolutions[d.direct]},
	}
	return d, nil
}

// convolutions is what the properties say of Direct.
var convolutions = map[bool]string{false: "direct and Winograd F(4x4,3x3)", true: "direct"}

type device struct {
	hostmem.Owner
	info    backend.DeviceInfo
	set     *kernel.Set
	direct  bool
	workers int
	limit   int64 // bytes of an arena
	packs   *packs

	mu       sync.Mutex // of children, and orders Compile before Close
	children map[*executable]struct{}
}

func (d *device) Info() backend.DeviceInfo { return d.info }

func (d *device) Supports(n *graph.Node) error {
	if d.Check() != nil {
		return fmt.Errorf("ask device %q: %w", deviceID, backend.ErrClosed)
	}
	if err := supports(n); err != nil {
		if n == nil || n.Op == nil {
			return err
		}
		return fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), err)
	}
	return nil
}

func (d *device) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if d.Check() != nil {
		return nil, fmt.Errorf("compile graph: %w", backend.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("compile graph: %w", err)
	}
	if err := check(g); err != nil {
		return nil, fmt.Errorf("compile graph: %w", err)
	}
	e, err := newExecutable(ctx, d, g)
	if err != nil {
		return nil, fmt.Errorf("compile graph %q: %w", g.Name, err)
	}
	d.mu.Lock()
	isClosed := d.Check() != nil
	if !isClosed {
		d.children[e] = struct{}{}
	}
	d.mu.Unlock()
	if isClosed {
		e.Close()
		return nil, fmt.Errorf("compile graph %q: %w", g.Name, backend.ErrClosed)
	}
	return e, nil
}

func (d *device) disown(e *executable) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.children, e)
}

// Close ends the executables that were not closed.
func (d *device) Close() error {
	d.mu.Lock()
	_ = d.Owner.Close() // it never fails
	var left []*executable
	for e := range d.children {
		left = append(left, e)
	}
	d.mu.Unlock()
	for _, e := range left {
		e.Close()
	}
	return nil
}
