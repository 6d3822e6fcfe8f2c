package reference

import (
	"context"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Part is a block of a convolution's result: some filters of one picture, in a window of rows and columns from the first
// up to, not including, the second.
type Part struct {
	Image      int
	Filters    []int
	Rows, Cols [2]int
}

// Elems is the number of elements of the block.
func (p Part) Elems() int {
	return len(p.Filters) * (p.Rows[1] - p.Rows[0]) * (p.Cols[1] - p.Cols[0])
}

// Of picks the block out of a whole result [N,K,P,Q], in the order of [PartBounds].
func (p Part) Of(result []float32, shape graph.Shape) []float32 {
	_, filters, rows, cols := shape.NCHW()
	out := make([]float32, 0, p.Elems())
	for _, k := range p.Filters {
		for r := p.Rows[0]; r < p.Rows[1]; r++ {
			line := ((p.Image*filters+k)*rows + r) * cols
			out = append(out, result[line+p.Cols[0]:line+p.Cols[1]]...)
		}
	}
	return out
}

// PartBounds is [Bounds] for a block of a convolution's result, [len(Filters), rows, columns], at the cost of that block:
// the values and bounds are those that Bounds has for these elements. With a transform it is [WinogradBounds], and with tensors that are
// stored in a narrower type the bounds are widened as by [WidenBounds].
//
// Errors: as those, and a part that does not lie in the result (*[graph.ShapeError]).
func PartBounds(ctx context.Context, n *graph.Node, inputs [][]float32, p Part, w *backend.Winograd, stored *backend.Precision) (value, bound []float64, err error) {
	if err := supports(n); err != nil {
		return nil, nil, err
	}
	op, ok := n.Op.(graph.Conv2D)
	if err := p.check(n, inputs, ok); err != nil {
		return nil, nil, err
	}
	if w != nil {
		if err := w.Check(n); err != nil {
			return nil, nil, fmt.Errorf("bound node: %w", err)
		}
	}
	_, _, h, v := n.Inputs[0].Type.Shape.NCHW()
	vertical, horizontal := windowsOf(op, h, v)
	filters, _, r, s := n.Inputs[1].Type.Shape.NCHW()
	// A tile may reach beyond the block, so the bounds of a transform need what lies around it.
	around := [2]int{}
	if w != nil {
		around = [2]int{reachOfTile(w.Rows, r), reachOfTile(w.Columns, s)}
	}
	rows, cols := p.Rows[1]-p.Rows[0], p.Cols[1]-p.Cols[0]
	value, bound = make([]float64, 0, p.Elems()), make([]float64, 0, p.Elems())
	for from := 0; from < len(p.Filters); { // filters of one group at a time
		perGroup := filters / op.Groups
		to := from + 1
		for to < len(p.Filters) && p.Filters[to]/perGroup == p.Filters[from]/perGroup {
			to++
		}
		c := cut{op: op, node: n, inputs: inputs, image: p.Image, filters: p.Filters[from:to]}
		_, _, height, width := n.Output.Type.Shape.NCHW()
		c.rows = vertical.meeting(widened(p.Rows, around[0], height), r, height)
		c.cols = horizontal.meeting(widened(p.Cols, around[1], width), s, width)
		sub, data, err := c.make()
		if err != nil {
			return nil, nil, err
		}
		var values, bounds []float64
		if w != nil {
			values, bounds, err = WinogradBounds(ctx, sub, data, *w)
		} else {
			values, bounds, err = Bounds(ctx, sub, data)
		}
		if stored != nil && err == nil {
			err = WidenBounds(ctx, sub, data, values, bounds, *stored)
		}
		if err != nil {
			return nil, nil, err
		}
		height, width = c.rows[1]-c.rows[0], c.cols[1]-c.cols[0]
		for k := range to - from {
			for i := range rows {
				at := (k*height+p.Rows[0]-c.rows[0]+i)*width + p.Cols[0] - c.cols[0]
				value, bound = append(value, values[at:at+cols]...), append(bound, bounds[at:at+cols]...)
			}
		}
		from = to
	}
	return value, bound, nil
}

// reachOfTile is how far a tile may reach beyond an element of it.
func reachOfTile(points []float64, kernel int) int {
	if len(points) == 0 {
		return 0
	}
	return len(points) + 1 - kernel // results - 1
}

// windowsOf are those of a convolution along rows and columns of an input of height and width.
func windowsOf(op graph.Conv2D, height, width int) (vertical, horizontal window) {
	return window{op.Stride[0], op.Padding.Top, op.Dilation[0], height}, window{op.Stride[1], op.Padding.Left, op.Dilation[1], width}
}

func widened(w [2]int, by, size int) [2]int {
	return [2]int{max(0, w[0]-by), min(size, w[1]+by)}
}

func (p Part) check(n *graph.Node, inputs [][]float32, isConv bool) error {
	fault := func(attr, want, got string) error {
		return &graph.ShapeError{Node: n.Name, Op: n.Op.Name(), Attr: attr, Want: want, Got: got}
	}
	if !isConv {
		return fault("part", "a conv2d", n.Op.Name())
	}
	if len(inputs) != len(n.Inputs) {
		return fault("inputs", fmt.Sprint(len(n.Inputs)), fmt.Sprint(len(inputs)))
	}
	for i, data := range inputs {
		if t := n.Inputs[i].Type; len(data) != t.Shape.Elems() {
			return fault(fmt.Sprintf("input %d", i), fmt.Sprintf("%d elements for %v", t.Shape.Elems(), t), fmt.Sprint(len(data)))
		}
	}
	images, filters, rows, cols := n.Output.Type.Shape.NCHW()
	if p.Image < 0 || p.Image >= images {
		return fault("part", fmt.Sprintf("an image of %d", images), fmt.Sprint(p.Image))
	}
	if len(p.Filters) == 0 || slices.Min(p.Filters) < 0 || slices.Max(p.Filters) >= filters {
		return fault("part", fmt.Sprintf("filters of %d", filters), fmt.Sprint(p.Filters))
	}
	for _, w := range []struct {
		name string
		got  [2]int
		size int
	}{{"rows", p.Rows, rows}, {"columns", p.Cols, cols}} {
		if w.got[0] < 0 || w.got[1] > w.size || w.got[0] >= w.got[1] {
			return fault("part", fmt.Sprintf("%s of %d", w.name, w.size), fmt.Sprint(w.got))
		}
	}
	return nil
}

// cut makes a convolution of its own of a block: one picture, the filters of one group with the channels that they read,
// and of those the rows and columns that the block's windows cover. What the windows cover of the padding stays padding.
type cut struct {
	op         graph.Conv2D
	node       *graph.Node
	inputs     [][]float32
	image      int
	filters    []int // of one group
	rows, cols [2]int
}

// covered is the part of a dimension of the input that the outputs from out[0] up to out[1] cover with their windows of
// kernel taps, and how much padding they cover before and after it. ok is false where that is padding alone.
func (w window) covered(out [2]int, kernel int) (in, pad [2]int, ok bool) {
	first, _ := w.at(out[0], 0)
	last, _ := w.at(out[1]-1, kernel-1)
	in = [2]int{max(first, 0), min(last+1, w.size)}
	return in, [2]int{in[0] - first, last + 1 - in[1]}, in[0] < in[1]
}

// meeting widens a window of outputs until it covers a part of the input.
func (w window) meeting(out [2]int, kernel, size int) [2]int {
	for {
		next := widened(out, 1, size)
		if _, _, ok := w.covered(out, kernel); ok || next == out {
			return out
		}
		out = next
	}
}

func (c *cut) make() (*graph.Node, [][]float64, error) {
	_, channels, height, width := c.node.Inputs[0].Type.Shape.NCHW()
	all, perGroup, kr, ks := c.node.Inputs[1].Type.Shape.NCHW()
	vertical, horizontal := windowsOf(c.op, height, width)
	h, vPad, ok := vertical.covered(c.rows, kr)
	v, hPad, fits := horizontal.covered(c.cols, ks)
	if !ok || !fits {
		return nil, nil, &graph.ShapeError{Node: c.node.Name, Op: c.node.Op.Name(), Attr: "part", Want: "windows that meet the input", Got: "padding only"}
	}
	firstChannel := c.filters[0] / (all / c.op.Groups) * perGroup
	var x, w []float64
	for ch := range perGroup {
		plane := c.inputs[0][(c.image*channels+firstChannel+ch)*height*width:]
		for i := h[0]; i < h[1]; i++ {
			x = appendWide(x, plane[i*width+v[0]:i*width+v[1]])
		}
	}
	size := perGroup * kr * ks
	for _, k := range c.filters {
		w = appendWide(w, c.inputs[1][k*size:][:size])
	}
	op := c.op
	op.Groups, op.Padding = 1, graph.Padding{Top: vPad[0], Left: hPad[0], Bottom: vPad[1], Right: hPad[1]}
	types := []graph.TensorType{graph.F32(1, perGroup, h[1]-h[0], v[1]-v[0]), graph.F32(len(c.filters), perGroup, kr, ks)}
	data := [][]float64{x, w}
	bias, shortcut := op.Inputs()
	if bias >= 0 {
		var b []float64
		for _, k := range c.filters {
			b = append(b, float64(c.inputs[bias][k]))
		}
		types, data = append(types, graph.F32(len(c.filters))), append(data, b)
	}
	if shortcut >= 0 {
		block := Part{c.image, c.filters, c.rows, c.cols}
		types = append(types, graph.F32(1, len(c.filters), c.rows[1]-c.rows[0], c.cols[1]-c.cols[0]))
		data = append(data, Widen(block.Of(c.inputs[shortcut], c.node.Output.Type.Shape)))
	}
	n, err := freeNode(c.node.Name, op, types)
	return n, data, err
}

func appendWide(to []float64, from []float32) []float64 {
	for _, v := range from {
		to = append(to, float64(v))
	}
	return to
}

// freeNode is a node that is of no graph.
func freeNode(name string, op graph.Op, types []graph.TensorType) (*graph.Node, error) {
	out, err := graph.Infer(op, types...)
	if err != nil {
		return nil, fmt.Errorf("cut node %q: %w", name, err)
	}
	n := &graph.Node{Name: name, Op: op}
	for i, t := range types {
		n.Inputs = append(n.Inputs, &graph.Value{Name: fmt.Sprint("input", i), Type: t, Kind: graph.InputValue})
	}
	n.Output = &graph.Value{Name: name, Type: out, Kind: graph.NodeValue, Node: n}
	return n, nil
}

// FilterSums is a checksum of a convolution: for every pixel of a picture's result the sum over all filters of factor[k]
// times filter k's result before the activation, [P,Q]. By linearity it is one convolution with the sum of the filters, so
// that it costs as much as one filter of each group, and yet a wrong element anywhere shows. With whole numbers as inputs, weights and factors
// it is exact while no sum exceeds 2^53.
//
// Errors: as [PartBounds].
func FilterSums(ctx context.Context, n *graph.Node, inputs [][]float32, image int, factor []float64) ([]float64, error) {
	if err := supports(n); err != nil {
		return nil, err
	}
	op, ok := n.Op.(graph.Conv2D)
	_, filters, p, q := n.Output.Type.Shape.NCHW()
	if err := (Part{Image: image, Filters: []int{0}, Rows: [2]int{0, p}, Cols: [2]int{0, q}}).check(n, inputs, ok); err != nil {
		return nil, err
	}
	if len(factor) != filters {
		return nil, &graph.ShapeError{Node: n.Name, Op: n.Op.Name(), Attr: "factors", Want: fmt.Sprint(filters), Got: fmt.Sprint(len(factor))}
	}
	_, channels, height, width := n.Inputs[0].Type.Shape.NCHW()
	_, perGroup, kr, ks := n.Inputs[1].Type.Shape.NCHW()
	vertical, horizontal := windowsOf(op, height, width)
	acc := tally{value: make([]float64, p*q)}
	taps := kr * ks
	kernel := make([]float64, perGroup*taps)
	for g := range op.Groups {
		clear(kernel)
		for k := g * (filters / op.Groups); k < (g+1)*(filters/op.Groups); k++ {
			for i, v := range inputs[1][k*perGroup*taps:][:perGroup*taps] {
				kernel[i] += factor[k] * float64(v)
			}
		}
		for c := range perGroup {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			plane := Widen(inputs[0][(image*channels+g*perGroup+c)*height*width:][:height*width])
			for t, v := range kernel[c*taps:][:taps] {
				convTap(acc, v, plane, vertical, horizontal, t/ks, t%ks, q)
			}
		}
	}
	bias, shortcut := op.Inputs()
	for k, f := range factor {
		if bias >= 0 {
			acc.addConst(f * float64(inputs[bias][k]))
		}
		if shortcut >= 0 {
			for i, v := range inputs[shortcut][(image*filters+k)*p*q:][:p*q] {
				acc.value[i] += f * float64(v)
			}
		}
	}
	return acc.value, nil
}
