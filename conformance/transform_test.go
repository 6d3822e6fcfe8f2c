package conformance_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

// transform is a Winograd transform by its matrices as Lavin and Gray 2016 print them.
type transform struct {
	bt, g, at [][]float32
	points    []float64
}

var f2 = transform{
	bt:     [][]float32{{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}},
	g:      [][]float32{{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}},
	at:     [][]float32{{1, 1, 1, 0}, {0, 1, -1, -1}},
	points: []float64{0, 1, -1},
}

var f4 = transform{
	bt: [][]float32{{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}},
	g: [][]float32{{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6}, {1. / 24, 1. / 12, 1. / 6},
		{1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}},
	at:     [][]float32{{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}},
	points: []float64{0, 1, -1, 2, -2},
}

// winogradDevice is a device of the reference that computes what it can by a transform, in float32.
type winogradDevice struct {
	backend.Device
	transform
	declare func(n *graph.Node, w backend.Winograd) (string, backend.Winograd) // nil: nothing is told
	damage  func(t *transform, tile []float32, k int, y []float32)             // of a computed tile, results y
	silent  bool                                                               // NaN becomes 0
}

func (d *winogradDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	return &winogradExecutable{e, d, g}, nil
}

type winogradExecutable struct {
	backend.Executable
	d *winogradDevice
	g *graph.Graph
}

// fits tells the nodes that are computed by the transform.
func (d *winogradDevice) fits(n *graph.Node) bool {
	op, ok := n.Op.(graph.Conv2D)
	if !ok || op.Stride != [2]int{1, 1} || op.Dilation != [2]int{1, 1} {
		return false
	}
	_, _, r, s := n.Inputs[1].Type.Shape.NCHW()
	return r == 3 && s == 3
}

func (e *winogradExecutable) Transforms() map[string]backend.Winograd {
	out := map[string]backend.Winograd{}
	for _, n := range e.g.Nodes {
		if w := (backend.Winograd{Rows: e.d.points, Columns: e.d.points}); e.d.fits(n) && e.d.declare != nil {
			name, w := e.d.declare(n, w)
			out[name] = w
		}
	}
	return out
}

func (e *winogradExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.Executable.Run(ctx, in, out); err != nil { // the checks, and no more
		return err
	}
	values := map[*graph.Value][]float32{}
	for i, v := range e.g.Inputs {
		values[v] = readFloats(in[i])
	}
	for _, n := range e.g.Nodes {
		var operands [][]float32
		for _, v := range n.Inputs {
			if v.Kind == graph.ParamValue {
				operands = append(operands, v.Data.Float32s())
			} else {
				operands = append(operands, values[v])
			}
		}
		if e.d.fits(n) {
			values[n.Output] = e.d.conv(n, operands)
			continue
		}
		wide := make([][]float64, len(operands))
		for i, o := range operands {
			wide[i] = reference.Widen(o)
		}
		y, err := reference.Node(ctx, n, wide)
		if err != nil {
			return err
		}
		values[n.Output] = reference.Narrow(y)
	}
	for i, v := range e.g.Outputs {
		writeFloats(out[i], values[v])
	}
	return nil
}

// times is l·m·rᵀ in float32.
func times(l, m, r [][]float32) [][]float32 {
	half := make([][]float32, len(l))
	for i := range l {
		half[i] = make([]float32, len(m[0]))
		for k, f := range l[i] {
			for j := range m[k] {
				half[i][j] += f * m[k][j]
			}
		}
	}
	out := make([][]float32, len(l))
	for i := range l {
		out[i] = make([]float32, len(r))
		for j := range r {
			for k, f := range r[j] {
				out[i][j] += f * half[i][k]
			}
		}
	}
	return out
}

// conv computes a 3×3 convolution tile by tile.
func (d *winogradDevice) conv(n *graph.Node, in [][]float32) []float32 {
	op := n.Op.(graph.Conv2D)
	images, channels, h, w := n.Inputs[0].Type.Shape.NCHW()
	filters, group, _, _ := n.Inputs[1].Type.Shape.NCHW()
	_, _, p, q := n.Output.Type.Shape.NCHW()
	m := len(d.at)
	y := make([]float32, images*filters*p*q)
	for i := range images * filters {
		image, k := i/filters, i%filters
		first := image*channels + k/(filters/op.Groups)*group
		for top := 0; top < p; top += m {
			for left := 0; left < q; left += m {
				result := d.tile(in, first, k, group, func(plane []float32, i, j int) float32 {
					i, j = top+i-op.Padding.Top, left+j-op.Padding.Left
					if i < 0 || j < 0 || i >= h || j >= w {
						return 0
					}
					return plane[i*w+j]
				}, h*w)
				if d.damage != nil {
					d.damage(&d.transform, result, k, y)
				}
				for a := range min(m, p-top) {
					for b := range min(m, q-left) {
						at := (i*p+top+a)*q + left + b
						y[at] = epilogue(op, in, result[a*m+b], k, at)
						if d.silent && y[at] != y[at] {
							y[at] = 0
						}
					}
				}
			}
		}
	}
	return y
}

// tile computes the results of one tile of filter k, from group channels beginning with plane first.
func (d *winogradDevice) tile(in [][]float32, first, k, group int, at func(plane []float32, i, j int) float32, size int) []float32 {
	n, m := len(d.bt), len(d.at)
	sum := make([][]float32, n)
	for i := range sum {
		sum[i] = make([]float32, n)
	}
	x, w := make([][]float32, n), make([][]float32, 3)
	for c := range group {
		for i := range x {
			x[i] = make([]float32, n)
			for j := range x[i] {
				x[i][j] = at(in[0][(first+c)*size:][:size], i, j)
			}
		}
		for i := range w {
			w[i] = in[1][((k*group+c)*3+i)*3:][:3]
		}
		u, v := times(d.g, w, d.g), times(d.bt, x, d.bt)
		for i := range sum {
			for j := range sum[i] {
				sum[i][j] += u[i][j] * v[i][j]
			}
		}
	}
	var out []float32
	for _, row := range times(d.at, sum, d.at) {
		out = append(out, row[:m]...)
	}
	return out
}

func epilogue(op graph.Conv2D, in [][]float32, v float32, k, at int) float32 {
	bias, shortcut := op.Inputs()
	if bias >= 0 {
		v += in[bias][k]
	}
	if shortcut >= 0 {
		v += in[shortcut][at]
	}
	if op.Act == graph.ActReLU && v < 0 {
		v = 0
	}
	return v
}

func honest(n *graph.Node, w backend.Winograd) (string, backend.Winograd) { return n.Name, w }

// flipped is a transform with the sign of one factor of Bᵀ changed.
func flipped(t transform, row, col int) transform {
	bt := make([][]float32, len(t.bt))
	for i := range bt {
		bt[i] = append([]float32(nil), t.bt[i]...)
	}
	bt[row][col] = -bt[row][col]
	t.bt = bt
	return t
}

// TestClassB holds devices that compute through transforms against the suite: right ones pass when they say so, and
// only then; wrong ones fail, and so do those that claim what cannot be.
func TestClassB(t *testing.T) {
	const few = `^conv2d/n2-c17-h9-w7-k19-g1/r3-s3-stride1,1-pad1,1,1,1-dil1,1/bias-add-relu/|^conv2d/n2-c6-h6-w9-k10-g2/r3-s3-stride1,1`
	for _, c := range []struct {
		name   string
		device winogradDevice
		want   string // what an error names; none must fail
		least  int    // how many must fail
	}{
		{"F(2,3)", winogradDevice{transform: f2, declare: honest}, "", 0},
		{"F(4,3)", winogradDevice{transform: f4, declare: honest}, "", 0},
		{"F(4,3) untold", winogradDevice{transform: f4}, "out of bounds", 4},
		{"F(2,3) with a wrong sign", winogradDevice{transform: flipped(f2, 1, 2), declare: honest}, "winograd rows 0,1,-1 columns 0,1,-1", 9},
		{"F(4,3) with a wrong sign", winogradDevice{transform: flipped(f4, 5, 1), declare: honest}, "winograd rows 0,1,-1,2,-2", 9},
		{"a tile without its last row", winogradDevice{transform: f4, declare: honest, damage: func(t *transform, tile []float32, _ int, _ []float32) {
			clear(tile[len(tile)-len(t.at):])
		}}, "every 4. of rows from 3", 7},
		{"one element off by a thousandth", winogradDevice{transform: f2, declare: honest, damage: func(_ *transform, tile []float32, k int, y []float32) {
			if k == 5 && y[0] != 0 {
				tile[2] *= 1.001
			}
		}}, "out of bounds", 3},
		{"NaN lost", winogradDevice{transform: f2, declare: honest, silent: true}, "zero", 1},
		{"a claim for no node", winogradDevice{transform: f2, declare: func(_ *graph.Node, w backend.Winograd) (string, backend.Winograd) { return "another", w }},
			`transforms: want nodes of the graph, got ["another"]`, 9},
		{"a claim with a point far away", winogradDevice{transform: f2, declare: func(n *graph.Node, w backend.Winograd) (string, backend.Winograd) {
			return n.Name, backend.Winograd{Rows: w.Rows, Columns: []float64{0, 1, 1e6}}
		}}, "size from 1/8 to 8", 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "F(2,3)" && !strings.HasPrefix(c.want, "transforms:") {
				t.Skip("much arithmetic")
			}
			open := func(ctx context.Context) (backend.Device, error) {
				d, err := openDevice(ctx)
				device := c.device
				device.Device = d
				return &device, err
			}
			o := conformance.Options{Filter: few}
			if c.want == "" && !testing.Short() {
				o.Filter += "|^block/basic-projection/n2/fused"
			}
			named := c.want == ""
			worst, text := 0.0, ""
			s, err := conformance.Execute(t.Context(), open, o, func(r conformance.Result) error {
				if r.Err != nil {
					named = named || strings.Contains(r.Err.Error(), c.want)
					text += r.Case.Name + ": " + r.Err.Error() + "\n"
				}
				if r.Worst != nil && r.Worst.Transform != "" && !math.IsInf(r.Worst.Fraction, 1) {
					worst = max(worst, r.Worst.Fraction)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v; greatest part of the bound of class B: %.3g", s, worst)
			if s.Failed < c.least || c.want == "" && s.Failed > 0 || !named || s.Run < 10 {
				t.Errorf("got %v, want at least %d failures, one with %q, got:\n%s", s, c.least, c.want, text)
			}
			if c.want == "" && !(worst > 0.005) {
				t.Errorf("the greatest error is %g of its bound: it means nothing", worst)
			}
		})
	}
}
