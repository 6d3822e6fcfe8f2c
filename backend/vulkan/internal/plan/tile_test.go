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
