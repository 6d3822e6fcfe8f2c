package reference_test

import (
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// device32 is an imaginary device that computes in float32 as badly as the rules of the Vulkan specification let it:
// sums in either order, division and inverse square root as far off as allowed, subnormal numbers flushed.
type device32 struct {
	name    string
	reverse bool    // sum from the last term to the first
	flush   bool    // subnormal operands and results become zero
	drift   float64 // -1, 0 or 1: where in the allowed range division, square root and exponential end up
	folded  bool    // batch norm as x·s + t, mean as a product with the reciprocal
}

var devices32 = []device32{
	{name: "plain"},
	{name: "reverse-flush-high", reverse: true, flush: true, drift: 1},
	{name: "flush-low-folded", flush: true, drift: -1, folded: true},
	{name: "high-folded", drift: 1, folded: true},
	{name: "reverse-low", reverse: true, drift: -1},
}

func (d device32) ftz(v float32) float32 {
	if d.flush && math.Abs(float64(v)) < 0x1p-126 {
		return 0
	}
	return v
}

func (d device32) mul(a, b float32) float32 { return d.ftz(float32(d.ftz(a) * d.ftz(b))) }
func (d device32) add(a, b float32) float32 { return d.ftz(float32(d.ftz(a) + d.ftz(b))) }

// off rounds v and moves it by drift times so many ULP less the half that rounding takes.
func (d device32) off(v, ulps float64) float32 {
	r := float32(v)
	if v == 0 || math.IsInf(float64(r), 0) || math.IsNaN(v) {
		return r
	}
	_, exp := math.Frexp(float64(r))
	ulp := math.Ldexp(1, max(exp-24, -149))
	return d.ftz(float32(float64(r) + d.drift*math.Floor(ulps-0.5)*ulp))
}

func (d device32) div(a, b float32) float32 { return d.off(float64(d.ftz(a))/float64(d.ftz(b)), 2.5) }
func (d device32) rsqrt(v float32) float32  { return d.off(1/math.Sqrt(float64(d.ftz(v))), 2) }
func (d device32) exp(v float32) float32 {
	return d.off(math.Exp(float64(v)), 3+2*math.Abs(float64(v)))
}

func (d device32) sum(terms []float32) float32 {
	if d.reverse {
		terms = slices.Clone(terms)
		slices.Reverse(terms)
	}
	var s float32
	for _, t := range terms {
		s = d.add(s, t)
	}
	return s
}

// run computes a node. It is written against the ops' documentation, apart from the reference's code.
func (d device32) run(n *graph.Node, in [][]float32) []float32 {
	shape := n.Output.Type.Shape
	out := make([]float32, shape.Elems())
	switch o := n.Op.(type) {
	case graph.Conv2D:
		each(shape, func(j int, at [4]int) { out[j] = d.conv(o, n, in, j, at) })
	case graph.Linear:
		features := n.Inputs[0].Type.Shape.Dim(1)
		for j := range out {
			i, k := j/shape.Dim(1), j%shape.Dim(1)
			var terms []float32
			for c := range features {
				terms = append(terms, d.mul(in[0][i*features+c], in[1][k*features+c]))
			}
			if o.Bias {
				terms = append(terms, in[2][k])
			}
			out[j] = d.sum(terms)
		}
	case graph.BatchNorm:
		each(shape, func(j int, at [4]int) {
			c := at[1]
			out[j] = d.batchNorm(in[0][j], in[1][c], in[2][c], in[3][c], in[4][c], o.Epsilon)
		})
	case graph.GroupNorm:
		size := len(in[0]) / max(shape.Dim(0)*o.Groups, 1)
		for i := 0; i < len(out); i += size {
			d.groupNorm(o, shape, in, i, out[i:][:size])
		}
	case graph.SplitAttention:
		each(shape, func(j int, at [4]int) { out[j] = d.splitAttention(o, shape, in, j, at) })
	case graph.Gate:
		each(shape, func(j int, at [4]int) {
			s := in[1][at[0]*shape.Dim(1)+at[1]]
			out[j] = d.mul(in[0][j], d.div(1, d.add(1, d.exp(-s))))
			if o.Add {
				out[j] = d.add(out[j], in[2][j])
			}
			if o.Act == graph.ActReLU {
				out[j] = max(out[j], 0)
			}
		})
	case graph.AvgPool:
		each(shape, func(j int, at [4]int) { out[j] = d.avg(o, n.Inputs[0].Type.Shape, in[0], at) })
	case graph.GlobalAvgPool:
		size := len(in[0]) / len(out)
		for j := range out {
			out[j] = d.mean(in[0][j*size:][:size], size)
		}
	case graph.Softmax:
		size := shape.Dim(-1)
		for i := 0; i < len(out); i += size {
			d.softmax(in[0][i:][:size], out[i:][:size])
		}
	case graph.Add:
		for j := range out {
			out[j] = d.add(in[0][j], in[1][j])
		}
	default:
		return nil // exact ops have tests of their own
	}
	return out
}

func (d device32) conv(o graph.Conv2D, n *graph.Node, in [][]float32, j int, at [4]int) float32 {
	x, w := n.Inputs[0].Type.Shape, n.Inputs[1].Type.Shape
	_, channels, height, width := x.NCHW()
	filters, perGroup, kr, ks := w.NCHW()
	var terms []float32
	for c := range perGroup {
		ch := at[1]*o.Groups/filters*perGroup + c
		for r := range kr {
			for s := range ks {
				h := at[2]*o.Stride[0] + r*o.Dilation[0] - o.Padding.Top
				v := at[3]*o.Stride[1] + s*o.Dilation[1] - o.Padding.Left
				if h >= 0 && h < height && v >= 0 && v < width {
					terms = append(terms, d.mul(in[0][((at[0]*channels+ch)*height+h)*width+v], in[1][((at[1]*perGroup+c)*kr+r)*ks+s]))
				}
			}
		}
	}
	bias, shortcut := o.Inputs()
	if bias >= 0 {
		terms = append(terms, in[bias][at[1]])
	}
	if shortcut >= 0 {
		terms = append(terms, in[shortcut][j])
	}
	y := d.sum(terms)
	if o.Act == graph.ActReLU {
		y = max(y, 0)
	}
	return y
}

func (d device32) batchNorm(x, weight, bias, mean, variance float32, epsilon float64) float32 {
	sum := d.add(variance, float32(epsilon))
	if d.folded {
		s := d.mul(weight, d.rsqrt(sum))
		return d.add(d.mul(x, s), d.add(bias, -d.mul(mean, s)))
	}
	root := d.div(1, d.rsqrt(sum)) // sqrt inherits its error from 1/inversesqrt
	return d.add(d.mul(d.div(d.add(x, -mean), root), weight), bias)
}

// groupNorm computes the group whose first element has this offset.
func (d device32) groupNorm(o graph.GroupNorm, shape graph.Shape, in [][]float32, first int, y []float32) {
	_, c, h, w := shape.NCHW()
	x := in[0][first:][:len(y)]
	mean := d.mean(x, len(x))
	var squares []float32
	for _, v := range x {
		squares = append(squares, d.mul(d.add(v, -mean), d.add(v, -mean)))
	}
	variance := d.mean(squares, len(x))
	for i, v := range x {
		ch := (first + i) / (h * w) % c
		y[i] = d.batchNorm(v, in[1][ch], in[2][ch], mean, variance, o.Epsilon)
		if o.Act == graph.ActReLU {
			y[i] = max(y[i], 0)
		}
	}
}

func (d device32) splitAttention(o graph.SplitAttention, shape graph.Shape, in [][]float32, j int, at [4]int) float32 {
	_, c, h, w := shape.NCHW()
	size := c / o.Groups
	scores, weights := make([]float32, o.Radix), make([]float32, o.Radix)
	for r := range scores {
		scores[r] = in[1][at[0]*o.Radix*c+at[1]/size*o.Radix*size+r*size+at[1]%size]
	}
	d.softmax(scores, weights)
	var terms []float32
	for r, a := range weights {
		terms = append(terms, d.mul(a, in[0][(((at[0]*o.Radix+r)*c+at[1])*h+at[2])*w+at[3]]))
	}
	if o.Add {
		terms = append(terms, in[2][j])
	}
	y := d.sum(terms)
	if o.Act == graph.ActReLU {
		y = max(y, 0)
	}
	return y
}

func (d device32) avg(o graph.AvgPool, x graph.Shape, in []float32, at [4]int) float32 {
	_, channels, height, width := x.NCHW()
	var terms []float32
	count := 0
	for r := range o.Kernel[0] {
		for s := range o.Kernel[1] {
			h, v := at[2]*o.Stride[0]+r-o.Padding.Top, at[3]*o.Stride[1]+s-o.Padding.Left
			if h < height+o.Padding.Bottom && v < width+o.Padding.Right && o.CountIncludePad {
				count++
			}
			if h >= 0 && h < height && v >= 0 && v < width {
				terms = append(terms, in[((at[0]*channels+at[1])*height+h)*width+v])
			}
		}
	}
	if !o.CountIncludePad {
		count = len(terms)
	}
	return d.mean(terms, count)
}

func (d device32) mean(terms []float32, count int) float32 {
	if d.folded {
		return d.mul(d.sum(terms), d.div(1, float32(count)))
	}
	return d.div(d.sum(terms), float32(count))
}

func (d device32) softmax(x, y []float32) {
	m := slices.Max(x)
	for i, v := range x {
		y[i] = d.exp(d.add(v, -m))
	}
	s := d.sum(y)
	for i := range y {
		y[i] = d.div(y[i], s)
	}
}

// each calls f for every element of an NCHW tensor with its offset and its four indices.
func each(s graph.Shape, f func(j int, at [4]int)) {
	n, c, h, w := s.NCHW()
	for j := range n * c * h * w {
		f(j, [4]int{j / (c * h * w), j / (h * w) % c, j / w % h, j % w})
	}
}
