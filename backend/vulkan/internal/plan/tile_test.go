package plan

import (
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// TestWeightsLieWhereTheStepsOfTilesLook reads packed weights back by what conv2d_tile.comp and conv2d_walk.glsl say of a step.
func TestWeightsLieWhereTheStepsOfTilesLook(t *testing.T) {
	const k, r, s, block = 10, 3, 6, 8
	for _, c := range []struct {
		name     string
		channels int // of the convolution
		to       packing
		steps    int
		at       func(c, r, s, m int) (step, i int) // the step of a weight, and its place within
	}{
		{"columns", 18, packing{block: block, channels: 16, columns: true}, r * s * 2, func(c, r, q, m int) (int, int) {
			return (r*s+q)*2 + c/16, c%16*block + m
		}},
		{"several taps, columns", 3, packing{block: block, channels: 16, columns: true, few: true}, r * 2, func(c, r, q, m int) (int, int) {
			return r*2 + q/4, (q%4*4+c)*block + m
		}},
		{"several taps, rows", 3, packing{block: block, channels: 16, few: true}, r * 2, func(c, r, q, m int) (int, int) {
			return r*2 + q/4, m*16 + q%4*4 + c
		}},
	} {
		b := graph.NewBuilder("g")
		data := iota32(k * c.channels * r * s)
		w, err := graph.FromFloat32s(graph.NewShape(k, c.channels, r, s), data)
		if err != nil {
			t.Fatal(err)
		}
		op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
		b.Output(b.Node("y", op, b.Input("x", graph.F32(1, c.channels, 9, 9)), b.Param("w", w.Type, w)))
		g, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		p := packFilters(g.Nodes[0], op, c.to)
		size := block + c.steps*block*16
		if p.Elems != 2*size {
			t.Errorf("%s: %d elements, want 2 blocks of %d", c.name, p.Elems, size)
			continue
		}
		dst := fill(t, p)
		want := make([]float32, p.Elems) // what does not exist is zero
		for f := range k {
			for i := range c.channels * r * s {
				step, at := c.at(i/(r*s), i/s%r, i%s, f%block)
				want[f/block*size+block+step*block*16+at] = data[f*c.channels*r*s+i]
			}
		}
		if !slices.Equal(dst, want) {
			t.Errorf("%s: the weights lie elsewhere", c.name)
		}
	}
}

// TestInputsLieWhereResultsDoInPointwiseConvolutions is about the promise that kernels take pixels for columns of a matrix by.
func TestInputsLieWhereResultsDoInPointwiseConvolutions(t *testing.T) {
	one := [2]int{1, 1}
	for _, c := range []struct {
		name string
		op   graph.Conv2D
		r, s int
		want bool
	}{
		{"one tap", graph.Conv2D{Stride: one, Dilation: one, Groups: 1}, 1, 1, true},
		{"one tap, and a dilation that is of no use", graph.Conv2D{Stride: one, Dilation: [2]int{2, 3}, Groups: 2}, 1, 1, true},
		{"a stride of rows", graph.Conv2D{Stride: [2]int{2, 1}, Dilation: one, Groups: 1}, 1, 1, false},
		{"a stride of columns", graph.Conv2D{Stride: [2]int{1, 2}, Dilation: one, Groups: 1}, 1, 1, false},
		{"padding above", graph.Conv2D{Stride: one, Dilation: one, Groups: 1, Padding: graph.Padding{Top: 1}}, 1, 1, false},
		{"padding on the right", graph.Conv2D{Stride: one, Dilation: one, Groups: 1, Padding: graph.Padding{Right: 1}}, 1, 1, false},
		{"two taps of a row", graph.Conv2D{Stride: one, Dilation: one, Groups: 1}, 1, 2, false},
		{"three taps of a column, as many results as inputs", graph.Conv2D{Stride: one, Dilation: one, Groups: 1, Padding: graph.Padding{Top: 1, Bottom: 1}}, 3, 1, false},
	} {
		b := graph.NewBuilder("g")
		b.Output(b.Node("y", c.op, b.Input("x", graph.F32(1, 8, 6, 7)), b.Param("w", graph.F32(8, 8/c.op.Groups, c.r, c.s), nil)))
		g, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		geometry := geometryOf(g.Nodes[0], c.op)
		if got := geometry.direct(); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
