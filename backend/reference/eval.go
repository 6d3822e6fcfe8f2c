package reference

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// Eval computes values of a bound graph in float64. The inputs are given by name, row-major; they may be any numbers
// that float64 holds. It returns the named values (inputs and parameters may be among them), or when no name is given
// every input's and node's.
//
// Errors: an unbound or invalid graph, an input that is missing or has another number of elements
// (*[graph.ShapeError]), an unknown name, a node that is not float32 (backend.ErrUnsupported), the context's error.
func Eval(ctx context.Context, g *graph.Graph, inputs map[string][]float64, names ...string) (map[string][]float64, error) {
	if err := check(g); err != nil {
		return nil, fmt.Errorf("evaluate graph: %w", err)
	}
	r := newRun(g, func(v *graph.Value) []float64 { return Widen(v.Data.Float32s()) })
	for _, v := range g.Inputs {
		data, ok := inputs[v.Name]
		if !ok || len(data) != v.Type.Shape.Elems() {
			return nil, fmt.Errorf("evaluate graph %q: %w", g.Name, &graph.ShapeError{Node: v.Name, Op: "input", Attr: "data",
				Want: fmt.Sprintf("%d elements for %v", v.Type.Shape.Elems(), v.Type), Got: fmt.Sprint(len(data))})
		}
		r.values[v] = data
	}
	var wanted []*graph.Value
	for _, name := range names {
		v := g.Value(name)
		if v == nil {
			return nil, fmt.Errorf("evaluate graph %q: no value %q", g.Name, name)
		}
		wanted = append(wanted, v)
	}
	if len(names) == 0 {
		wanted = append(wanted, g.Inputs...)
		for _, n := range g.Nodes {
			wanted = append(wanted, n.Output)
		}
	}
	if err := r.do(ctx, wanted); err != nil {
		return nil, fmt.Errorf("evaluate graph %q: %w", g.Name, err)
	}
	if err := g.DataErr(); err != nil {
		return nil, fmt.Errorf("evaluate graph %q: %w", g.Name, err)
	}
	out := make(map[string][]float64, len(wanted))
	for _, v := range wanted {
		out[v.Name] = r.value(v)
	}
	return out, nil
}

// Node computes one node in float64 from the values of its inputs, parameters included.
//
// Errors: an invalid node, inputs that do not fit it (*[graph.ShapeError]), backend.ErrUnsupported, the context's error.
func Node(ctx context.Context, n *graph.Node, inputs [][]float64) ([]float64, error) {
	value, _, err := evalNode(ctx, n, inputs, false)
	return value, err
}

// Bounds is [Node] that also computes for every element of the result how far a correct float32 implementation may
// be from it, when it is given the same inputs, which must be float32 numbers for that; see the package comment.
// An infinite bound means that float32 may overflow on the way to a value that it could hold, or that the value may be NaN or infinity
// (weights that are neither finite, and padding; see the package comment).
func Bounds(ctx context.Context, n *graph.Node, inputs [][]float64) (value, bound []float64, err error) {
	return evalNode(ctx, n, inputs, true)
}

func evalNode(ctx context.Context, n *graph.Node, inputs [][]float64, bounds bool) (value, bound []float64, err error) {
	if err := supports(n); err != nil {
		return nil, nil, err
	}
	if len(inputs) != len(n.Inputs) {
		return nil, nil, &graph.ShapeError{Node: n.Name, Op: n.Op.Name(), Attr: "inputs", Want: fmt.Sprint(len(n.Inputs)), Got: fmt.Sprint(len(inputs))}
	}
	in := make([]tensor, len(inputs))
	for i, data := range inputs {
		t := n.Inputs[i].Type
		if len(data) != t.Shape.Elems() {
			return nil, nil, &graph.ShapeError{Node: n.Name, Op: n.Op.Name(), Attr: fmt.Sprintf("input %d", i),
				Want: fmt.Sprintf("%d elements for %v", t.Shape.Elems(), t), Got: fmt.Sprint(len(data))}
		}
		in[i] = tensor{t.Shape, data}
	}
	shape := n.Output.Type.Shape
	out := result{tensor: tensor{shape, make([]float64, shape.Elems())}}
	if bounds {
		out.bound = make([]float64, shape.Elems())
	}
	if err := compute(ctx, n.Op, in, out); err != nil {
		return nil, nil, fmt.Errorf("compute node %q (%s): %w", n.Name, n.Op.Name(), err)
	}
	for i := range out.bound {
		if v := out.data[i]; v-v != 0 {
			out.bound[i] = 0 // NaN and infinity are wanted as they are
		}
	}
	if bounds {
		switch op := n.Op.(type) {
		case graph.Conv2D:
			eitherPadding(op, in, out)
		case graph.Gate:
			eitherGate(in, out)
		case graph.GroupNorm:
			eitherNorm(in, out)
		case graph.SplitAttention:
			eitherBranch(op, in, out)
		}
	}
	return out.data, out.bound, nil
}

// compute calls the op's function. It lists every op of the IR.
func compute(ctx context.Context, op graph.Op, in []tensor, out result) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch o := op.(type) {
	case graph.Conv2D:
		return conv2d(ctx, o, in, out)
	case graph.Linear:
		return linear(ctx, o, in, out)
	case graph.BatchNorm:
		return batchNorm(ctx, o, in, out)
	case graph.GroupNorm:
		return groupNorm(ctx, o, in, out)
	case graph.Gate:
		return gate(ctx, o, in, out)
	case graph.SplitAttention:
		return splitAttention(ctx, o, in, out)
	case graph.ReLU:
		return reluAll(ctx, in, out)
	case graph.Add:
		return add(ctx, in, out)
	case graph.MaxPool:
		return maxPool(ctx, o, in, out)
	case graph.AvgPool:
		return avgPool(ctx, o, in, out)
	case graph.GlobalAvgPool:
		return globalAvgPool(ctx, in, out)
	case graph.Flatten, graph.Reshape:
		return view(in, out)
	case graph.Concat:
		return concat(ctx, in, out)
	case graph.ChannelSlice:
		return channelSlice(ctx, o, in, out)
	case graph.Softmax:
		return softmax(ctx, in, out)
	case graph.ChannelPad:
		return channelPad(ctx, o, in, out)
	case graph.SpatialPad:
		return spatialPad(ctx, o, in, out)
	case graph.Subsample:
		return subsample(ctx, o, in, out)
	}
	return fmt.Errorf("reference: bug: no function for op %s", op.Name())
}

// run is one evaluation of a graph.
type run struct {
	g      *graph.Graph
	param  func(*graph.Value) []float64
	values map[*graph.Value][]float64 // inputs, and the node values that are still needed
}

func newRun(g *graph.Graph, param func(*graph.Value) []float64) *run {
	return &run{g, param, map[*graph.Value][]float64{}}
}

func (r *run) value(v *graph.Value) []float64 {
	if v.Kind == graph.ParamValue {
		return r.param(v)
	}
	return r.values[v]
}

// do computes the nodes in order. A value is let go after its last reader, unless it is wanted.
func (r *run) do(ctx context.Context, wanted []*graph.Value) error {
	readers := map[*graph.Value]int{}
	for _, v := range wanted {
		readers[v]++
	}
	for v, users := range r.g.Users() {
		readers[v] += len(users)
	}
	for _, n := range r.g.Nodes {
		in := make([][]float64, len(n.Inputs))
		for i, v := range n.Inputs {
			in[i] = r.value(v)
		}
		value, err := Node(ctx, n, in)
		if err != nil {
			return err
		}
		r.values[n.Output] = value
		for _, v := range n.Inputs {
			if readers[v]--; readers[v] == 0 {
				delete(r.values, v)
			}
		}
	}
	return nil
}
