package wire

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

// unknown is the error for what a later version of the protocol may have added.
func unknown(what string, n int32) error {
	return fmt.Errorf("%s: want one that this version knows, got number %d: %w", what, n, backend.ErrUnsupported)
}

func encodeOp(op graph.Op) (*pb.Op, error) {
	switch o := op.(type) {
	case graph.Conv2D:
		return &pb.Op{Kind: &pb.Op_Conv2D{Conv2D: &pb.Conv2D{Stride: extent(o.Stride), Padding: padding(o.Padding), Dilation: extent(o.Dilation),
			Groups: int64(o.Groups), Bias: o.Bias, Add: o.Add, Activation: activations[o.Act]}}}, nil
	case graph.Linear:
		return &pb.Op{Kind: &pb.Op_Linear{Linear: &pb.Linear{Bias: o.Bias}}}, nil
	case graph.BatchNorm:
		return &pb.Op{Kind: &pb.Op_BatchNorm{BatchNorm: &pb.BatchNorm{Epsilon: o.Epsilon}}}, nil
	case graph.Gate:
		return &pb.Op{Kind: &pb.Op_Gate{Gate: &pb.Gate{Add: o.Add, Activation: activations[o.Act]}}}, nil
	case graph.GroupNorm:
		return &pb.Op{Kind: &pb.Op_GroupNorm{GroupNorm: &pb.GroupNorm{Groups: int64(o.Groups), Epsilon: o.Epsilon, Activation: activations[o.Act]}}}, nil
	case graph.SplitAttention:
		return &pb.Op{Kind: &pb.Op_SplitAttention{SplitAttention: &pb.SplitAttention{Radix: int64(o.Radix), Groups: int64(o.Groups),
			Add: o.Add, Activation: activations[o.Act]}}}, nil
	case graph.ReLU:
		return &pb.Op{Kind: &pb.Op_Relu{Relu: &pb.ReLU{}}}, nil
	case graph.Add:
		return &pb.Op{Kind: &pb.Op_Add{Add: &pb.Add{}}}, nil
	case graph.Softmax:
		return &pb.Op{Kind: &pb.Op_Softmax{Softmax: &pb.Softmax{}}}, nil
	case graph.MaxPool:
		return &pb.Op{Kind: &pb.Op_MaxPool{MaxPool: &pb.MaxPool{Kernel: extent(o.Kernel), Stride: extent(o.Stride), Padding: padding(o.Padding),
			CeilMode: o.CeilMode}}}, nil
	case graph.AvgPool:
		return &pb.Op{Kind: &pb.Op_AvgPool{AvgPool: &pb.AvgPool{Kernel: extent(o.Kernel), Stride: extent(o.Stride), Padding: padding(o.Padding),
			CeilMode: o.CeilMode, CountIncludePad: o.CountIncludePad}}}, nil
	case graph.GlobalAvgPool:
		return &pb.Op{Kind: &pb.Op_GlobalAvgPool{GlobalAvgPool: &pb.GlobalAvgPool{}}}, nil
	case graph.Flatten:
		return &pb.Op{Kind: &pb.Op_Flatten{Flatten: &pb.Flatten{}}}, nil
	case graph.Reshape:
		return &pb.Op{Kind: &pb.Op_Reshape{Reshape: &pb.Reshape{Channels: int64(o.To[0]), Rows: int64(o.To[1]), Columns: int64(o.To[2])}}}, nil
	case graph.Concat:
		return &pb.Op{Kind: &pb.Op_Concat{Concat: &pb.Concat{}}}, nil
	case graph.ChannelSlice:
		return &pb.Op{Kind: &pb.Op_ChannelSlice{ChannelSlice: &pb.ChannelSlice{Begin: int64(o.Begin), End: int64(o.End)}}}, nil
	case graph.ChannelPad:
		return &pb.Op{Kind: &pb.Op_ChannelPad{ChannelPad: &pb.ChannelPad{Before: int64(o.Before), After: int64(o.After)}}}, nil
	case graph.SpatialPad:
		return &pb.Op{Kind: &pb.Op_SpatialPad{SpatialPad: &pb.SpatialPad{Padding: padding(o.Padding), Reflect: o.Reflect}}}, nil
	case graph.Subsample:
		return &pb.Op{Kind: &pb.Op_Subsample{Subsample: &pb.Subsample{Stride: extent(o.Stride)}}}, nil
	}
	return nil, fmt.Errorf("op: want one of package graph by value, got %T: %w", op, backend.ErrUnsupported)
}

// decodeOp leaves the judgement of attributes to graph.Infer; it refuses only what the Go types cannot hold.
func decodeOp(p *pb.Op) (graph.Op, error) {
	n := &numbers{}
	op, err := n.op(p)
	return op, errors.Join(err, n.err)
}

// numbers converts, and keeps the errors.
type numbers struct{ err error }

func (n *numbers) op(p *pb.Op) (graph.Op, error) {
	switch k := p.GetKind().(type) {
	case *pb.Op_Conv2D:
		o := k.Conv2D
		return graph.Conv2D{Stride: n.extent(o.GetStride()), Padding: n.padding(o.GetPadding()), Dilation: n.extent(o.GetDilation()),
			Groups: n.int(o.GetGroups()), Bias: o.GetBias(), Add: o.GetAdd(), Act: n.activation("conv2d", o)}, nil
	case *pb.Op_Linear:
		return graph.Linear{Bias: k.Linear.GetBias()}, nil
	case *pb.Op_BatchNorm:
		return graph.BatchNorm{Epsilon: k.BatchNorm.GetEpsilon()}, nil
	case *pb.Op_Gate:
		return graph.Gate{Add: k.Gate.GetAdd(), Act: n.activation("gate", k.Gate)}, nil
	case *pb.Op_GroupNorm:
		o := k.GroupNorm
		return graph.GroupNorm{Groups: n.int(o.GetGroups()), Epsilon: o.GetEpsilon(), Act: n.activation("group_norm", o)}, nil
	case *pb.Op_SplitAttention:
		o := k.SplitAttention
		return graph.SplitAttention{Radix: n.int(o.GetRadix()), Groups: n.int(o.GetGroups()), Add: o.GetAdd(),
			Act: n.activation("split_attention", o)}, nil
	case *pb.Op_Relu:
		return graph.ReLU{}, nil
	case *pb.Op_Add:
		return graph.Add{}, nil
	case *pb.Op_Softmax:
		return graph.Softmax{}, nil
	case *pb.Op_MaxPool:
		o := k.MaxPool
		return graph.MaxPool{Kernel: n.extent(o.GetKernel()), Stride: n.extent(o.GetStride()), Padding: n.padding(o.GetPadding()), CeilMode: o.GetCeilMode()}, nil
	case *pb.Op_AvgPool:
		o := k.AvgPool
		return graph.AvgPool{Kernel: n.extent(o.GetKernel()), Stride: n.extent(o.GetStride()), Padding: n.padding(o.GetPadding()),
			CeilMode: o.GetCeilMode(), CountIncludePad: o.GetCountIncludePad()}, nil
	case *pb.Op_GlobalAvgPool:
		return graph.GlobalAvgPool{}, nil
	case *pb.Op_Flatten:
		return graph.Flatten{}, nil
	case *pb.Op_Reshape:
		o := k.Reshape
		return graph.Reshape{To: [3]int{n.int(o.GetChannels()), n.int(o.GetRows()), n.int(o.GetColumns())}}, nil
	case *pb.Op_Concat:
		return graph.Concat{}, nil
	case *pb.Op_ChannelSlice:
		return graph.ChannelSlice{Begin: n.int(k.ChannelSlice.GetBegin()), End: n.int(k.ChannelSlice.GetEnd())}, nil
	case *pb.Op_ChannelPad:
		return graph.ChannelPad{Before: n.int(k.ChannelPad.GetBefore()), After: n.int(k.ChannelPad.GetAfter())}, nil
	case *pb.Op_SpatialPad:
		return graph.SpatialPad{Padding: n.padding(k.SpatialPad.GetPadding()), Reflect: k.SpatialPad.GetReflect()}, nil
	case *pb.Op_Subsample:
		return graph.Subsample{Stride: n.extent(k.Subsample.GetStride())}, nil
	}
	return nil, fmt.Errorf("op: want one that this version knows, got none: %w", backend.ErrUnsupported)
}

func (n *numbers) int(v int64) int {
	if v < 0 || int64(int(v)) != v {
		n.err = errors.Join(n.err, fmt.Errorf("op: want attributes of 0 or more, got %d", v))
		return 0
	}
	return int(v)
}

// activation decodes the epilogue of the named operation.
func (n *numbers) activation(op string, m interface{ GetActivation() pb.Activation }) graph.Activation {
	act, ok := activationsBack[m.GetActivation()]
	if !ok {
		n.err = errors.Join(n.err, unknown(op+": activation", int32(m.GetActivation())))
	}
	return act
}

func (n *numbers) extent(e *pb.Extent) [2]int {
	return [2]int{n.int(e.GetRows()), n.int(e.GetColumns())}
}

func (n *numbers) padding(p *pb.Padding) graph.Padding {
	return graph.Padding{Top: n.int(p.GetTop()), Left: n.int(p.GetLeft()), Bottom: n.int(p.GetBottom()), Right: n.int(p.GetRight())}
}

var activations = map[graph.Activation]pb.Activation{
	graph.NoActivation: pb.Activation_ACTIVATION_NONE,
	graph.ActReLU:      pb.Activation_ACTIVATION_RELU,
}

var activationsBack = invert(activations)

func extent(v [2]int) *pb.Extent { return &pb.Extent{Rows: int64(v[0]), Columns: int64(v[1])} }

func padding(p graph.Padding) *pb.Padding {
	return &pb.Padding{Top: int64(p.Top), Left: int64(p.Left), Bottom: int64(p.Bottom), Right: int64(p.Right)}
}
