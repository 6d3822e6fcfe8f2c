package kernel

import "math"

// The numbers of F(4×4,3×3): a tile of 4×4 results needs a window of 6×6 pixels and 36 products for each channel and
// filter, where sums need 144.
const (
	TileSide   = 4
	WindowSide = 6
	Products   = WindowSide * WindowSide
)

// Points are the finite interpolation points along both axes. Of the symmetric sets, this has about the least error: on
// 64 channels half that of the points 0, ±1, ±2 that are used more often. They give, with a² = 1/2 and b² = 2,
//
//	Bᵀ = |1   0  -5/2   0    1  0|   Aᵀ = |1   1    1   1    1  0|
//	     |0 -2a   -2    a    1  0|        |0   a   -a   b   -b  0|
//	     |0  2a   -2   -a    1  0|        |0  1/2  1/2  2    2  0|
//	     |0 -b/2 -1/2   b    1  0|        |0  a³  -a³   b³ -b³  1|
//	     |0  b/2 -1/2  -b    1  0|
//	     |0   1    0  -5/2   0  1|
//
// by Toom and Cook's construction; rows of G are (1, p, p²) over the product of the differences to the other points.
var Points = []float64{0, math.Sqrt2 / 2, -math.Sqrt2 / 2, math.Sqrt2, -math.Sqrt2}

// factors is G, 6×3.
var factors = func() (g [WindowSide][3]float64) {
	for i, p := range Points {
		over := 1.0
		for j, q := range Points {
			if i != j {
				over *= p - q
			}
		}
		g[i] = [3]float64{1 / over, p / over, p * p / over}
	}
	g[WindowSide-1][2] = 1
	return g
}()

// TransformWeights returns G·w·Gᵀ for a kernel of 3×3 weights, computed in float64 and rounded once.
func TransformWeights(w []float32) (u [Products]float32) {
	var half [WindowSide][3]float64
	for i, g := range factors {
		for s := range 3 {
			half[i][s] = g[0]*float64(w[s]) + g[1]*float64(w[3+s]) + g[2]*float64(w[6+s])
		}
	}
	for i, h := range half {
		for j, g := range factors {
			u[i*WindowSide+j] = float32(g[0]*h[0] + g[1]*h[1] + g[2]*h[2])
		}
	}
	return u
}

// Transform is the argument of a transform of F(4×4,3×3), for Vectors·Lanes channels or filters side by side. Places
// and steps count elements. The assembly knows the offsets of the fields.
//
// The input transform reads the 6×6 pixels at In and writes Bᵀ·x·B, value after value, at Out with steps of OutStep.
//
// The output transform reads the 36 values m at In with steps of InStep and writes
//
//	act(Aᵀ·m·A + Bias + shortcut)
//
// to the first Rows × Columns of 4×4 pixels at Out; of the flags it heeds AddShortcut and ReLU.
type Transform struct {
	Arena      []float32
	In         int
	InRow      int // from a row of pixels to the next
	InStep     int // from a pixel or a value to the next
	Out        int
	OutRow     int
	OutStep    int
	Add        int // the shortcut of the first pixel
	AddRow     int
	AddStep    int
	Bias       []float32 // zeros for none
	Vectors    int
	Rows, Cols int
	Flags      Flags
}

const (
	pointA = float32(math.Sqrt2 / 2)
	pointB = float32(math.Sqrt2)
	cubeA  = float32(math.Sqrt2 / 4)
	cubeB  = float32(2 * math.Sqrt2)
)

// portableInput is the input transform for every machine.
func portableInput(t *Transform) {
	for c := range t.Vectors * Lanes {
		var half [Products]float32
		for j := range WindowSide {
			var x [WindowSide]float32
			for i := range x {
				x[i] = t.Arena[t.In+i*t.InRow+j*t.InStep+c]
			}
			for i, v := range inputLine(&x) {
				half[i*WindowSide+j] = v
			}
		}
		for i := range WindowSide {
			for j, v := range inputLine((*[WindowSide]float32)(half[i*WindowSide:])) {
				t.Arena[t.Out+(i*WindowSide+j)*t.OutStep+c] = v
			}
		}
	}
}

// inputLine is Bᵀ·x.
func inputLine(x *[WindowSide]float32) [WindowSide]float32 {
	even1, odd1 := x[4]-2*x[2], x[3]-2*x[1]
	even2, odd2 := x[4]-0.5*x[2], x[3]-0.5*x[1]
	return [WindowSide]float32{x[0] + x[4] - 2.5*x[2], even1 + pointA*odd1, even1 - pointA*odd1, even2 + pointB*odd2, even2 - pointB*odd2, x[1] + x[5] - 2.5*x[3]}
}

// portableOutput is the output transform for every machine.
func portableOutput(t *Transform) {
	floor := float32(math.Inf(-1))
	if t.Flags&ReLU != 0 {
		floor = 0
	}
	for c := range t.Vectors * Lanes {
		var half [TileSide * WindowSide]float32
		for j := range WindowSide {
			var m [WindowSide]float32
			for i := range m {
				m[i] = t.Arena[t.In+(i*WindowSide+j)*t.InStep+c]
			}
			for i, v := range outputLine(&m) {
				half[i*WindowSide+j] = v
			}
		}
		for i := range t.Rows {
			y := outputLine((*[WindowSide]float32)(half[i*WindowSide:]))
			for j, v := range y[:t.Cols] {
				v += t.Bias[c]
				if t.Flags&AddShortcut != 0 {
					v += t.Arena[t.Add+i*t.AddRow+j*t.AddStep+c]
				}
				t.Arena[t.Out+i*t.OutRow+j*t.OutStep+c] = max(v, floor)
			}
		}
	}
}

// outputLine is Aᵀ·m.
func outputLine(m *[WindowSide]float32) [TileSide]float32 {
	s1, s2, d1, d2 := m[1]+m[2], m[3]+m[4], m[1]-m[2], m[3]-m[4]
	return [TileSide]float32{s1 + s2 + m[0], pointA*d1 + pointB*d2, 0.5*s1 + 2*s2, m[5] + cubeA*d1 + cubeB*d2}
}
