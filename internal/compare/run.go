package compare

import (
	"context"
	"encoding/binary"
	"errors"
	"math"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// run compiles a graph, runs it once on the inputs and returns its outputs. Nothing is left open.
func (l *looker) run(ctx context.Context, g *graph.Graph) (outputs [][]float32, err error) {
	e, err := l.dev.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	l.how = nil
	if t, ok := e.(backend.Transformer); ok {
		l.how = t.Transforms()
	}
	l.stored = nil
	if m, ok := e.(backend.MixedPrecision); ok {
		l.stored = m.Precisions()
	}
	var buffers []backend.Buffer
	defer func() {
		for _, b := range buffers {
			err = errors.Join(err, b.Close())
		}
		err = errors.Join(err, e.Close())
	}()
	buffer := func(t graph.TensorType) (backend.Buffer, error) {
		b, err := l.dev.NewBuffer(ctx, t)
		if err == nil {
			buffers = append(buffers, b)
		}
		return b, err
	}
	in, out := make([]backend.Buffer, len(g.Inputs)), make([]backend.Buffer, len(g.Outputs))
	for i, v := range g.Inputs {
		if in[i], err = buffer(v.Type); err != nil {
			return nil, err
		}
		if err := in[i].Write(ctx, encode(l.inputs[i])); err != nil {
			return nil, err
		}
	}
	for i, v := range g.Outputs {
		if out[i], err = buffer(v.Type); err != nil {
			return nil, err
		}
		// What is not written is NaN, not what some other run left there.
		if err := out[i].Write(ctx, encode(nans(v.Type.Shape.Elems()))); err != nil {
			return nil, err
		}
	}
	if err := e.Run(ctx, in, out); err != nil {
		return nil, err
	}
	outputs = make([][]float32, len(out))
	for i, b := range out {
		data := make([]byte, b.Type().SizeBytes())
		if err := b.Read(ctx, data); err != nil {
			return nil, err
		}
		outputs[i] = decode(data)
	}
	return outputs, nil
}

func nans(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.NaN())
	}
	return x
}

func encode(x []float32) []byte {
	data := make([]byte, 4*len(x))
	for i, v := range x {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
	}
	return data
}

func decode(data []byte) []float32 {
	x := make([]float32, len(data)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return x
}

// drift is |got - want| / |want| in the L2 norm: 0 for two zeros, infinite when a NaN or an infinity is not matched or when
// want is zero and got is not.
func drift(got []float32, want []float64) float64 {
	var diff, norm float64
	for i, w := range want {
		if i >= len(got) {
			return math.Inf(1)
		}
		v := float64(got[i])
		if v == w || math.IsNaN(v) && math.IsNaN(w) {
			if !math.IsInf(w, 0) && !math.IsNaN(w) {
				norm += w * w
			}
			continue
		}
		diff += (v - w) * (v - w)
		norm += w * w
	}
	switch {
	case diff == 0:
		return 0
	case math.IsNaN(diff), math.IsInf(diff, 0), norm == 0, math.IsInf(norm, 0), math.IsNaN(norm):
		return math.Inf(1)
	}
	return math.Sqrt(diff / norm)
}

// difference tells how far a and b are from each other: the greatest distance, where, in ULP of float32 there, and in the
// L2 norm relative to the float64 value.
func difference(s graph.Shape, a, b []float32, want []float64) (most float64, place []int, ulp, l2 float64) {
	at, diff, norm := -1, 0.0, 0.0
	for i := range min(len(a), len(b)) {
		x, y := float64(a[i]), float64(b[i])
		d := math.Abs(x - y)
		switch {
		case x == y, math.IsNaN(x) && math.IsNaN(y):
			d = 0
		case math.IsNaN(d):
			d = math.Inf(1)
		}
		if d > most || at < 0 {
			most, at = d, i
		}
		diff += d * d
		if w := want[i]; !math.IsNaN(w) && !math.IsInf(w, 0) {
			norm += w * w
		}
	}
	if at < 0 {
		return 0, nil, 0, 0
	}
	if diff > 0 {
		l2 = math.Sqrt(diff / norm) // infinite for a norm of 0
	}
	return most, placeOf(s, at), ulps(most, float64(b[at])), l2
}

// placeOf is the index of an element by dimension.
func placeOf(s graph.Shape, i int) []int {
	at := make([]int, s.Rank())
	for d := s.Rank() - 1; d >= 0; d-- {
		at[d] = i % s.Dim(d)
		i /= s.Dim(d)
	}
	return at
}

// ulps is a distance in units of the last place that float32 has at x.
func ulps(distance, x float64) float64 {
	if distance == 0 {
		return 0
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return math.Inf(1)
	}
	exp := -126
	if a := math.Abs(x); a >= 0x1p-126 {
		exp = math.Ilogb(a)
	}
	return distance / math.Ldexp(1, exp-23)
}
