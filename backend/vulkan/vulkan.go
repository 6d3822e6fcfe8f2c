// Package vulkan is the main backend of resnet-run: it runs graphs on any device with a Vulkan 1.1 driver, GPU or
// software, as SPIR-V compute shaders in float32, or with float16 storage (see [Precision]).
//
// # Life of a run
//
// Compile plans the whole run (internal/plan), uploads the packed weights while the pipelines are made side by side, and
// reserves one arena for all intermediate tensors. The first Run with a set of buffers records its commands; later runs
// with the same buffers only submit them. Run allocates nothing then, and the intermediate tensors never leave the device.
//
// Runs of several goroutines, each with buffers of its own, are queued on the device, up to four of an executable: it does not
// wait for the host between them. They compute one after the other, since they share the arena; a barrier at the end of each
// orders them. A run is one submission, unless that would take longer than Options.MaxSubmission; then it is
// several, and a cancelled run ends with those that the device has.
//
// # Proof and tuning
//
// A kernel runs on a device only after it has proved itself there against package reference, on small shapes and on the shape of
// the layer (prove.go); what fails is struck off. Among the others the planner's rule chooses, or what was measured
// ([Tuning]). Outcomes are kept in a file for each device and driver (internal/tune).
//
// # Memory
//
// Where the device shares the host's memory, buffers are mapped and nothing is copied; elsewhere reads and writes go
// through a staging buffer, on a queue of their own where the device has a second one of the same family; else a transfer waits for the runs that were
// submitted before it. A batch whose tensors exceed a limit of the device, or its free memory (VK_EXT_memory_budget, or the size of the
// heap), is split into parts inside the executable.
//
// # What it does not do
//
// It fuses nothing and folds nothing: the passes of graph/pass do, before Compile.
package vulkan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// Name is the backend's name in selections.
const Name = "vulkan"

// Options change how the backend works. The zero value is right for everyday use.
type Options struct {
	// CacheDir is where compiled pipelines are kept between runs of the program; empty is "resnet-run/vulkan" in
	// the user's cache directory. NoCache keeps none.
	CacheDir string
	NoCache  bool
	// Logger receives warnings, for example of a damaged cache; nil is silence.
	Logger *slog.Logger

	// Validation loads the Khronos validation layer with synchronization validation; its messages go to OnMessage.
	Validation bool
	OnMessage  func(message string)

	// Precision is how activations and weights are stored.
	Precision Precision
	// Calibrate makes inputs on which the range of each layer is probed when a graph is compiled in another precision than Float32; they
	// should be like those that will be run. Its result has a slice for each port of the inputs, of as many numbers as that has elements.
	// nil takes numbers from a normal distribution with a standard deviation of 1, as normalised pictures have it.
	Calibrate func(inputs []graph.Port) [][]float32

	// OnProof, when not nil, is called from within Compile before each proof of a kernel for a layer, and at the end. Proofs are made once for a device and
	// its driver, and may take seconds. Several compilations may call it at once.
	OnProof func(ProofEvent)
	// Tuning says how kernels are chosen among those that have proved themselves; the zero value is by rule.
	Tuning Tuning
	// Unproved uses kernels without proof. It is for what judges kernels itself, such as the tests of this package: anyone else
	// would get wrong numbers from a wrong driver.
	Unproved bool

	// Kernels, when not empty, are the names of the only convolution kernels that may be used, best first, without proof. Of linear layers,
	// linear_split_f32 among them is taken first.
	Kernels []string
	// Direct leaves out kernels that compute convolutions through transforms (Winograd).
	Direct bool
	// MaxChunk, when not 0, bounds how many pictures of a batch go through the graph at once.
	MaxChunk int
	// MemoryBudget, when not 0, is how many bytes of the device's memory may be allocated; a batch that does not fit goes
	// through the graph in parts. The driver's own budget, or the size of the memory, holds in any case.
	MemoryBudget int64
	// MaxSubmission is how long one submission to the device should take at most, so that no watchdog of a display
	// driver ends it: a long run becomes several. 0 is half a second on a GPU and no bound on a software driver, negative no bound.
	MaxSubmission time.Duration
	// Fences gives each intermediate tensor memory of its own, and that and each buffer of the caller's spare bytes behind it. Intermediate tensors, outputs
	// and spare bytes are made NaN before each run; kernels reach the spare bytes, a run that wrote to them fails, and what is read there, or was not
	// written, shows as NaN in the results. It is for tests of kernels and drivers: runs of an executable take turns, and its memory is several times as
	// much. Profile does none of this.
	Fences bool
	// ForceStaging copies through a staging buffer even where memory is shared, as on a discrete GPU.
	ForceStaging bool

	spirv func(*shaders.Variant) []uint32 // for tests: other code in place of the manifest's
}

// code is the SPIR-V of a variant.
func (o *Options) code(v *shaders.Variant) []uint32 {
	if o.spirv != nil {
		return o.spirv(v)
	}
	return v.SPIRV()
}

// New returns the backend. It does nothing yet: the loader is looked for when devices are listed.
func New(o Options) backend.Backend {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &vulkan{o}
}

type vulkan struct{ opts Options }

var (
	_ backend.Backend  = (*vulkan)(nil)
	_ backend.Variants = (*vulkan)(nil)
)

// Name returns "vulkan", or with options that make a variant its name too, as in "vulkan@f16".
func (b *vulkan) Name() string {
	if v := b.opts.variant(); v != "" {
		return Name + "@" + v
	}
	return Name
}

// Devices lists the usable devices, real GPUs before software.
func (b *vulkan) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	inst, list, err := b.enumerate(ctx)
	if err != nil {
		return nil, err
	}
	defer inst.Close()
	infos := make([]backend.DeviceInfo, len(list))
	for i, d := range list {
		infos[i] = d.info
	}
	return infos, nil
}

// Open opens the device with that ID.
func (b *vulkan) Open(ctx context.Context, id string) (backend.Device, error) {
	inst, list, err := b.enumerate(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range list {
		if d.info.ID == id {
			dev, err := open(b.opts, inst, d)
			if err != nil {
				inst.Close()
				return nil, fmt.Errorf("open Vulkan device %q: %w", d.info.Name, mapError(err))
			}
			return dev, nil
		}
	}
	inst.Close()
	return nil, fmt.Errorf("open Vulkan device %q: %w of that ID", id, backend.ErrNoDevice)
}

// candidate is a physical device that could be opened.
type candidate struct {
	info   backend.DeviceInfo
	facts  facts.Facts
	handle vk.PhysicalDevice
}

// enumerate opens the instance and lists the usable devices, best first.
func (b *vulkan) enumerate(ctx context.Context) (*vk.Instance, []candidate, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	o := vk.InstanceOptions{Validation: b.opts.Validation, SyncValidation: b.opts.Validation}
	if f := b.opts.OnMessage; f != nil {
		o.OnMessage = func(m vk.Message) { f(m.String()) }
	}
	inst, err := vk.OpenInstance(o)
	if err != nil {
		return nil, nil, mapError(err)
	}
	all, handles, err := facts.ReadAll(inst)
	if err != nil {
		inst.Close()
		return nil, nil, mapError(err)
	}
	var list []candidate
	var refused []string
	for i, f := range all {
		if err := usable(&f); err != nil {
			refused = append(refused, fmt.Sprintf("%s: %v", f.Name, err))
			continue
		}
		info := describe(&f)
		info.Backend = b.Name()
		if m := matrices(&f, facts.Float32); len(m) > 0 {
			info.Properties["cooperativeMatrices"] = matrixText(m)
		}
		if b.opts.Precision != Float32 {
			info.Properties["precision"] = b.opts.Precision.String()
		}
		list = append(list, candidate{info, f, handles[i]})
	}
	if len(list) == 0 {
		inst.Close()
		return nil, nil, fmt.Errorf("%w: no Vulkan device can be used: %s", backend.ErrNoDevice, strings.Join(refused, "; "))
	}
	distinguish(list)
	return inst, list, nil
}

// usable says what keeps a device from being used.
func usable(f *facts.Facts) error {
	if f.Usable < facts.Version(vk.Version11) {
		return fmt.Errorf("want Vulkan 1.1, got %v", f.Usable)
	}
	if _, ok := f.ComputeQueue(); !ok {
		return errors.New("want a queue family that computes, got none")
	}
	return nil
}

// describe makes the public description of a device.
func describe(f *facts.Facts) backend.DeviceInfo {
	driver := f.Driver.Name
	if f.Driver.Info != "" {
		driver += " " + f.Driver.Info
	}
	if driver == "" {
		driver = fmt.Sprintf("version %#x", f.Driver.Version)
	}
	types := map[facts.DeviceType]backend.DeviceType{
		facts.DeviceDiscrete: backend.DiscreteGPU, facts.DeviceIntegrated: backend.IntegratedGPU,
		facts.DeviceVirtual: backend.VirtualGPU, facts.DeviceCPU: backend.CPU,
	}
	typ, ok := types[f.Type]
	if !ok {
		typ = backend.Other
	}
	info := backend.DeviceInfo{
		Backend: Name, ID: f.DeviceUUID.String(), Name: f.Name, Type: typ, Driver: strings.TrimSpace(driver),
		API: "Vulkan " + f.APIVersion.String(), MemoryBytes: int64(f.DeviceMemory()),
		Properties: map[string]string{
			"vendorID": fmt.Sprintf("%#x", f.VendorID), "deviceID": fmt.Sprintf("%#x", f.DeviceID),
			"driverUUID": f.DriverUUID.String(), "pipelineCacheUUID": f.PipelineCacheUUID.String(),
			"maxTexelBufferElements":          fmt.Sprint(f.Limits.MaxTexelBufferElements),
			"shaderFloat16":                   fmt.Sprint(f.Features.ShaderFloat16),
			"subgroupSize":                    fmt.Sprint(f.Subgroup.Size),
			"maxStorageBufferRange":           fmt.Sprint(f.Limits.MaxStorageBufferRange),
			"maxMemoryAllocationSize":         fmt.Sprint(f.Limits.MaxMemoryAllocationSize),
			"maxComputeWorkGroupInvocations":  fmt.Sprint(f.Limits.MaxComputeWorkgroupInvocations),
			"maxComputeSharedMemorySize":      fmt.Sprint(f.Limits.MaxComputeSharedMemorySize),
			"minStorageBufferOffsetAlignment": fmt.Sprint(f.Limits.MinStorageBufferOffsetAlignment),
			"unifiedMemory":                   fmt.Sprint(f.UnifiedMemory()),
		},
	}
	if f.Multiprocessors > 0 {
		info.Properties["multiprocessors"] = fmt.Sprint(f.Multiprocessors)
	}
	return info
}

// distinguish makes IDs unique: two drivers for one GPU tell the same UUID.
func distinguish(list []candidate) {
	count := map[string]int{}
	for i := range list {
		id := list[i].info.ID
		if n := count[id]; n > 0 {
			list[i].info.ID = fmt.Sprintf("%s-%d", id, n)
		}
		count[id]++
	}
}

// limits are the planner's view of a device.
func limits(f *facts.Facts) plan.Limits {
	l := &f.Limits
	return plan.Limits{
		Matrices: matrices(f, facts.Float32), HalfMatrices: matrices(f, facts.Float16), MaxSubgroups: f.Subgroup.MaxWorkgroupSubgroups,
		Float16:                         f.Features.ShaderFloat16,
		MaxStorageBufferRange:           l.MaxStorageBufferRange,
		MaxMemoryAllocationSize:         l.MaxMemoryAllocationSize,
		MinStorageBufferOffsetAlignment: max(l.MinStorageBufferOffsetAlignment, 4),
		MinTexelBufferOffsetAlignment:   l.MinTexelBufferOffsetAlignment,
		MaxTexelBufferElements:          l.MaxTexelBufferElements,
		SubgroupSize:                    f.Subgroup.Size,
		MinSubgroupSize:                 f.Subgroup.Min,
		MaxSubgroupSize:                 f.Subgroup.Max,
		SubgroupQuad:                    f.Subgroup.Compute(facts.SubgroupBasic | facts.SubgroupQuad),
		MaxPushConstantsSize:            l.MaxPushConstantsSize,
		MaxComputeWorkGroupCount:        l.MaxComputeWorkgroupCount,
		MaxComputeWorkGroupSize:         l.MaxComputeWorkgroupSize,
		MaxComputeWorkGroupInvocations:  l.MaxComputeWorkgroupInvocations,
		MaxComputeSharedMemorySize:      l.MaxComputeSharedMemorySize,
		Integrated:                      f.Type == facts.DeviceIntegrated,
		Multiprocessors:                 f.Multiprocessors,
		SoftwareDriver:                  f.Type == facts.DeviceCPU,
	}
}

// mapError puts the sentinel of the contract that a caller decides by before an error of the Vulkan layer.
func mapError(err error) error {
	for _, m := range []struct {
		is error
		as error
	}{
		{vk.ErrNoLoader, backend.ErrNoDevice}, {vk.ErrNoDriver, backend.ErrNoDevice}, {vk.ErrIncompatibleDriver, backend.ErrNoDevice},
		{vk.ErrOutOfDeviceMemory, backend.ErrOutOfMemory}, {vk.ErrOutOfHostMemory, backend.ErrOutOfMemory},
		{vk.ErrTooManyObjects, backend.ErrOutOfMemory}, {vk.ErrOutOfPoolMemory, backend.ErrOutOfMemory}, {vk.ErrDeviceLost, backend.ErrDeviceLost},
	} {
		if errors.Is(err, m.is) && !errors.Is(err, m.as) {
			return fmt.Errorf("%w: %w", m.as, err)
		}
	}
	return err
}
