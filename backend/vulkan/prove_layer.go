package vulkan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// proveLayer proves a candidate on a node's own shape.
func (d *device) proveLayer(ctx context.Context, n *graph.Node, candidate string) (v verdict, err error) {
	if _, ok := n.Op.(graph.Conv2D); !ok {
		err = d.proveOther(ctx, n, candidate, &v)
		return v, err // not in one line: what order they have there is nobody's promise
	}
	// Weights that are whole numbers and not negative serve both kinds of inputs: with such inputs the sums are exact and ReLU changes
	// none of them, with bell-shaped ones they are not, and it cuts off half of them.
	params := inputsFrom(pools().whole, n, true)
	t, err := d.newTrial(ctx, n, candidate, params)
	if err != nil {
		err = v.failed(err)
		return v, err
	}
	defer t.close()
	if t.transform() == nil && t.precision() == nil && exact(n) { // transforms and float16 do round whole numbers
		err = t.checksum(ctx, inputsFrom(pools().whole, n, false), &v)
	}
	if err == nil && v.wrong == "" {
		err = t.sample(ctx, inputsFrom(pools().bell, n, false), &v)
	}
	return v, err
}

// inputsFrom cuts data for the operands that are parameters, or for those that are not.
func inputsFrom(pool []float32, n *graph.Node, params bool) [][]float32 {
	data := make([][]float32, len(n.Inputs))
	for i, x := range n.Inputs {
		if (x.Kind == graph.ParamValue) == params {
			data[i] = cutFrom(pool, x.Type.Shape.Elems(), i+1)
		}
	}
	return data
}

// exact reports whether float32 holds all sums of the whole numbers of the pool, which are at most 4.
func exact(n *graph.Node) bool {
	taps := n.Inputs[1].Type.Shape.Elems() / n.Inputs[1].Type.Shape.Dim(0)
	return 16*taps+8 < 1<<24
}

// maxChecked is for how many pictures of a batch the checksums are computed. Those beyond are the same pictures again.
const maxChecked = 2

// checksum compares, pixel by pixel, the sum over all filters with what the reference has for it.
func (t *trial) checksum(ctx context.Context, data [][]float32, v *verdict) error {
	images, filters, p, q := t.node.Output.Type.Shape.NCHW()
	for _, i := range t.inputs { // pictures take turns
		if each := len(data[i]) / images; images > maxChecked {
			for image := maxChecked; image < images; image++ {
				copy(data[i][image*each:][:each], data[i][image%maxChecked*each:][:each])
			}
		}
	}
	if err := t.set(ctx, data); err != nil {
		return v.failed(err)
	}
	got, err := t.once(ctx)
	if err != nil {
		return v.failed(err)
	}
	factor := make([]float64, filters) // unlike, so that filters that were exchanged show
	for k := range factor {
		factor[k] = float64(1 + k*37%101)
	}
	each := filters * p * q
	for image := range images {
		result := got[image*each:][:each]
		if image >= maxChecked {
			if i := firstDifference(result, got[image%maxChecked*each:][:each]); i >= 0 {
				v.wrong = fmt.Sprintf("whole numbers: picture %d: element %d: got %g, want %g as for the same picture %d",
					image, i, result[i], got[image%maxChecked*each+i], image%maxChecked)
				return nil
			}
			continue
		}
		want, err := reference.FilterSums(ctx, t.node, t.data, image, factor)
		if err != nil {
			return err
		}
		sums := make([]float64, p*q)
		for k, f := range factor {
			for i, x := range result[k*p*q:][:p*q] {
				sums[i] += f * float64(x)
			}
		}
		for i := range sums {
			if !(sums[i] == want[i]) {
				v.wrong = fmt.Sprintf("whole numbers: picture %d, row %d, column %d: the weighted sum over all filters is %g, want %g", image, i/q, i%q, sums[i], want[i])
				v.worst = math.Inf(1)
				return nil
			}
		}
	}
	return nil
}

func firstDifference(a, b []float32) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// sample compares blocks of the result with the reference: bands of whole rows at the upper and lower edge and in the middle, for
// the first filters, the last ones, and some between, of the first and the last picture.
func (t *trial) sample(ctx context.Context, data [][]float32, v *verdict) error {
	if err := t.set(ctx, data); err != nil {
		return v.failed(err)
	}
	got, err := t.replayed(ctx)
	if err != nil {
		return v.failed(err)
	}
	shape := t.node.Output.Type.Shape
	images, filters, p, q := shape.NCHW()
	list := someOf(filters, 4, 12)
	w := t.transform()
	if w != nil {
		list = someOf(filters, 2, 4) // class B costs much more
	}
	for _, image := range slices.Compact([]int{0, images - 1}) {
		blocks := bands(p)
		if w != nil && image > 0 {
			blocks = blocks[len(blocks)-1:]
		}
		for _, rows := range blocks {
			part := reference.Part{Image: image, Filters: list, Rows: rows, Cols: [2]int{0, q}}
			want, bound, err := reference.PartBounds(ctx, t.node, t.data, part, w, t.precision())
			var outside *graph.ShapeError
			if errors.As(err, &outside) && outside.Attr == "part" { // no window meets the input: such a node is small
				return t.whole(ctx, got, v)
			}
			if err != nil {
				return err
			}
			if !v.take(fmt.Sprintf("picture %d, rows %d to %d, filters %v", image, rows[0], rows[1]-1, list), reference.Compare(part.Of(got, shape), want, bound)) {
				return nil
			}
		}
	}
	return nil
}

// whole compares the whole result.
func (t *trial) whole(ctx context.Context, got []float32, v *verdict) error {
	want, bound, err := t.bounds(ctx)
	if err == nil {
		v.take(shapeOf(t.node), reference.Compare(got, want, bound))
	}
	return err
}

// someOf picks numbers below n: the first and the last few, and as many others between as fit into limit.
func someOf(n, ends, limit int) []int {
	var list []int
	for i := range n {
		between := limit - 2*ends
		if i < ends || i >= n-ends || n <= limit || between > 0 && (i-ends)%max(1, (n-2*ends)/between) == 0 {
			list = append(list, i)
		}
	}
	return list
}

// bands are windows of rows: two at the top, one in the middle and two at the bottom.
func bands(rows int) [][2]int {
	if rows <= 5 {
		return [][2]int{{0, rows}}
	}
	return [][2]int{{0, 2}, {rows / 2, rows/2 + 1}, {rows - 2, rows}}
}

// proveOther compares the results of the first and the last picture of a node that is no convolution.
func (d *device) proveOther(ctx context.Context, n *graph.Node, candidate string, v *verdict) error {
	data := bellData(n)
	t, err := d.newTrial(ctx, n, candidate, data)
	if err != nil {
		return v.failed(err)
	}
	defer t.close()
	err = t.set(ctx, data)
	var got []float32
	if err == nil {
		got, err = t.replayed(ctx)
	}
	if err != nil {
		return v.failed(err)
	}
	images, ok := pictures(t)
	if !ok {
		return t.whole(ctx, got, v)
	}
	each := len(got) / images
	for _, image := range slices.Compact([]int{0, images - 1}) {
		one, wide, err := t.picture(image, images)
		if err != nil {
			return err
		}
		want, bound, err := reference.Bounds(ctx, one, wide)
		if p := t.precision(); p != nil && err == nil {
			err = reference.WidenBounds(ctx, one, wide, want, bound, *p)
		}
		if err != nil {
			return err
		}
		if !v.take(fmt.Sprintf("picture %d", image), reference.Compare(got[image*each:][:each], want, bound)) {
			return nil
		}
	}
	return nil
}

// pictures is the common first dimension of the operands and the result, if they have one and more dimensions.
func pictures(t *trial) (n int, ok bool) {
	out := t.node.Output.Type.Shape
	if out.Rank() < 2 {
		return 0, false
	}
	n = out.Dim(0)
	for _, i := range t.inputs {
		if s := t.node.Inputs[i].Type.Shape; s.Rank() < 2 || s.Dim(0) != n {
			return 0, false
		}
	}
	return n, true
}

// picture is the node for one picture of the batch, with that picture's data.
func (t *trial) picture(image, images int) (*graph.Node, [][]float64, error) {
	n := *t.node
	n.Inputs = slices.Clone(n.Inputs)
	wide := make([][]float64, len(n.Inputs))
	types := make([]graph.TensorType, len(n.Inputs))
	for i, v := range n.Inputs {
		data := t.data[i]
		if v.Kind != graph.ParamValue {
			one := *v
			one.Type.Shape = v.Type.Shape.WithDim(0, 1)
			n.Inputs[i] = &one
			each := len(data) / images
			data = data[image*each:][:each]
		}
		wide[i], types[i] = reference.Widen(data), n.Inputs[i].Type
	}
	typ, err := graph.Infer(n.Op, types...)
	if err != nil {
		return nil, nil, err
	}
	out := *n.Output
	out.Type, out.Node = typ, &n
	n.Output = &out
	return &n, wide, nil
}
