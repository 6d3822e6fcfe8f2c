package cpu

import (
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
)

// depthwise is a convolution of each channel by itself. A vector then holds channels, for every tap of the kernel, where one of a matrix product would hold
// a single filter.
type depthwise struct {
	set      *kernel.Set
	x        *place
	shortcut *place // nil for none
	op       graph.Conv2D
	r, s     int       // rows and columns of the kernel
	weights  []float32 // [R][S][C]
	bias     []float32 // [C], zeros for none
}

// depthwise appends the step of such a convolution.
func (p *program) depthwise(n *graph.Node, op graph.Conv2D, shortcut *place) {
	c, _, r, s := n.Inputs[1].Type.Shape.NCHW()
	m := &depthwise{set: p.set, x: p.places[n.Inputs[0]], shortcut: shortcut, op: op, r: r, s: s, weights: make([]float32, r*s*c), bias: make([]float32, c)}
	for i, v := range n.Inputs[1].Data.Float32s() {
		m.weights[i%(r*s)*c+i/(r*s)] = v
	}
	if bias, _ := op.Inputs(); bias >= 0 {
		copy(m.bias, n.Inputs[bias].Data.Float32s())
	}
	p.lines(n, m.line)
}

// line is a [lineTask].
func (m *depthwise) line(arena []float32, y *place, n, p int) {
	for q := range y.w {
		sum, from := y.pixel(arena, n, p, q), m.bias
		for i := range m.r {
			h := p*m.op.Stride[0] - m.op.Padding.Top + i*m.op.Dilation[0]
			for j := range m.s {
				x := m.x.pixel(arena, n, h, q*m.op.Stride[1]-m.op.Padding.Left+j*m.op.Dilation[1])
				m.set.MultiplyAdd(sum, x, m.weights[(i*m.s+j)*y.c:][:y.c], from)
				from = sum
			}
		}
		if m.shortcut != nil {
			addRow(m.set, sum, sum, m.shortcut.pixel(arena, n, p, q))
		}
	}
	if m.op.Act == graph.ActReLU {
		reluRow(m.set, y.line(arena, n, p))
	}
}
