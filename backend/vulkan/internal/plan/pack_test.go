package plan

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func iota32(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i + 1)
	}
	return v
}

func bind(t *testing.T, text string, data map[string][]float32) *graph.Graph {
	t.Helper()
	g := parse(t, text)
	m := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		x, err := graph.FromFloat32s(p.Type.Shape, data[p.Name])
		if err != nil {
			t.Fatal(err)
		}
		m[p.Name] = x
	}
	g, err := g.Bind(m)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fill packs weights as a whole, and checks that they are the same block by block and some blocks at a time.
func fill(t *testing.T, p *Packed) []float32 {
	t.Helper()
	whole := slices.Repeat([]float32{-1}, p.Elems)
	w := p.Open()
	w(whole, 0)
	for n := 1; n < p.Elems/p.Block; n++ {
		pieces := slices.Repeat([]float32{-1}, p.Elems)
		for first := 0; first*p.Block < p.Elems; first += n {
			w(pieces[first*p.Block:min((first+n)*p.Block, p.Elems)], first)
		}
		if !slices.Equal(pieces, whole) {
			t.Errorf("%s: packed %d blocks at a time, the weights are other ones", p.Node, n)
		}
	}
	return whole
}

// TestPackConvPutsEveryWeightWhereTheShaderLooks reads the packed weights back by the formula in conv2d.glsl.
func TestPackConvPutsEveryWeightWhereTheShaderLooks(t *testing.T) {
	const k, cg, r, s, groups = 10, 3, 2, 5, 2
	for _, bias := range []bool{false, true} {
		for _, block := range []int{4, 16} {
			text := "graph g\ninput %x : float32[1,6,9,9]\nparam @w : float32[10,3,2,5]\nparam @b : float32[10]\n" +
				"%y = conv2d(%x, @w) groups=2\noutput %y\n"
			if bias {
				text = "graph g\ninput %x : float32[1,6,9,9]\nparam @w : float32[10,3,2,5]\nparam @b : float32[10]\n" +
					"%y = conv2d(%x, @w, @b) groups=2 bias=true\noutput %y\n"
			}
			w, b := iota32(k*cg*r*s), iota32(k)
			g := bind(t, text, map[string][]float32{"w": w, "b": b})
			n := g.Nodes[0]
			packed := packConv(n, n.Op.(graph.Conv2D), block)
			dst := fill(t, packed)
			const kg, taps = k / groups, cg * r * s
			blocks := (kg + block - 1) / block
			if packed.Elems != groups*blocks*(1+taps)*block {
				t.Fatalf("got %d elements", packed.Elems)
			}
			sum := 0.0
			for f := range k {
				base := (f/kg*blocks + f%kg/block) * (1 + taps) * block
				wantBias := float32(0)
				if bias {
					wantBias = b[f]
				}
				if got := dst[base+f%kg%block]; got != wantBias {
					t.Errorf("block %d: bias of filter %d: got %g, want %g", block, f, got, wantBias)
				}
				for tap := range taps {
					got, want := dst[base+(1+tap)*block+f%kg%block], w[f*taps+tap]
					if got != want {
						t.Errorf("block %d: filter %d tap %d: got %g, want %g", block, f, tap, got, want)
					}
					sum += float64(want)
				}
				sum += float64(wantBias)
			}
			for _, v := range dst {
				sum -= float64(v)
			}
			if sum != 0 {
				t.Errorf("block %d: what is not a weight or bias is not zero", block)
			}
		}
	}
}

func TestPackTransformedPutsEveryWeightWhereTheShaderLooks(t *testing.T) {
	const block = 8
	for _, c := range []struct{ k, cg, groups int }{{12, 6, 1}, {12, 4, 3}, {24, 8, 2}} {
		w := iota32(c.k * c.cg * 9)
		g := bind(t, fmt.Sprintf("graph g\ninput %%x : float32[1,%d,9,9]\nparam @w : float32[%d,%d,3,3]\n%%y = conv2d(%%x, @w) padding=1,1,1,1 groups=%d\noutput %%y\n",
			c.cg*c.groups, c.k, c.cg, c.groups), map[string][]float32{"w": w})
		n := g.Nodes[0]
		geometry := geometryOf(n, n.Op.(graph.Conv2D))
		kg := c.k / c.groups
		blocks, size := ceilDiv(kg, block), block*(1+vectors(c.cg)*4)
		for _, a := range []*toomCook{winograd2, winograd4} {
			dst := fill(t, a.packFilters(n, &geometry, block))
			e := (a.m + 2) * (a.m + 2)
			want := make([]float32, e*c.groups*blocks*size) // what does not exist is zero
			for i := range e {
				for f := range c.k {
					group, m := f/kg, f%kg
					for ch := range c.cg {
						want[((i*c.groups+group)*blocks+m/block)*size+block+(ch/4*block+m%block)*4+ch%4] = inTransform(a, w[(f*c.cg+ch)*9:], i)
					}
				}
			}
			if !slices.Equal(dst, want) {
				t.Errorf("F(%d×%d, 3×3) of %d groups: the weights lie elsewhere", a.m, a.m, c.groups)
			}
		}
	}
}

// inTransform is element i of G·w·Gᵀ.
func inTransform(a *toomCook, w []float32, i int) float32 {
	var sum [3]float64
	for r := range 3 {
		for s := range 3 {
			sum[r] += a.g[i%len(a.g)][s] * float64(w[3*r+s])
		}
	}
	var all float64
	for r := range 3 {
		all += a.g[i/len(a.g)][r] * sum[r]
	}
	return float32(all)
}

func TestPackLinearTransposes(t *testing.T) {
	g := bind(t, "graph g\ninput %x : float32[1,3]\nparam @w : float32[2,3]\nparam @b : float32[2]\n%y = linear(%x, @w, @b) bias=true\noutput %y\n",
		map[string][]float32{"w": {1, 2, 3, 4, 5, 6}, "b": {7, 8}})
	n := g.Nodes[0]
	p := packLinear(n, n.Op.(graph.Linear))
	dst := fill(t, p)
	if want := []float32{7, 8, 1, 4, 2, 5, 3, 6}; !slices.Equal(dst, want) {
		t.Errorf("got %v, want %v", dst, want)
	}
}

func TestPackBatchNormFoldsTheStatistics(t *testing.T) {
	g := bind(t, "graph g\ninput %x : float32[1,2,1,1]\nparam @w : float32[2]\nparam @b : float32[2]\nparam @m : float32[2]\nparam @v : float32[2]\n"+
		"%y = batch_norm(%x, @w, @b, @m, @v) epsilon=0.5\noutput %y\n",
		map[string][]float32{"w": {3, 4}, "b": {5, 6}, "m": {7, 8}, "v": {0.5, 3.5}})
	n := g.Nodes[0]
	for channels, want := range map[int][]float32{2: {3, 2, 5 - 7*3, 6 - 8*2}, 4: {3, 2, 0, 0, 5 - 7*3, 6 - 8*2, 0, 0}} {
		dst := fill(t, packBatchNorm(n, n.Op.(graph.BatchNorm), channels))
		for i := range want {
			if len(dst) != len(want) || math.Abs(float64(dst[i]-want[i])) > 1e-6 {
				t.Fatalf("for %d channels: got %v, want %v", channels, dst, want)
			}
		}
	}
}

func TestPackGroupNormPutsTheBiasBehindTheWeights(t *testing.T) {
	g := bind(t, "graph g\ninput %x : float32[1,3,1,2]\nparam @w : float32[3]\nparam @b : float32[3]\n%y = group_norm(%x, @w, @b) groups=3 epsilon=1\noutput %y\n",
		map[string][]float32{"w": {1, 2, 3}, "b": {4, 5, 6}})
	if got, want := fill(t, packGroupNorm(g.Nodes[0])), []float32{1, 2, 3, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPartsOfGroupNorms: enough parts for a GPU, no more than one invocation can merge, and none without a pixel.
func TestPartsOfGroupNorms(t *testing.T) {
	for _, c := range []struct{ pixels, size, want int }{
		{1, 1, 1}, {32, 1, 1}, {33, 1, 2}, {56 * 56, 2, 98}, {112 * 112, 2, 256}, {56 * 56, 64, 8}, {56 * 56, 2048, 1}, {7 * 7, 64, 2},
	} {
		if got := partsOf(c.pixels, c.size); got != c.want {
			t.Errorf("%d pixels in groups of %d channels: got %d parts, want %d", c.pixels, c.size, got, c.want)
		}
	}
}
