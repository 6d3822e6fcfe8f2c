package vulkan

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/shaders"
)

// binding is the plan recorded for one set of input and output buffers. Its buffers are of one run at a time, and so is it.
type binding struct {
	ids   []uint64 // of the buffers, inputs first: ids are never used again, so a closed buffer cannot be mistaken
	pool  vk.DescriptorPool
	sets  []vk.DescriptorSet // by step
	views []vk.BufferView    // of the sets
	cmds  []vk.CommandBuffer // by piece of the plan
	busy  atomic.Bool        // a run with it is on the device
	// space is the buffer behind a reference of the plan.
	space func(plan.Ref) *memory
}

// maxBindings is how many sets of buffers an executable remembers: enough for callers that take turns with a few.
const maxBindings = 8

// What later submissions may do with the memory that this one wrote.
const (
	afterRun       = vk.StageCompute | vk.StageTransfer
	accessAfterRun = vk.AccessShaderRead | vk.AccessShaderWrite | vk.AccessTransferRead | vk.AccessTransferWrite
)

// bind returns the recorded commands for the buffers, which the caller holds.
func (e *executable) bind(in, out []backend.Buffer) (*binding, error) {
	for i, b := range e.bindings {
		if b.matches(in, out) {
			copy(e.bindings[i:], e.bindings[i+1:])
			e.bindings[len(e.bindings)-1] = b
			return b, nil
		}
	}
	if len(e.bindings) >= maxBindings { // more than may be busy
		i := slices.IndexFunc(e.bindings, func(b *binding) bool { return !b.busy.Load() })
		e.unbind(e.bindings[i])
		e.bindings = slices.Delete(e.bindings, i, i+1)
	}
	b := &binding{}
	for _, list := range [][]backend.Buffer{in, out} {
		for _, x := range list {
			b.ids = append(b.ids, x.(*buffer).id)
		}
	}
	if err := e.record(b, in, out); err != nil {
		e.unbind(b)
		return nil, err
	}
	e.bindings = append(e.bindings, b)
	return b, nil
}

func (b *binding) matches(in, out []backend.Buffer) bool {
	for i, x := range in {
		if b.ids[i] != x.(*buffer).id {
			return false
		}
	}
	for i, x := range out {
		if b.ids[len(in)+i] != x.(*buffer).id {
			return false
		}
	}
	return true
}

func (e *executable) unbind(b *binding) {
	for _, cmd := range b.cmds {
		e.dev.dev.FreeCommandBuffer(e.pool, cmd)
	}
	e.dev.destroySets(b)
}

// record writes the descriptor sets and the command buffer.
func (e *executable) record(b *binding, in, out []backend.Buffer) (err error) {
	d := e.dev.dev
	space := func(r plan.Ref) *memory {
		switch r.Space {
		case plan.InputSpace:
			return in[r.Index].(*buffer).mem
		case plan.OutputSpace:
			return out[r.Index].(*buffer).mem
		case plan.ArenaSpace:
			return e.arena
		case plan.WeightSpace:
			return e.pages[r.Index]
		}
		panic("vulkan: bug: a reference into " + r.String())
	}
	if err := e.writeSets(b, space); err != nil {
		return err
	}
	b.space = space
	work, access := e.hazards()
	for i, piece := range e.pieces {
		cmd, err := d.AllocateCommandBuffer(e.pool)
		if err != nil {
			return err
		}
		b.cmds = append(b.cmds, cmd)
		if err := e.dev.begin(cmd, false); err != nil {
			return err
		}
		e.encode(b, cmd, piece, nil)
		if i < len(e.pieces)-1 {
			// The plan's barriers reach over the border of a submission. This one is for a run that is given up on here: the
			// next may be of other commands.
			d.CmdBarrier(cmd, work, afterRun, access, accessAfterRun)
		}
		if err := d.EndCommandBuffer(cmd); err != nil {
			return err
		}
	}
	return nil
}

// encode records commands of the plan; after, unless nil, is called behind each that is not a barrier.
func (e *executable) encode(b *binding, cmd vk.CommandBuffer, commands []plan.Command, after func(plan.Command)) {
	d := e.dev.dev
	work, access := e.hazards()
	var push []byte
	for _, c := range commands {
		switch c := c.(type) {
		case plan.Dispatch:
			k := e.kernels[c.Set]
			push = push[:0]
			for _, w := range c.Step.Push {
				push = binary.NativeEndian.AppendUint32(push, w)
			}
			d.CmdBindPipeline(cmd, k.pipeline)
			d.CmdBindDescriptorSet(cmd, k.layout, 0, b.sets[c.Set])
			d.CmdPushConstants(cmd, k.layout, push)
			if c.Part != nil {
				d.CmdDispatchBase(cmd, c.Part.Base, c.Part.Groups)
			} else {
				d.CmdDispatch(cmd, c.Step.Groups[0], c.Step.Groups[1], c.Step.Groups[2])
			}
		case plan.Copy:
			d.CmdCopyBuffer(cmd, b.space(c.Src).buf, b.space(c.Dst).buf, vk.BufferCopy{SrcOffset: c.Src.Offset, DstOffset: c.Dst.Offset, Size: c.Src.Size})
		case plan.Barrier:
			if c.Host {
				// Waiting for the fence makes the results available, but visible only to the host: whatever is submitted
				// next (another executable that reads these outputs, a staging copy) relies on this barrier too.
				d.CmdBarrier(cmd, work, vk.StageHost|afterRun, access, vk.AccessHostRead|accessAfterRun)
			} else {
				d.CmdBarrier(cmd, work, work, access, access)
			}
			continue
		}
		if after != nil {
			after(c)
		}
	}
}

// hazards are the stages and accesses of the plan's commands.
func (e *executable) hazards() (vk.PipelineStage, vk.Access) {
	work, access := vk.StageCompute, vk.AccessShaderRead|vk.AccessShaderWrite
	if e.plan.HasCopies {
		work, access = work|vk.StageTransfer, access|vk.AccessTransferRead|vk.AccessTransferWrite
	}
	return work, access
}

// writeSets makes one descriptor set a step.
func (e *executable) writeSets(b *binding, space func(plan.Ref) *memory) (err error) {
	d := e.dev.dev
	buffers, texels := 0, 0
	for _, s := range e.plan.Steps {
		buffers += len(s.Bindings) - len(s.Variant.Texels)
		texels += len(s.Variant.Texels)
	}
	if len(e.plan.Steps) == 0 {
		return nil
	}
	if b.pool, err = d.CreateDescriptorPool(len(e.plan.Steps), buffers, texels); err != nil {
		return err
	}
	var ranges []vk.BufferRange
	var views []vk.BufferView
	for i, s := range e.plan.Steps {
		set, err := d.AllocateDescriptorSet(b.pool, e.kernels[i].set)
		if err != nil {
			return err
		}
		ranges, views = ranges[:0], views[:0]
		for j, r := range s.Bindings {
			viewed, most := e.kernels[i].types[j] == vk.DescriptorUniformTexel, e.dev.limits.MaxStorageBufferRange
			if viewed {
				most = s.Variant.TexelBytes() * uint64(e.dev.limits.MaxTexelBufferElements)
			}
			r.Size += reach(s, r, space(r), most)
			ranges = append(ranges, vk.BufferRange{Buffer: space(r).buf, Offset: r.Offset, Size: r.Size})
			var view vk.BufferView
			if viewed {
				texels := ranges[j]
				texels.Size = space(r).viewBytes(r.Offset, r.Size, s.ViewBytes(e.dev.limits, r.Size), most)
				if view, err = d.CreateBufferView(texels, texelFormat(s.Variant)); err != nil {
					return err
				}
				b.views = append(b.views, view)
			}
			views = append(views, view)
		}
		d.UpdateDescriptors(set, e.kernels[i].types, ranges, views)
		b.sets = append(b.sets, set)
	}
	return nil
}

// texelFormat is that of a variant's texel buffers.
func texelFormat(v *shaders.Variant) vk.Format {
	if v.Half {
		return vk.FormatRGBA16Float
	}
	return vk.FormatRGBA32Float
}

// destroySets releases a binding's descriptor sets and what they refer to.
func (d *device) destroySets(b *binding) {
	if b.pool != 0 {
		d.dev.DestroyDescriptorPool(b.pool)
	}
	for _, v := range b.views {
		d.dev.DestroyBufferView(v)
	}
}
