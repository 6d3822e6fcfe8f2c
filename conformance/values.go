package conformance

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// Values says what the inputs of a case hold. The zero value is Ordinary.
type Values uint8

// The kinds of values.
const (
	Ordinary  Values = iota // bell-shaped about 0 with a standard deviation of 1
	Integers                // whole numbers from -4 to 4, and such weights: sums are exact in any order
	Equal                   // the same number everywhere
	OneHot                  // one 1, the rest 0
	Cancel                  // ±2^20 in turns with small numbers between, weights of 1: large terms that cancel, along each axis and between inputs
	Subnormal               // numbers about 2^-130
	MinusZero               // -0, with some ordinary numbers
	HalfLimit               // near ±65504, the end of float16
	NaN                     // ordinary, with a few NaN
	Infinity                // ordinary, with a few ∞ and -∞

	// These are ordinary inputs; what is special are the weights.
	WeightSubnormal // numbers about 2^-130
	WeightNaN       // a few NaN
	WeightInfinity  // a few ∞ and -∞
)

var valuesNames = []string{"ordinary", "integers", "equal", "onehot", "cancel", "subnormal", "minuszero", "halflimit", "nan", "infinity", "weightsubnormal", "weightnan", "weightinfinity"}

// String returns the name that stands in the names of cases.
func (v Values) String() string { return nameOf(valuesNames, int(v)) }

// specialWeights are those whose weights are special.
var specialWeights = []Values{WeightSubnormal, WeightNaN, WeightInfinity}

// special are all others but the two that most tables use.
var special = []Values{Equal, OneHot, Cancel, Subnormal, MinusZero, HalfLimit, NaN, Infinity}

// seed keeps the numbers of this suite apart from others made by the same formula.
const seed = 3

// Inputs makes the inputs of the case for its graph, in the order of g.Inputs.
func (c *Case) Inputs(g *graph.Graph) [][]float32 {
	if c.inputs != nil {
		return c.inputs(g)
	}
	in := make([][]float32, len(g.Inputs))
	for i, v := range g.Inputs {
		in[i] = c.Values.fill(c.numbers()+"/"+v.Name, v.Type.Shape.Elems())
		if c.Values == Cancel {
			cancelling(in[i], v.Type.Shape, i)
		}
	}
	return in
}

// fill makes n numbers; the name makes them differ from others.
func (v Values) fill(name string, n int) []float32 {
	out := bell(name, n)
	// Some places, spread over the tensor by a stride that is prime to most extents.
	places := func(count int, set func(i, at int)) {
		for i := range min(count, n) {
			set(i, (n/3+i*(n/count+1)+i*i*7)%n)
		}
	}
	switch v {
	case Integers:
		for i, x := range out {
			out[i] = float32(math.Max(-4, math.Min(4, math.Round(2*float64(x)))))
		}
	case Equal:
		for i := range out {
			out[i] = 0.7
		}
	case OneHot:
		clear(out)
		places(1, func(_, at int) { out[at] = 1 })
	case Subnormal:
		for i := range out {
			out[i] *= 0x1p-130
		}
	case MinusZero:
		for i := range out {
			if i%5 != 3 {
				out[i] = float32(math.Copysign(0, -1))
			}
		}
	case HalfLimit:
		for i, x := range out {
			out[i] = float32(math.Copysign(65504-32*float64(i%3), float64(x)))
		}
	case NaN:
		places(3, func(_, at int) { out[at] = float32(math.NaN()) })
	case Infinity:
		places(4, func(i, at int) { out[at] = float32(math.Inf(1 - 2*(i%2))) })
	}
	return out
}

// cancelling makes numbers large so that they cancel: in every third element of a channel over the channels, which go by threes, a positive one, a negative
// one and a small one; in the two elements behind it over these, whatever the channel; and between inputs, up to three quarters. A sum that takes other
// elements than it should is large then.
func cancelling(x []float32, shape graph.Shape, input int) {
	if len(x) == 0 {
		return
	}
	channels, each := 1, len(x)
	if shape.Rank() > 1 {
		channels = shape.Dim(1)
		each /= shape.Dim(0) * channels
	}
	large := (1<<20 + 0.75*float64(input)) * float64(1-2*(input%2))
	for i := range x {
		c, e := i/each%channels, i%each
		k, n := c, channels // of the one of a group of three that it is, and how many there are
		if e%3 != 0 {
			k, n = e%3-1, 2
		}
		sign := float64([3]int{1, -1, 0}[k%3])
		switch {
		case k%3 == 0 && k+1 == n && n > 1, e%3 == 1 && e+1 == each:
			sign = 0 // it has no partner
		case e%3 == 0 && e/3%2 == 1:
			sign = -sign
		}
		if sign != 0 {
			x[i] = float32(sign * large)
		}
	}
}

// bell is a sum of four uniform distributions: nearly normal, and the same on every machine.
func bell(name string, n int) []float32 {
	out := make([]float32, n)
	for part := range 4 {
		for i, v := range seeded.Uniform(seed, fmt.Sprintf("%s/%d", name, part), n, 0.5) {
			out[i] += v
		}
	}
	return out
}

// bindSeeded builds the graph of a case and binds parameters that keep results near a standard deviation of 1.
func bindSeeded(c *Case) (*graph.Graph, error) {
	g, err := c.build()
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, errors.New("want a graph, got nil")
	}
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		if p.Data != nil {
			data[p.Name] = p.Data // of a caller's own case
			continue
		}
		t, err := graph.FromFloat32s(p.Type.Shape, c.param(p))
		if err != nil {
			return nil, err
		}
		data[p.Name] = t
	}
	return g.Bind(data)
}

// param makes a parameter by the role that its name tells.
func (c *Case) param(p *graph.Value) []float32 {
	n, name := p.Type.Shape.Elems(), c.numbers()+"/"+p.Name
	switch c.Values {
	case Integers:
		if p.Name != "variance" {
			return Integers.fill(name, n)
		}
	case Cancel:
		if p.Type.Shape.Rank() > 1 {
			return fillWith(n, 1)
		}
	}
	role := p.Name[strings.LastIndexByte(p.Name, '.')+1:]
	switch {
	case c.Values == Equal && role == "variance":
		return make([]float32, n) // as equal numbers have it
	case c.Values >= WeightSubnormal && role == "weight":
		return c.weight(p, name)
	case role == "variance" || role == "running_var":
		return seeded.UniformAround(seed, name, n, 1, 0.2)
	case p.Type.Shape.Rank() == 1 && role == "weight":
		return seeded.UniformAround(seed, name, n, 1, 0.1)
	case p.Type.Shape.Rank() == 1:
		return seeded.Uniform(seed, name, n, 0.3)
	}
	return seeded.Uniform(seed, name, n, math.Sqrt(1/float64(fanIn(p.Type.Shape))))
}

// weight makes a weight that is no ordinary number, or has a few that are none.
func (c *Case) weight(p *graph.Value, name string) []float32 {
	n := p.Type.Shape.Elems()
	if c.Values == WeightSubnormal {
		return Subnormal.fill(name, n)
	}
	out := seeded.Uniform(seed, name, n, math.Sqrt(1/float64(fanIn(p.Type.Shape))))
	for i, bad := range []float64{math.Inf(1), math.Inf(-1)} { // in two filters or channels
		if c.Values == WeightNaN {
			bad = math.NaN()
		}
		out[(n/3+i*(n/2+1))%n] = float32(bad)
	}
	return out
}

// fanIn is the number of products behind an output element of a weight.
func fanIn(s graph.Shape) int {
	fan := 1
	for i := 1; i < s.Rank(); i++ {
		fan *= s.Dim(i)
	}
	return fan
}

func fillWith(n int, v float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = v
	}
	return out
}
