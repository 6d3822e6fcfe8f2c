package vulkan

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
	"github.com/resnet-run/resnet-run/shaders"
)

var (
	_ backend.PeakMeasurer   = (*device)(nil)
	_ backend.MemoryReporter = (*device)(nil)
)

// AllocatedBytes is the sum of all live allocations from the driver.
func (d *device) AllocatedBytes() int64 { return d.allocatedBytes.Load() }

const (
	peakGroups = 4096                  // workgroups of a measurement: more than any GPU runs at once
	peakFew    = 256                   // the same for a driver that runs on the CPU
	peakLocal  = 128                   // invocations a workgroup, as many as every device takes
	peakTime   = 25 * time.Millisecond // how long a measurement lasts at least: far beyond the cost of a submission, far below a watchdog
	peakRuns   = 5                     // of which the best counts
	// maxRounds bounds what one submission does where time stands still.
	maxRounds = 1 << 20

	// stepsPerRound and flopsPerStep are those of peak_fma.comp.
	stepsPerRound = 16
	flopsPerStep  = 24
)

// MeasurePeak measures float32 multiply-adds, fused and not, the same in float16 and on matrix units where the device has them, and a copy.
func (d *device) MeasurePeak(ctx context.Context) (backend.Peak, error) {
	var p backend.Peak
	if err := d.enter(); err != nil {
		return p, fmt.Errorf("measure peak: %w", err)
	}
	defer d.leave()
	err := func() error {
		types := []graph.DType{graph.Float32}
		if d.facts.Features.ShaderFloat16 {
			types = append(types, graph.Float16)
		}
		for _, typ := range types {
			for _, fused := range []bool{true, false} {
				a, err := d.peakArithmetic(ctx, typ, fused)
				if err != nil {
					return fmt.Errorf("arithmetic: %w", err)
				}
				p.Arithmetic = append(p.Arithmetic, a)
			}
		}
		for _, m := range d.limits.Matrices {
			a, err := d.peakMatrices(ctx, m)
			if err != nil {
				return fmt.Errorf("matrices: %w", err)
			}
			p.Arithmetic = append(p.Arithmetic, a)
		}
		var err error
		if p.BytesPerSecond, err = d.peakCopy(ctx); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		return nil
	}()
	if err != nil {
		return backend.Peak{}, fmt.Errorf("measure peak: %w", d.fail(err))
	}
	return p, nil
}

func (d *device) peakArithmetic(ctx context.Context, typ graph.DType, fused bool) (backend.ArithmeticPeak, error) {
	local := d.peakLocal()
	groups := d.peakGroups()
	invocations := uint64(local) * uint64(groups)
	name := map[graph.DType]string{graph.Float32: "peak_fma_f32", graph.Float16: "peak_fma_f16"}[typ]
	spec := []uint32{local, 0}
	if fused {
		spec[1] = 1
	}
	y, err := d.allocate(invocations*16, deviceMemory)
	if err != nil {
		return backend.ArithmeticPeak{}, err
	}
	defer d.free(y)
	r, err := d.newRacer(&plan.Step{Variant: shaders.Lookup(name), Spec: spec}, y)
	if err != nil {
		return backend.ArithmeticPeak{}, err
	}
	defer r.destroy()
	rounds, seconds, err := race(func(rounds uint32) (time.Duration, error) {
		return r.run(ctx, 1, func() { r.dispatch(groups, rounds, math.Float32bits(0.5), math.Float32bits(1)) })
	})
	if err != nil {
		return backend.ArithmeticPeak{}, err
	}
	got := make([]byte, invocations*16)
	if err := d.staging.read(y, 0, got); err != nil {
		return backend.ArithmeticPeak{}, err
	}
	for i := 0; i < len(got); i += 4 {
		if v := math.Float32frombits(binary.NativeEndian.Uint32(got[i:])); v != 6 {
			return backend.ArithmeticPeak{}, fmt.Errorf("%s: wrong result at %d: got %g, want 6", name, i/4, v)
		}
	}
	if !fused {
		name += ", not fused"
	}
	return backend.ArithmeticPeak{
		DType: typ, Kernel: name, FLOPsPerSecond: float64(invocations) * float64(rounds) * stepsPerRound * flopsPerStep / seconds,
	}, nil
}

// peakGroups is how many workgroups keep the device busy.
func (d *device) peakGroups() uint32 {
	if d.info.Type == backend.CPU {
		return peakFew
	}
	return min(peakGroups, d.limits.MaxComputeWorkGroupCount[0])
}

// peakLocal is the invocations of a workgroup.
func (d *device) peakLocal() uint32 {
	return min(peakLocal, d.limits.MaxComputeWorkGroupInvocations, d.limits.MaxComputeWorkGroupSize[0])
}

// peakCopy copies as much memory as fits, up to what exceeds the caches of nearly every device.
func (d *device) peakCopy(ctx context.Context) (float64, error) {
	size := uint64(256 << 20)
	if d.info.Type == backend.CPU {
		size = 64 << 20
	}
	size = min(size, d.limits.MaxStorageBufferRange, d.limits.MaxMemoryAllocationSize) &^ 15
	for {
		rate, err := d.peakCopyOf(ctx, size)
		if err = mapError(err); !errors.Is(err, backend.ErrOutOfMemory) || size <= 1<<20 {
			return rate, err
		}
		size = size / 2 &^ 15
	}
}

func (d *device) peakCopyOf(ctx context.Context, size uint64) (float64, error) {
	x, err := d.allocate(size, deviceMemory)
	if err != nil {
		return 0, err
	}
	defer d.free(x)
	y, err := d.allocate(size, deviceMemory)
	if err != nil {
		return 0, err
	}
	defer d.free(y)
	// Marks at both ends and in the middle tell a copy from none. Everything else is written too: memory that was never
	// touched may be one page of zeros for the whole array.
	marks := []uint64{0, size / 2 &^ 15, size - 16}
	if err := d.touch(x, y); err != nil {
		return 0, err
	}
	for i, at := range marks {
		if err := d.staging.write(x, at, bytes.Repeat([]byte{byte(i + 1)}, 16)); err != nil {
			return 0, err
		}
	}
	r, err := d.newRacer(&plan.Step{Variant: shaders.Lookup("peak_copy_f32"), Spec: []uint32{d.peakLocal()}}, x, y)
	if err != nil {
		return 0, err
	}
	defer r.destroy()
	best := 0.0
	for _, way := range []struct {
		name   string
		record func()
	}{
		{"peak_copy_f32", func() { r.dispatch(d.peakGroups(), uint32(size/16)) }},
		{"vkCmdCopyBuffer", func() { d.dev.CmdCopyBuffer(r.cmd, x.buf, y.buf, vk.BufferCopy{Size: size}) }},
	} {
		times, seconds, err := race(func(rounds uint32) (time.Duration, error) { return r.run(ctx, rounds, way.record) })
		if err != nil {
			return 0, err
		}
		best = max(best, 2*float64(size)*float64(times)/seconds)
		for i, at := range marks {
			got, want := make([]byte, 16), bytes.Repeat([]byte{byte(i + 1)}, 16)
			if err := d.staging.read(y, at, got); err != nil {
				return 0, err
			}
			if !bytes.Equal(got, want) {
				return 0, fmt.Errorf("%s: wrong result at byte %d: got % x, want % x", way.name, at, got, want)
			}
			if err := d.staging.write(y, at, make([]byte, 16)); err != nil {
				return 0, err
			}
		}
	}
	return best, nil
}

// touch fills memory with zeros.
func (d *device) touch(all ...*memory) error {
	zeros := make([]byte, stagingBytes)
	for _, m := range all {
		for at := uint64(0); at < m.size; at += stagingBytes {
			if err := d.staging.write(m, at, zeros[:min(stagingBytes, m.size-at)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// race doubles rounds until a submission of them takes peakTime, then takes the best of some. run does rounds once.
func race(run func(rounds uint32) (time.Duration, error)) (rounds uint32, seconds float64, err error) {
	rounds = 2
	best := time.Duration(0)
	for ; ; rounds *= 2 {
		if best, err = run(rounds); err != nil {
			return 0, 0, err
		}
		if best >= peakTime || rounds >= maxRounds {
			break
		}
	}
	for range peakRuns - 1 {
		t, err := run(rounds)
		if err != nil {
			return 0, 0, err
		}
		best = min(best, t)
	}
	return rounds, best.Seconds(), nil
}

// racer submits commands and takes the time.
type racer struct {
	d     *device
	k     *kernel
	sets  vk.DescriptorPool
	set   vk.DescriptorSet
	pool  vk.CommandPool
	cmd   vk.CommandBuffer
	fence vk.Fence
}

// newRacer prepares the kernel of a step for buffers.
func (d *device) newRacer(s *plan.Step, buffers ...*memory) (*racer, error) {
	k, err := d.kernels.get(s)
	if err != nil {
		return nil, err
	}
	r := &racer{d: d, k: k}
	if err := r.prepare(buffers); err != nil {
		r.destroy()
		return nil, err
	}
	return r, nil
}

func (r *racer) prepare(buffers []*memory) (err error) {
	dev := r.d.dev
	if r.sets, err = dev.CreateDescriptorPool(1, len(buffers), 0); err != nil {
		return err
	}
	if r.set, err = dev.AllocateDescriptorSet(r.sets, r.k.set); err != nil {
		return err
	}
	var ranges []vk.BufferRange
	for _, m := range buffers {
		ranges = append(ranges, vk.BufferRange{Buffer: m.buf, Size: m.size})
	}
	dev.UpdateStorageBuffers(r.set, ranges)
	if r.pool, err = dev.CreateCommandPool(); err != nil {
		return err
	}
	if r.cmd, err = dev.AllocateCommandBuffer(r.pool); err != nil {
		return err
	}
	r.fence, err = dev.CreateFence()
	return err
}

// run records n commands and returns how long they took, from submission to the fence.
func (r *racer) run(ctx context.Context, n uint32, record func()) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	const stages = vk.StageCompute | vk.StageTransfer
	dev := r.d.dev
	if err := r.d.begin(r.cmd, true); err != nil {
		return 0, err
	}
	for i := range n {
		if i > 0 { // the next one writes what this one wrote
			dev.CmdBarrier(r.cmd, stages, stages, vk.AccessShaderWrite|vk.AccessTransferWrite, vk.AccessShaderWrite|vk.AccessTransferWrite)
		}
		record()
	}
	dev.CmdBarrier(r.cmd, stages, vk.StageHost|afterRun, accessAfterRun, vk.AccessHostRead|accessAfterRun)
	if err := dev.EndCommandBuffer(r.cmd); err != nil {
		return 0, err
	}
	start := stopwatch.Now()
	if err := r.d.submit(r.d.compute, r.fence, r.cmd); err != nil {
		return 0, err
	}
	if err := waitFence(dev, r.fence); err != nil {
		return 0, err
	}
	return stopwatch.Since(start), nil
}

// dispatch records the kernel.
func (r *racer) dispatch(groups uint32, push ...uint32) {
	dev := r.d.dev
	dev.CmdBindPipeline(r.cmd, r.k.pipeline)
	dev.CmdBindDescriptorSet(r.cmd, r.k.layout, 0, r.set)
	dev.CmdPushConstants(r.cmd, r.k.layout, unsafe.Slice((*byte)(unsafe.Pointer(&push[0])), 4*len(push)))
	dev.CmdDispatch(r.cmd, groups, 1, 1)
}

func (r *racer) destroy() {
	defer r.d.kernels.release([]*kernel{r.k})
	dev := r.d.dev
	if r.fence != 0 {
		dev.DestroyFence(r.fence)
	}
	if r.pool != 0 {
		dev.DestroyCommandPool(r.pool)
	}
	if r.sets != 0 {
		dev.DestroyDescriptorPool(r.sets)
	}
}
