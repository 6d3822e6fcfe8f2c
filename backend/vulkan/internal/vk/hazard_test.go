package vk_test

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// TestMissingBarrier leaves a barrier out between two dispatches and expects
// synchronization validation to say so: proof that it is on.
func TestMissingBarrier(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(2)
		x, _ := b.buffer(64)
		y, _ := b.buffer(64)
		z, _ := b.buffer(64)
		first, second := b.set(k, x, y, z), b.set(k, z, y, x)
		if m := d.TakeMessages(); len(m) != 0 {
			t.Fatalf("messages before the fault: %v", m)
		}
		b.record(func(cmd vk.CommandBuffer) {
			b.dispatch(cmd, k, first, 64, 0)
			b.dispatch(cmd, k, second, 64, 0)
		})
		expectMessage(t, d, "SYNC-HAZARD-READ-AFTER-WRITE")
	})
}

// TestFaultsAreSkipped makes calls that are known to crash drivers, and expects
// an error in place of the crash.
func TestFaultsAreSkipped(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(1)
		p := k.describe(1)
		p.Entry = "no_such_entry"
		if _, err := b.CreateComputePipeline(0, p); err == nil {
			t.Error("a pipeline was made from an entry point that is not there")
		}
		expectMessage(t, d, "VUID-VkPipelineShaderStageCreateInfo-pName")
		b.record(func(cmd vk.CommandBuffer) {
			b.CmdBindPipeline(cmd, k.pipeline)
			b.CmdDispatch(cmd, 1, 1, 1) // no descriptor set
		})
		expectMessage(t, d, "VUID-vkCmdDispatch-None")
	})
}

// TestLeakIsReported forgets a buffer and expects to be told.
func TestLeakIsReported(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		device, err := d.Instance.CreateDevice(d.Physical, vk.DeviceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		leaked, err := device.CreateBuffer(64, vk.BufferStorage)
		if err != nil {
			t.Fatal(err)
		}
		if err := device.SetName(vk.ObjectBuffer, uint64(leaked), "forgotten-buffer"); err != nil {
			t.Fatal(err)
		}
		device.Destroy()
		expectMessage(t, d, "forgotten-buffer")
	})
}

// expectMessage wants a message whose ID or text holds want, and takes all.
func expectMessage(t *testing.T, d vktest.Device, want string) {
	t.Helper()
	all := d.TakeMessages()
	for _, m := range all {
		if strings.Contains(m.ID, want) || strings.Contains(m.Text, want) {
			return
		}
	}
	t.Errorf("messages %v: want one with %s", all, want)
}

// TestGarbageCollection makes the calls that vulkan-go gets wrong while the
// garbage collector runs all the time, and checks every result.
func TestGarbageCollection(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		defer produceGarbage()()
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(1)
		const n = 64
		var buffers [4]vk.Buffer
		var data [4][]float32
		for i := range buffers {
			buffers[i], data[i] = b.buffer(n)
		}
		set := b.set(k, buffers[0], buffers[1], buffers[2])
		cmd, err := b.AllocateCommandBuffer(b.pool)
		b.must(err)
		rounds := 300
		if testing.Short() {
			rounds = 50
		}
		for round := range rounds {
			scale := float32(round%7 + 1)
			pipeline, err := b.CreateComputePipeline(0, k.describe(scale))
			b.must(err)
			in, out := round%3, (round+1)%3
			fill(data[in], func(i int) float32 { return float32(i + round) })
			fill(data[3], func(i int) float32 { return float32(i) })
			b.UpdateStorageBuffers(set, ranges([]vk.Buffer{buffers[in], buffers[3], buffers[out]}))
			b.must(b.BeginCommandBuffer(cmd, true))
			local := k
			local.pipeline = pipeline
			b.dispatch(cmd, local, set, n, 0.5)
			b.CmdBarrier(cmd, vk.StageCompute, vk.StageTransfer, vk.AccessShaderRead|vk.AccessShaderWrite, vk.AccessTransferRead|vk.AccessTransferWrite)
			b.CmdCopyBuffer(cmd, buffers[out], buffers[3], vk.BufferCopy{Size: 4}, vk.BufferCopy{SrcOffset: 16, DstOffset: 16, Size: 4 * (n - 4)})
			b.toHost(cmd)
			b.must(b.EndCommandBuffer(cmd))
			b.run(cmd)
			b.DestroyPipeline(pipeline)
			for i := range n {
				want := scale*float32(i+round) + float32(i) + 0.5
				copied := want
				if i > 0 && i < 4 {
					copied = float32(i)
				}
				if data[out][i] != want || data[3][i] != copied {
					t.Fatalf("round %d, element %d: %g, copied %g, want %g and %g", round, i, data[out][i], data[3][i], want, copied)
				}
			}
		}
	})
}

// produceGarbage allocates small blocks and collects them until the returned
// function is called.
func produceGarbage() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var keep [64][]byte
		for i := 0; ; i++ {
			select {
			case <-done:
				runtime.KeepAlive(keep)
				return
			default:
			}
			keep[i%len(keep)] = make([]byte, 16+i%512)
			if i%256 == 0 {
				runtime.GC()
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// TestHotPathDoesNotAllocate measures the calls made for every run, without
// validation, whose messages would allocate.
func TestHotPathDoesNotAllocate(t *testing.T) {
	vktest.Plain(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(1)
		x, xs := b.buffer(64)
		y, ys := b.buffer(64)
		z, zs := b.buffer(64)
		xs[63], ys[63] = 3, 4
		set := b.set(k, x, y, z)
		recorded := b.record(func(cmd vk.CommandBuffer) {
			b.dispatch(cmd, k, set, 64, 2)
			b.toHost(cmd)
		})
		queue, device := b.Queue(0), b.Device
		var err error
		run := func() {
			if e := device.QueueSubmit(queue, b.fence, recorded); e != nil {
				err = e
			}
			if ok, e := device.WaitFence(b.fence, vk.Forever); e != nil || !ok {
				err = e
			}
			if e := device.ResetFence(b.fence); e != nil {
				err = e
			}
		}
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("submit, wait and reset allocate %g times", n)
		}
		if err != nil {
			t.Fatal(err)
		}
		if zs[63] != 12 { // 2·3 + 4 + 2
			t.Errorf("the work was not done: %g, want 12", zs[63])
		}
		record := func(cmd vk.CommandBuffer) {
			push := [8]byte{64}
			n := testing.AllocsPerRun(100, func() {
				device.CmdBindPipeline(cmd, k.pipeline)
				device.CmdBindDescriptorSet(cmd, k.layout, 0, set)
				device.CmdPushConstants(cmd, k.layout, push[:])
				device.CmdDispatch(cmd, 1, 1, 1)
				device.CmdBarrier(cmd, vk.StageCompute, vk.StageCompute, vk.AccessShaderWrite, vk.AccessShaderRead)
			})
			if n != 0 {
				t.Errorf("recording a dispatch allocates %g times", n)
			}
		}
		b.record(record)
	})
}

// TestManyCommandBuffers submits more command buffers than travel by value.
func TestManyCommandBuffers(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(1)
		x, xs := b.buffer(1)
		y, ys := b.buffer(1)
		z, _ := b.buffer(1)
		for _, n := range []int{0, 1, 4, 5, 9} {
			xs[0], ys[0] = 1, 1
			b.must(b.ResetDescriptorPool(k.pool))
			set := b.set(k, x, y, z)
			var cmds []vk.CommandBuffer
			for i := range n {
				cmds = append(cmds, b.record(func(cmd vk.CommandBuffer) {
					b.dispatch(cmd, k, set, 1, float32(i)) // z = 2 + 1 + i
					b.CmdBarrier(cmd, vk.StageCompute, vk.StageTransfer, vk.AccessShaderRead|vk.AccessShaderWrite, vk.AccessTransferRead|vk.AccessTransferWrite)
					b.CmdCopyBuffer(cmd, z, y, vk.BufferCopy{Size: 4})
					b.CmdBarrier(cmd, vk.StageTransfer, vk.StageCompute|vk.StageHost, vk.AccessTransferWrite|vk.AccessTransferRead, vk.AccessShaderRead|vk.AccessShaderWrite|vk.AccessHostRead)
				}))
			}
			b.run(cmds...)
			want := float32(1)
			for i := range n {
				want = 2 + want + float32(i)
			}
			if ys[0] != want {
				t.Errorf("%d command buffers: %g, want %g", n, ys[0], want)
			}
			for _, c := range cmds {
				b.FreeCommandBuffer(b.pool, c)
			}
		}
	})
}
