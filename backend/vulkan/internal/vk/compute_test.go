package vk_test

import (
	"encoding/binary"
	"math"
	"testing"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// bench is a device with what most tests need.
type bench struct {
	t *testing.T
	*vk.Device
	memoryTypes []vk.MemoryType
	pool        vk.CommandPool
	fence       vk.Fence
}

func newBench(t *testing.T, d vktest.Device, options vk.DeviceOptions) *bench {
	t.Helper()
	b := &bench{t: t}
	for k, q := range d.Instance.QueueFamilies(d.Physical) {
		if q.Flags&vk.QueueCompute != 0 {
			options.QueueFamily = k
			break
		}
	}
	var err error
	b.Device, err = d.Instance.CreateDevice(d.Physical, options)
	b.must(err)
	t.Cleanup(b.Destroy)
	b.memoryTypes, _ = d.Instance.Memory(d.Physical)
	b.pool, err = b.CreateCommandPool()
	b.must(err)
	t.Cleanup(func() { b.DestroyCommandPool(b.pool) })
	b.fence, err = b.CreateFence()
	b.must(err)
	t.Cleanup(func() { b.DestroyFence(b.fence) })
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// buffer makes a mapped, host-visible buffer of n float32.
func (b *bench) buffer(n int) (vk.Buffer, []float32) {
	b.t.Helper()
	size := uint64(4 * n)
	buf, err := b.CreateBuffer(size, vk.BufferStorage|vk.BufferTransferSrc|vk.BufferTransferDst)
	b.must(err)
	b.t.Cleanup(func() { b.DestroyBuffer(buf) })
	r := b.BufferRequirements(buf)
	if r.Size < size || r.Alignment == 0 || r.TypeBits == 0 {
		b.t.Fatalf("requirements of a buffer of %d bytes: %+v", size, r)
	}
	const want = vk.MemoryHostVisible | vk.MemoryHostCoherent
	for k, m := range b.memoryTypes {
		if r.TypeBits>>k&1 == 0 || m.Flags&want != want {
			continue
		}
		memory, err := b.AllocateMemory(r.Size, k)
		b.must(err)
		b.t.Cleanup(func() { b.FreeMemory(memory) })
		b.must(b.BindBuffer(buf, memory, 0))
		bytes, err := b.MapMemory(memory, 0, size)
		b.must(err)
		clear(bytes) // fresh device memory holds anything
		return buf, unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(bytes))), n)
	}
	b.t.Fatal("no host-visible and coherent memory type")
	return 0, nil
}

// kernel is the add shader, ready to be dispatched.
type kernel struct {
	setLayout vk.DescriptorSetLayout
	layout    vk.PipelineLayout
	module    vk.ShaderModule
	pipeline  vk.Pipeline
	pool      vk.DescriptorPool
}

const localSize = 64

func (b *bench) kernel(maxSets int) kernel {
	b.t.Helper()
	var k kernel
	var err error
	k.setLayout, err = b.CreateDescriptorSetLayout(vk.StorageBuffers(3))
	b.must(err)
	b.t.Cleanup(func() { b.DestroyDescriptorSetLayout(k.setLayout) })
	k.layout, err = b.CreatePipelineLayout([]vk.DescriptorSetLayout{k.setLayout}, 8)
	b.must(err)
	b.t.Cleanup(func() { b.DestroyPipelineLayout(k.layout) })
	k.module, err = b.CreateShaderModule(addShader)
	b.must(err)
	b.t.Cleanup(func() { b.DestroyShaderModule(k.module) })
	k.pipeline, err = b.CreateComputePipeline(0, k.describe(2))
	b.must(err)
	b.t.Cleanup(func() { b.DestroyPipeline(k.pipeline) })
	k.pool, err = b.CreateDescriptorPool(maxSets, 3*maxSets, 0)
	b.must(err)
	b.t.Cleanup(func() { b.DestroyDescriptorPool(k.pool) })
	return k
}

func (k kernel) describe(scale float32) vk.ComputePipeline {
	return vk.ComputePipeline{Layout: k.layout, Module: k.module, Spec: []uint32{localSize, math.Float32bits(scale)}}
}

func (b *bench) set(k kernel, buffers ...vk.Buffer) vk.DescriptorSet {
	b.t.Helper()
	set, err := b.AllocateDescriptorSet(k.pool, k.setLayout)
	b.must(err)
	b.UpdateStorageBuffers(set, ranges(buffers))
	return set
}

func ranges(buffers []vk.Buffer) []vk.BufferRange {
	var r []vk.BufferRange
	for _, buf := range buffers {
		r = append(r, vk.BufferRange{Buffer: buf, Size: vk.WholeSize})
	}
	return r
}

// dispatch records c = scale·a + b + offset over n elements.
func (b *bench) dispatch(cmd vk.CommandBuffer, k kernel, set vk.DescriptorSet, n int, offset float32) {
	var push [8]byte
	binary.NativeEndian.PutUint32(push[0:], uint32(n))
	binary.NativeEndian.PutUint32(push[4:], math.Float32bits(offset))
	b.CmdBindPipeline(cmd, k.pipeline)
	b.CmdBindDescriptorSet(cmd, k.layout, 0, set)
	b.CmdPushConstants(cmd, k.layout, push[:])
	b.CmdDispatch(cmd, uint32((n+localSize-1)/localSize), 1, 1)
}

func (b *bench) barrier(cmd vk.CommandBuffer) {
	b.CmdBarrier(cmd, vk.StageCompute, vk.StageCompute, vk.AccessShaderWrite, vk.AccessShaderRead|vk.AccessShaderWrite)
}

// toHost makes writes of shaders and copies visible to the host.
func (b *bench) toHost(cmd vk.CommandBuffer) {
	b.CmdBarrier(cmd, vk.StageCompute|vk.StageTransfer, vk.StageHost, vk.AccessShaderWrite|vk.AccessTransferWrite, vk.AccessHostRead)
}

// record allocates and records a command buffer.
func (b *bench) record(f func(cmd vk.CommandBuffer)) vk.CommandBuffer {
	b.t.Helper()
	cmd, err := b.AllocateCommandBuffer(b.pool)
	b.must(err)
	b.must(b.BeginCommandBuffer(cmd, false))
	f(cmd)
	b.must(b.EndCommandBuffer(cmd))
	return cmd
}

// run submits and waits.
func (b *bench) run(cmds ...vk.CommandBuffer) {
	b.t.Helper()
	b.must(b.QueueSubmit(b.Queue(0), b.fence, cmds...))
	done, err := b.WaitFence(b.fence, vk.Forever)
	b.must(err)
	if !done {
		b.t.Fatal("endless wait ended early")
	}
	b.must(b.ResetFence(b.fence))
}

func fill(x []float32, f func(i int) float32) {
	for i := range x {
		x[i] = f(i)
	}
}

// TestCompute runs two dependent dispatches and a copy and compares every element.
func TestCompute(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(2)
		const n = 1000 // not a multiple of the workgroup size
		x, xs := b.buffer(n)
		y, ys := b.buffer(n)
		z, zs := b.buffer(n)
		w, ws := b.buffer(n)
		fill(xs, func(i int) float32 { return float32(i) })
		fill(ys, func(i int) float32 { return float32(3 * i) })
		fill(ws, func(int) float32 { return -1 })
		first, second := b.set(k, x, y, z), b.set(k, z, x, y)
		cmd := b.record(func(cmd vk.CommandBuffer) {
			b.dispatch(cmd, k, first, n, 0.5) // z = 2x + y + 0.5
			b.barrier(cmd)
			b.dispatch(cmd, k, second, n-1, 1) // y = 2z + x + 1, but for the last
			b.CmdBarrier(cmd, vk.StageCompute, vk.StageTransfer, vk.AccessShaderWrite, vk.AccessTransferRead)
			b.CmdCopyBuffer(cmd, y, w, vk.BufferCopy{SrcOffset: 8, DstOffset: 0, Size: 4}, vk.BufferCopy{SrcOffset: 40, DstOffset: 80, Size: 4 * (n - 20)})
			b.toHost(cmd)
		})
		for run := range 2 {
			fill(ys, func(i int) float32 { return float32(3 * i) })
			b.run(cmd)
			for i := range n {
				wantZ := float32(5*i) + 0.5
				wantY := 2*wantZ + float32(i) + 1
				if i == n-1 {
					wantY = 3 * (n - 1)
				}
				if zs[i] != wantZ || ys[i] != wantY {
					t.Fatalf("run %d, element %d: z = %g, y = %g, want %g and %g", run, i, zs[i], ys[i], wantZ, wantY)
				}
			}
			for i := range n {
				want := float32(-1)
				if i == 0 {
					want = ys[2]
				} else if i >= 20 {
					want = ys[i-10]
				}
				if ws[i] != want {
					t.Fatalf("run %d: copied element %d is %g, want %g", run, i, ws[i], want)
				}
			}
		}
	})
}
