package plan

import (
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Ops that do alike in every format: one source each, compiled for numbers, for vectors of four channels and for vectors of float16.

// inFormat makes the kernels of a node that reads and writes one format, and the bytes of the memory between them.
//
// Errors: backend.ErrUnsupported where they do not exist in that format.
type inFormat func(f Format) (list []*kernel, scratch []uint64, err error)

// inFormats lists a node's candidates in the formats that it can have. A number at a time is taken to cost twice what
// it does as one of four.
//
// Errors: that of the last format where there is none.
func inFormats(lim Limits, n *graph.Node, make inFormat, formats ...Format) (list []Candidate, err error) {
	for _, f := range formats {
		kernels, scratch, e := make(f)
		if e != nil {
			err = e
			continue
		}
		last := kernels[len(kernels)-1]
		c := Candidate{Name: last.variant.Name, In: f, Out: f, Class: Sums, kernels: kernels, scratch: scratch}
		factor := 1.0
		if f == Dense {
			factor = 2
		}
		list = append(list, c.costs(lim, n, factor))
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, err
}

// single is an inFormat of one kernel without memory of its own.
func single(k *kernel, err error) ([]*kernel, []uint64, error) { return []*kernel{k}, nil, err }

// batchNormKernels multiplies by a factor and adds a summand for each channel.
func batchNormKernels(lim Limits, n *graph.Node, op graph.BatchNorm) inFormat {
	batch, c, h, w := n.Output.Type.Shape.NCHW()
	return func(f Format) ([]*kernel, []uint64, error) {
		units := f.units(c)
		k, err := flat(lim, "batch_norm"+f.suffix(), batch*units*h*w, nil, []uint32{u32(units), u32(h * w)}, 0, theWeight, result)
		if err == nil {
			k.weights = packBatchNorm(n, op, f.lanes()*units)
		}
		return single(k, err)
	}
}

// withShortcut is the kernel of that name for a picture and what each channel is weighed by, or the one that adds a shortcut besides, and what
// it reads and writes.
func withShortcut(name string, add bool) (string, []operand) {
	if add {
		return name + "_add", []operand{0, 1, 2, result}
	}
	return name, []operand{0, 1, result}
}

// gateKernels multiplies by the sigmoid of a number for each channel.
func gateKernels(lim Limits, n *graph.Node, op graph.Gate) inFormat {
	batch, c, h, w := n.Output.Type.Shape.NCHW()
	return func(f Format) ([]*kernel, []uint64, error) {
		name, args := withShortcut("gate", op.Add)
		return single(flat(lim, name+f.suffix(), batch*f.units(c)*h*w, []uint32{flag(op.Act == graph.ActReLU)}, []uint32{u32(h * w)}, args...))
	}
}

// pixelsAtOnce is PIXELS of split_attention.comp and group_norm.comp.
const pixelsAtOnce = 8

// splitAttentionKernels adds branches by weights. In the packed formats branches and cardinal groups must begin with a vector.
func splitAttentionKernels(lim Limits, n *graph.Node, op graph.SplitAttention) inFormat {
	batch, c, h, w := n.Output.Type.Shape.NCHW()
	size := c / op.Groups
	return func(f Format) ([]*kernel, []uint64, error) {
		if lanes := f.lanes(); size%lanes != 0 {
			return nil, nil, backend.Unsupported("groups", fmt.Sprintf("groups of a multiple of %d channels", lanes), fmt.Sprint(size))
		}
		name, args := withShortcut("split_attention", op.Add)
		units, step := f.units(c), ceilDiv(h*w, pixelsAtOnce)
		spec := []uint32{flag(op.Act == graph.ActReLU), u32(op.Radix)}
		push := []uint32{u32(h * w), u32(units), u32(f.units(size)), u32(step)}
		return single(flat(lim, name+f.suffix(), batch*units*step, spec, push, args...))
	}
}

// channelKernels copies channels of each input to their places in the result: all of one input behind or before zeros, some of one, or
// those of several one after the other, where a vector that two inputs share is written twice.
func channelKernels(lim Limits, n *graph.Node) inFormat {
	batch, channels, h, w := n.Output.Type.Shape.NCHW()
	move := func(f Format, input operand, keep bool, offset int32, from, to int) (*kernel, error) { // channels from to before to of the result
		lanes := f.lanes()
		first, units := from/lanes, ceilDiv(to, lanes)-from/lanes
		_, c, _, _ := n.Inputs[input].Type.Shape.NCHW()
		push := []uint32{u32(h * w), u32(c), u32(channels), uint32(offset), u32(first), u32(units)}
		return flat(lim, "channels"+f.suffix(), batch*units*h*w, []uint32{flag(keep)}, push, input, result)
	}
	return func(f Format) (list []*kernel, _ []uint64, err error) {
		switch op := n.Op.(type) {
		case graph.ChannelPad:
			return single(move(f, 0, false, int32(op.Before), 0, channels))
		case graph.ChannelSlice:
			return single(move(f, 0, false, -int32(op.Begin), 0, channels))
		}
		at := 0
		for i, v := range n.Inputs {
			c := v.Type.Shape.Dim(1)
			k, err := move(f, operand(i), true, int32(at), at, at+c)
			if err != nil {
				return nil, nil, err
			}
			list, at = append(list, k), at+c
		}
		return list, nil, nil
	}
}

// spatialPadKernels puts rows and columns round each picture.
func spatialPadKernels(lim Limits, n *graph.Node, op graph.SpatialPad) inFormat {
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	batch, c, p, q := n.Output.Type.Shape.NCHW()
	return func(f Format) ([]*kernel, []uint64, error) {
		if err := checkWindow(n, op.Padding); err != nil {
			return nil, nil, err
		}
		push := []uint32{u32(h), u32(w), u32(p), u32(q), u32(op.Padding.Top), u32(op.Padding.Left)}
		return single(flat(lim, "spatial_pad"+f.suffix(), batch*f.units(c)*p*q, []uint32{flag(op.Reflect)}, push, 0, result))
	}
}

// subsampleKernels keep every so many rows and columns.
func subsampleKernels(lim Limits, n *graph.Node, op graph.Subsample) inFormat {
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	batch, c, p, q := n.Output.Type.Shape.NCHW()
	push := []uint32{u32(h), u32(w), u32(p), u32(q), u32(op.Stride[0]), u32(op.Stride[1])}
	return func(f Format) ([]*kernel, []uint64, error) {
		return single(flat(lim, "subsample"+f.suffix(), batch*f.units(c)*p*q, nil, push, 0, result))
	}
}
