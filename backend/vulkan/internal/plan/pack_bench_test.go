package plan

import (
	"fmt"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// BenchmarkPack orders the weights of a convolution for kernels of every kind, as a whole: bytes are those of the file.
func BenchmarkPack(b *testing.B) {
	for _, size := range []int{1, 3} {
		n := benchConv(b, 256, 256, size)
		op := n.Op.(graph.Conv2D)
		kernels := map[string]*Packed{
			"rows":    packFilters(n, op, packing{block: 16, channels: 4}),
			"columns": packFilters(n, op, packing{block: 64, channels: 16, columns: true}),
			"matrix":  packFilters(n, op, packing{block: 64, channels: 32, half: true}),
		}
		if size == 3 {
			g := geometryOf(n, op)
			kernels["winograd2"], kernels["winograd4"] = winograd2.packFilters(n, &g, 16), winograd4.packFilters(n, &g, 16)
		}
		for _, name := range []string{"rows", "columns", "matrix", "winograd2", "winograd4"} {
			p := kernels[name]
			if p == nil {
				continue
			}
			b.Run(fmt.Sprintf("%d×%d/%s", size, size, name), func(b *testing.B) {
				dst, fill := make([]float32, p.Elems), p.Open()
				b.SetBytes(int64(4 * n.Inputs[1].Type.Shape.Elems()))
				for b.Loop() {
					fill(dst, 0)
				}
			})
		}
	}
}

// benchConv is a square convolution of c channels and k filters.
func benchConv(tb testing.TB, k, c, size int) *graph.Node {
	tb.Helper()
	w, err := graph.FromFloat32s(graph.NewShape(k, c, size, size), iota32(k*c*size*size))
	if err != nil {
		tb.Fatal(err)
	}
	b := graph.NewBuilder("g")
	op := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(size / 2), Dilation: [2]int{1, 1}, Groups: 1}
	b.Output(b.Node("y", op, b.Input("x", graph.F32(1, c, 14, 14)), b.Param("w", w.Type, w)))
	g, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return g.Nodes[0]
}
