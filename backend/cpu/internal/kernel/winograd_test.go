package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The matrices as Toom and Cook's construction gives them, in float64: this package's code has only their sums.
func evaluations() (bt [WindowSide][WindowSide]float64, at [TileSide][WindowSide]float64) {
	polynomial := func(roots []float64) []float64 { // coefficients of the product of (x - root), the lowest first
		p := []float64{1}
		for _, r := range roots {
			q := make([]float64, len(p)+1)
			for i, v := range p {
				q[i] -= r * v
				q[i+1] += v
			}
			p = q
		}
		return p
	}
	for i := range Points {
		others := slices.Delete(slices.Clone(Points), i, i+1)
		copy(bt[i][:], polynomial(others))
		for k := range TileSide {
			at[k][i] = math.Pow(Points[i], float64(k))
		}
	}
	copy(bt[WindowSide-1][:], polynomial(Points))
	at[TileSide-1][WindowSide-1] = 1
	return bt, at
}

// TestTheTransformsComputeAConvolution: Aᵀ·((G·w·Gᵀ)∘(Bᵀ·x·B))·A is the sum of products, in float64 through the matrices
// and in float32 through the kernels of each set.
func TestTheTransformsComputeAConvolution(t *testing.T) {
	bt, at := evaluations()
	for _, name := range Names() {
		set, err := Choose(name)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(3, 4))
		const vectors, row, step = 3, 500, 53
		const v, y, s = 4000, 8000, 12000 // places of the values, the output and the shortcut
		tr := Transform{Arena: random(rng, 16000), In: 7, InRow: row, InStep: step, Out: v, OutStep: 61, Vectors: vectors}
		x := slices.Clone(tr.Arena)
		set.Input(&tr)
		for c := range vectors * Lanes {
			for i, bi := range bt {
				for j, bj := range bt {
					var want float64
					for k := range WindowSide {
						for l := range WindowSide {
							want += bi[k] * bj[l] * float64(x[7+k*row+l*step+c])
						}
					}
					at := v + (i*WindowSide+j)*61 + c
					if got := float64(tr.Arena[at]); !(math.Abs(got-want) < 1e-5) {
						t.Fatalf("%s: input: value %d,%d of channel %d: got %g, want %g", name, i, j, c, got, want)
					}
					x[at] = tr.Arena[at]
				}
			}
		}
		if !slices.Equal(x, tr.Arena) {
			t.Fatalf("%s: the input transform writes beside its values", name)
		}
		for rows := 1; rows <= TileSide; rows++ {
			for cols := 1; cols <= TileSide; cols++ {
				for _, flags := range []Flags{0, AddShortcut, ReLU, AddShortcut | ReLU} {
					tr := Transform{Arena: slices.Clone(x), In: v, InStep: 61, Out: y, OutRow: row, OutStep: step, Add: s, AddRow: 400, AddStep: 71, Bias: random(rng, vectors*Lanes), Vectors: vectors, Rows: rows, Cols: cols, Flags: flags}
					set.Output(&tr)
					after := slices.Clone(x)
					for c := range vectors * Lanes {
						for i := range rows {
							for j := range cols {
								want := float64(tr.Bias[c])
								for k := range WindowSide {
									for l := range WindowSide {
										want += at[i][k] * at[j][l] * float64(x[v+(k*WindowSide+l)*61+c])
									}
								}
								if flags&AddShortcut != 0 {
									want += float64(x[s+i*400+j*71+c])
								}
								if flags&ReLU != 0 {
									want = max(want, 0)
								}
								at := y + i*row + j*step + c
								if got := float64(tr.Arena[at]); !(math.Abs(got-want) < 2e-4) {
									t.Fatalf("%s: output %d×%d, flags %04b: pixel %d,%d of filter %d: got %g, want %g", name, rows, cols, flags, i, j, c, got, want)
								}
								after[at] = tr.Arena[at]
							}
						}
					}
					if !slices.Equal(after, tr.Arena) {
						t.Fatalf("%s: output %d×%d, flags %04b: something beside the pixels was written", name, rows, cols, flags)
					}
				}
			}
		}
	}
}

func TestTheTransformedWeightsBelongToTheMatrices(t *testing.T) {
	bt, at := evaluations()
	rng := rand.New(rand.NewPCG(5, 6))
	w, x := random(rng, 9), random(rng, Products)
	u := TransformWeights(w)
	var m [Products]float64
	for i := range m {
		var v float64
		for k := range WindowSide {
			for l := range WindowSide {
				v += bt[i/WindowSide][k] * bt[i%WindowSide][l] * float64(x[k*WindowSide+l])
			}
		}
		m[i] = v * float64(u[i])
	}
	for p := range TileSide {
		for q := range TileSide {
			var got, want float64
			for i, v := range m {
				got += at[p][i/WindowSide] * at[q][i%WindowSide] * v
			}
			for i, v := range w {
				want += float64(v) * float64(x[(p+i/3)*WindowSide+q+i%3])
			}
			if !(math.Abs(got-want) < 2e-6) {
				t.Errorf("result %d,%d: got %g, want %g", p, q, got, want)
			}
		}
	}
}

func TestANaNGoesThroughTheFloorOfReLU(t *testing.T) {
	for _, name := range Names() {
		set, err := Choose(name)
		if err != nil {
			t.Fatal(err)
		}
		tr := Transform{Arena: make([]float32, 2000), InStep: Lanes, Out: 1000, OutRow: 4 * Lanes, OutStep: Lanes, Bias: make([]float32, Lanes), Vectors: 1, Rows: 4, Cols: 4, Flags: ReLU}
		tr.Arena[5] = float32(math.NaN())
		set.Output(&tr)
		if y := tr.Arena[1005]; y == y {
			t.Errorf("%s: got %g, want NaN", name, y)
		}
	}
}
