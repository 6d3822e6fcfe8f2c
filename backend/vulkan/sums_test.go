package vulkan

import (
	"fmt"
	"math"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// TestLongSumsAreMadeInTwoLevels adds 16,384 times the same number. One after the other they come out wrong by some 2,600
// units of the last place, which class A allows; in parts of 64 by about 40. See RATIONALE.md, "Why are convolutions
// summed in two levels?".
func TestLongSumsAreMadeInTwoLevels(t *testing.T) {
	const terms, part, x = 1 << 14, 64, float32(0.1)
	bound := (part + terms/part) * 0x1p-24 // relative, of two sums one after the other
	fill := func(n int, v float32) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = v
		}
		return out
	}
	conv := fmt.Sprintf("graph g\ninput %%x : float32[1,%d,1,1]\nparam @w : float32[5,%d,1,1]\n%%y = conv2d(%%x, @w)\noutput %%y\n", terms, terms)
	linear := fmt.Sprintf("graph g\ninput %%x : float32[1,%d]\nparam @w : float32[5,%d]\n%%y = linear(%%x, @w)\noutput %%y\n", terms, terms)
	const mean = "graph g\ninput %x : float32[1,5,128,128]\n%y = global_avg_pool(%x)\noutput %y\n"
	for _, c := range []struct {
		name, text string
		kernels    []string
		want       float64
	}{
		{"packed8x4_quad", conv, []string{"conv2d_packed8x4_quad_f32"}, terms * float64(x)},
		{"packed4x4", conv, []string{"conv2d_packed4x4_f32"}, terms * float64(x)},
		{"regtile16", conv, []string{"conv2d_regtile16_f32"}, terms * float64(x)},
		{"regtile4", conv, []string{"conv2d_regtile4_f32"}, terms * float64(x)},
		{"shared64", conv, []string{"conv2d_shared64_f32"}, terms * float64(x)},
		{"linear", linear, nil, terms * float64(x)},
		{"global_avg_pool", mean, nil, float64(x)},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachDevice(t, Options{Kernels: c.kernels}, func(t *testing.T, d *device) {
				g := parseGraph(t, c.text)
				for _, p := range g.Params {
					w, err := graph.FromFloat32s(p.Type.Shape, fill(p.Type.Shape.Elems(), 1))
					if err != nil {
						t.Fatal(err)
					}
					if g, err = g.Bind(map[string]*graph.Tensor{p.Name: w}); err != nil {
						t.Fatal(err)
					}
				}
				for i, y := range runGraph(t, d, g, [][]float32{fill(g.Inputs[0].Type.Shape.Elems(), x)})[0] {
					if e := math.Abs(float64(y)-c.want) / c.want; !(e <= bound) {
						t.Errorf("element %d: got %g, want %g: relative error %.3g, want at most %.3g", i, y, c.want, e, bound)
					}
				}
			})
		})
	}
}
