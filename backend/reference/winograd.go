package reference

import (
	"context"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// WinogradBounds is [Bounds] of a convolution that is computed through transforms (class B; see the package comment). Where a
// tile can hold NaN or infinity the transforms spread it: such elements have an infinite bound, and those that are
// NaN or infinite by the formula itself may be either of them.
//
// Errors: as [Bounds], and a transform that does not fit the node (*[graph.ShapeError]).
func WinogradBounds(ctx context.Context, n *graph.Node, inputs [][]float64, w backend.Winograd) (value, bound []float64, err error) {
	value, _, err = evalNode(ctx, n, inputs, true)
	if err != nil {
		return nil, nil, err
	}
	if err := w.Check(n); err != nil {
		return nil, nil, fmt.Errorf("bound node: %w", err)
	}
	in := make([]tensor, len(inputs))
	for i, data := range inputs {
		in[i] = tensor{n.Inputs[i].Type.Shape, data}
	}
	b := newWinogradBound(n.Op.(graph.Conv2D), w, in, n.Output.Type.Shape)
	if err := b.tiles(ctx); err != nil {
		return nil, nil, fmt.Errorf("bound node %q (%s): %w", n.Name, n.Op.Name(), err)
	}
	return value, b.finish(), nil
}

// axis is the transform along one axis: result i of a tile is Σ_a A[a][i]·(Σ_k G[a][k]·w_k)·(Σ_l B[a][l]·x_l).
type axis struct {
	a, g, b [][]float64 // absolute values; rows are points
	results int         // of a tile
	points  int         // products along the axis, infinity included; equals the inputs of a tile
	direct  bool        // a plain sum: A, G and B are ones
	window
}

// toomCook makes the matrices of the finite points and infinity for kernels of r elements. With no points it makes
// those of a plain sum.
func toomCook(points []float64, r int) (a, g, b [][]float64) {
	if len(points) == 0 {
		for k := range r {
			unit := make([]float64, r)
			unit[k] = 1
			a, g, b = append(a, []float64{1}), append(g, unit), append(b, unit)
		}
		return a, g, b
	}
	n := len(points) + 1
	m := n + 1 - r
	for i, p := range points {
		scale, poly := 1.0, []float64{1} // Π (p - q) and the coefficients of Π (x - q), lowest first, over the other points q
		for j, q := range points {
			if j != i {
				scale *= p - q
				poly = timesRoot(poly, q)
			}
		}
		a, g, b = append(a, powers(p, m, 1)), append(g, powers(p, r, 1/scale)), append(b, append(poly, 0))
	}
	whole := []float64{1}
	for _, q := range points {
		whole = timesRoot(whole, q)
	}
	last := func(size int) []float64 {
		row := make([]float64, size)
		row[size-1] = 1
		return row
	}
	return append(a, last(m)), append(g, last(r)), append(b, whole)
}

// timesRoot multiplies a polynomial, lowest coefficient first, by (x - root).
func timesRoot(poly []float64, root float64) []float64 {
	out := make([]float64, len(poly)+1)
	for i, c := range poly {
		out[i+1] += c
		out[i] -= root * c
	}
	return out
}

// powers is scale·p^0 to scale·p^(n-1).
func powers(p float64, n int, scale float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = scale
		scale *= p
	}
	return out
}

func absolute(m [][]float64) [][]float64 {
	out := make([][]float64, len(m))
	for i, row := range m {
		for _, v := range row {
			out[i] = append(out[i], math.Abs(v))
		}
	}
	return out
}

func newAxis(points []float64, r int, w window) axis {
	a, g, b := toomCook(points, r)
	return axis{absolute(a), absolute(g), absolute(b), len(a[0]), len(a), len(points) == 0, w}
}

// greatest is the largest sum of a row.
func greatest(m [][]float64) float64 {
	most := 0.0
	for _, row := range m {
		sum := 0.0
		for _, v := range row {
			sum += v
		}
		most = math.Max(most, sum)
	}
	return most
}

// winogradBound gathers, for every element of the result, the greatest
//
//	E = |A|ᵀ·[Σ_c (|G|·|w_c|·|G|ᵀ) ∘ (|B|·|x_c|·|B|ᵀ)]·|A|
//
// over all tiles that the element can be part of: every multiplication and addition of the algorithm acts on parts of it.
type winogradBound struct {
	op             graph.Conv2D
	in             []tensor
	shape          graph.Shape
	rows, cols     axis
	channels       int       // of a group
	size           int       // products of a tile and channel
	lostX, lostW   float64   // what flushing to zero can change in a transformed input, and weight
	sum, lost      []float64 // E, and what flushing can change in all, by element
	tilesH, tilesW int       // tiles of a picture: one for each place at which a tile can begin
}

// scaling allows for transforms whose factors are shared out among the matrices in another way than here.
const scaling = 64

func newWinogradBound(op graph.Conv2D, w backend.Winograd, in []tensor, shape graph.Shape) *winogradBound {
	_, _, height, width := in[0].shape.NCHW()
	_, channels, r, s := in[1].shape.NCHW()
	_, _, p, q := shape.NCHW()
	b := &winogradBound{
		op: op, in: in, shape: shape, channels: channels,
		rows: newAxis(w.Rows, r, window{op.Stride[0], op.Padding.Top, op.Dilation[0], height}),
		cols: newAxis(w.Columns, s, window{op.Stride[1], op.Padding.Left, op.Dilation[1], width}),
		sum:  make([]float64, shape.Elems()), lost: make([]float64, shape.Elems()),
	}
	b.size = b.rows.points * b.cols.points
	b.tilesH, b.tilesW = p+b.rows.results-1, q+b.cols.results-1
	// An operand may be flushed, and each operation of the two stages; the second stage magnifies what the first lost.
	twoStages := func(first, second [][]float64) float64 {
		return scaling * minNormal * (greatest(first)*greatest(second) + 2*float64(len(first[0]))*greatest(second) + 2*float64(len(second[0])))
	}
	b.lostX, b.lostW = twoStages(b.rows.b, b.cols.b), twoStages(b.rows.g, b.cols.g)
	return b
}

// tiles computes sum and lost, picture by picture.
func (b *winogradBound) tiles(ctx context.Context) error {
	n, filters, p, q := b.shape.NCHW()
	all := b.in[0].shape.Dim(1)
	for image := range n {
		inputs := make([][]float64, all) // |B|·|x|·|B|ᵀ of every tile, by channel
		if err := rows(ctx, all, func(c int) { inputs[c] = b.transformInput(image*all + c) }); err != nil {
			return err
		}
		err := rows(ctx, filters, func(k int) {
			first := k / (filters / b.op.Groups) * b.channels
			at := (image*filters + k) * p * q
			b.filter(k, inputs[first:][:b.channels], b.sum[at:][:p*q], b.lost[at:][:p*q])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// transformInput is |B|·|x|·|B|ᵀ of every tile of an input plane.
func (b *winogradBound) transformInput(plane int) []float64 {
	height, width := b.rows.window.size, b.cols.window.size
	x := b.in[0].row(plane, height*width)
	out := make([]float64, b.tilesH*b.tilesW*b.size)
	tile := make([][]float64, b.rows.points)
	for i := range tile {
		tile[i] = make([]float64, b.cols.points)
	}
	for t := range b.tilesH * b.tilesW {
		for i := range tile {
			h, inside := b.rows.at(t/b.tilesW-(b.rows.results-1), i)
			for j := range tile[i] {
				w, ok := b.cols.at(t%b.tilesW-(b.cols.results-1), j)
				tile[i][j] = 0
				if inside && ok {
					tile[i][j] = math.Abs(x[h*width+w])
				}
			}
		}
		sandwich(b.rows.b, tile, b.cols.b, out[t*b.size:][:b.size])
		limit(out[t*b.size:][:b.size])
	}
	return out
}

// limit makes all of a transformed tile infinite when a part of it is too large for float32 or no number: a transform may multiply by its
// zeros too.
func limit(tile []float64) {
	for _, v := range tile {
		if !(v*scaling <= math.MaxFloat32) {
			for i := range tile {
				tile[i] = math.Inf(1)
			}
			return
		}
	}
}

// sandwich writes left·m·rightᵀ, row-major, to out.
func sandwich(left, m, right [][]float64, out []float64) {
	half := make([]float64, len(m[0]))
	for a, l := range left {
		clear(half)
		for i, f := range l {
			for j, v := range m[i] {
				half[j] += f * v
			}
		}
		for c, r := range right {
			sum := 0.0
			for j, f := range r {
				sum += f * half[j]
			}
			out[a*len(right)+c] = sum
		}
	}
}

// filter computes the plane of a filter from the transformed inputs of its channels.
func (b *winogradBound) filter(k int, inputs [][]float64, sum, lost []float64) {
	_, _, r, s := b.in[1].shape.NCHW()
	weights := make([]float64, b.channels*b.size)
	ofWeights := make([]float64, b.size) // their sum over the channels
	kernel := make([][]float64, r)
	for c := range b.channels {
		w := b.in[1].row(k*b.channels+c, r*s)
		for i := range kernel {
			kernel[i] = nil
			for _, v := range w[i*s:][:s] {
				kernel[i] = append(kernel[i], math.Abs(v))
			}
		}
		sandwich(b.rows.g, kernel, b.cols.g, weights[c*b.size:][:b.size])
		limit(weights[c*b.size:][:b.size])
		for i, v := range weights[c*b.size:][:b.size] {
			ofWeights[i] += v
		}
	}
	products, flushes := make([]float64, b.size), make([]float64, b.size)
	for t := range b.tilesH * b.tilesW {
		clear(products)
		for i := range flushes {
			flushes[i] = b.lostX*ofWeights[i] + float64(b.channels)*b.lostX*b.lostW + flush(b.channels)
		}
		for c, in := range inputs {
			tile, w := in[t*b.size:][:b.size], weights[c*b.size:][:b.size]
			for i, v := range tile {
				products[i] += v * w[i]
				flushes[i] += v * b.lostW
			}
		}
		b.collect(t, products, sum, 0)
		b.collect(t, flushes, lost, flush(b.rows.points)*greatest(transposed(b.cols.a))+flush(b.cols.points))
	}
}

// collect applies |A|ᵀ·m·|A| to a tile's products and keeps the greatest of each element.
func (b *winogradBound) collect(t int, m, out []float64, more float64) {
	_, _, p, q := b.shape.NCHW()
	top, left := t/b.tilesW-(b.rows.results-1), t%b.tilesW-(b.cols.results-1)
	for i := max(0, -top); i < min(b.rows.results, p-top); i++ {
		for j := max(0, -left); j < min(b.cols.results, q-left); j++ {
			sum := more
			for a := range b.rows.points {
				for c := range b.cols.points {
					sum += b.rows.a[a][i] * b.cols.a[c][j] * m[a*b.cols.points+c]
				}
			}
			if math.IsNaN(sum) { // 0 times an infinity
				sum = math.Inf(1)
			}
			at := (top+i)*q + left + j
			out[at] = math.Max(out[at], sum)
		}
	}
}

func transposed(m [][]float64) [][]float64 {
	out := make([][]float64, len(m[0]))
	for _, row := range m {
		for j, v := range row {
			out[j] = append(out[j], v)
		}
	}
	return out
}

// roundings is how many roundings a term meets: in the three transforms, each along its axis a product with a rounded factor
// and a sum; as a product; and in the sum over the channels.
func (b *winogradBound) roundings() int {
	n := 1 + b.channels
	_, _, r, s := b.in[1].shape.NCHW()
	for _, x := range []struct {
		axis
		kernel int
	}{{b.rows, r}, {b.cols, s}} {
		if n += x.points; !x.direct {
			n += x.kernel + x.points + 3
		}
	}
	return n
}

// finish adds the epilogue and makes the bounds.
func (b *winogradBound) finish() []float64 {
	_, filters, p, q := b.shape.NCHW()
	terms := b.roundings()
	bias, shortcut := b.op.Inputs()
	for _, i := range []int{bias, shortcut} {
		if i >= 0 {
			terms++
		}
	}
	out := make([]float64, len(b.sum))
	for i := range out {
		sum := b.sum[i]
		if bias >= 0 {
			sum += math.Abs(b.in[bias].data[i/(p*q)%filters])
		}
		if shortcut >= 0 {
			sum += math.Abs(b.in[shortcut].data[i])
		}
		out[i] = within(sum, gamma(float64(terms))*sum+b.lost[i]+flush(2))
		if math.IsNaN(out[i]) {
			out[i] = math.Inf(1)
		}
	}
	return out
}
