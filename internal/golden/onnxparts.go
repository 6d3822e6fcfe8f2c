package golden

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// groupNorm is GroupNormalization with parameters for each channel, or InstanceNormalization, whose groups are one channel each.
func (t *onnxGraph) groupNorm(n onnxNode) (graph.Op, []*graph.Value, error) {
	x, err := t.value(n.inputs[0], true)
	if err != nil {
		return nil, nil, err
	}
	in := []*graph.Value{x}
	for i, role := range []string{"weight", "bias"} {
		c := t.constants[n.inputs[i+1]]
		p, err := t.param(n.inputs[i+1], role, c.f32, c.dims...)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, p)
	}
	groups := x.Type.Shape.Dim(1)
	if n.op == "GroupNormalization" {
		groups = n.attrs["num_groups"].i
	}
	epsilon := float32(1e-5)
	if a, ok := n.attrs["epsilon"]; ok {
		epsilon = a.f
	}
	return graph.GroupNorm{Groups: groups, Epsilon: float64(epsilon)}, in, nil
}

// picture is value for an operand that may be a vector for each picture: then it is one pixel.
func (t *onnxGraph) picture(name string) (*graph.Value, error) {
	if x := t.constants[name]; t.values[name] == nil && len(x.dims) == 2 {
		x.dims = []int{x.dims[0], x.dims[1], 1, 1}
		t.constants[name] = x
	}
	return t.value(name, true)
}

func (t *onnxGraph) concat(n onnxNode) (graph.Op, []*graph.Value, error) {
	var in []*graph.Value
	for _, name := range n.inputs {
		x, err := t.picture(name)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, x)
	}
	return graph.Concat{}, in, nil
}

// list is an attribute or an input of whole numbers, nil when there is neither.
func (t *onnxGraph) list(n onnxNode, name string, input int) []int {
	if a, ok := n.attrs[name]; ok {
		return a.ints
	}
	if input < len(n.inputs) {
		return t.constants[n.inputs[input]].i64
	}
	return nil
}

// moved is Split, of which the first result is looked at, Slice of channels, Pad of rows and columns, or Reshape.
func (t *onnxGraph) moved(n onnxNode) (graph.Op, []*graph.Value, error) {
	operand := t.picture
	if n.op == "Reshape" {
		operand = func(name string) (*graph.Value, error) { return t.value(name, false) }
	}
	x, err := operand(n.inputs[0])
	if err != nil {
		return nil, nil, err
	}
	in := []*graph.Value{x}
	switch channels := x.Type.Shape.Dim(1); n.op {
	case "Split":
		end := (channels + len(n.outputs) - 1) / len(n.outputs)
		if sizes := t.list(n, "split", 1); sizes != nil {
			end = sizes[0]
		}
		return graph.ChannelSlice{End: end}, in, nil
	case "Slice":
		begin, end := t.list(n, "starts", 1)[0], t.list(n, "ends", 2)[0]
		for _, b := range []*int{&begin, &end} {
			if *b < 0 {
				*b += channels
			}
		}
		return graph.ChannelSlice{Begin: begin, End: min(end, channels)}, in, nil
	case "Pad":
		p := t.list(n, "pads", 1) // the beginning of each axis, then the end
		op := graph.SpatialPad{Padding: graph.Padding{Top: p[2], Left: p[3], Bottom: p[6], Right: p[7]}, Reflect: n.attrs["mode"].s == "reflect"}
		return op, in, nil
	}
	to := t.list(n, "shape", 1)
	if len(to) == 2 {
		return graph.Flatten{}, in, nil
	}
	if len(to) != 4 {
		return nil, nil, fmt.Errorf("shape: got %v", to)
	}
	dims := x.Type.Shape.Dims()
	rest, open := x.Type.Shape.Elems()/dims[0], -1
	op := graph.Reshape{}
	for i, d := range to[1:] {
		switch d {
		case 0:
			d = dims[i+1]
		case -1:
			open = i
			continue
		}
		op.To[i] = d
		rest /= d
	}
	if open >= 0 {
		op.To[open] = rest
	}
	return op, in, nil
}
