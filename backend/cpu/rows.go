package cpu

import "github.com/resnet-run/resnet-run/graph"

// The loops over the channels of a pixel, or over a row of pixels, that steps other than convolutions are made of.

// noughts is what reluRow compares with.
var noughts [1 << 10]float32

// reluRow takes max(y, 0), with NaN kept, by the vectors of larger ([kernel.Set].Max): a branch on the sign of each element is mistaken
// half of the time.
func reluRow(y []float32, larger func(to, from []float32)) {
	for len(y) > 0 {
		block := y[:min(len(y), len(noughts))]
		larger(block, noughts[:len(block)])
		y = y[len(block):]
	}
}

// addRow adds x to y.
func addRow(y, x []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += v
	}
}

// affineRow computes y = x·scale + shift.
func affineRow(y, x, scale, shift []float32) {
	y, scale, shift = y[:len(x)], scale[:len(x)], shift[:len(x)]
	for i, v := range x {
		y[i] = v*scale[i] + shift[i]
	}
}

// affineLine computes it for each pixel of a row.
func affineLine(y, x, scale, shift []float32) {
	for len(scale) > 0 && len(x) >= len(scale) {
		affineRow(y[:len(scale)], x[:len(scale)], scale, shift)
		y, x = y[len(scale):], x[len(scale):]
	}
}

// multiplyRow computes y = x·a.
func multiplyRow(y, x, a []float32) {
	y, a = y[:len(x)], a[:len(x)]
	for i, v := range x {
		y[i] = v * a[i]
	}
}

// multiplyAddRow adds x·a to y.
func multiplyAddRow(y, x, a []float32) {
	y, a = y[:len(x)], a[:len(x)]
	for i, v := range x {
		y[i] += v * a[i]
	}
}

// multiplyTwoRows computes y = x0·a0 + x1·a1.
func multiplyTwoRows(y, x0, a0, x1, a1 []float32) {
	x0, a0, x1, a1 = x0[:len(y)], a0[:len(y)], x1[:len(y)], a1[:len(y)]
	for i := range y {
		y[i] = x0[i]*a0[i] + x1[i]*a1[i]
	}
}

// epilogue is what the ops beside convolutions do last.
type epilogue struct {
	shortcut *place // nil for none
	act      graph.Activation
	larger   func(to, from []float32)
}

// epilogueOf is that of a node whose last input is the shortcut, if it has one.
func (p *program) epilogueOf(n *graph.Node, hasShortcut bool, act graph.Activation) epilogue {
	e := epilogue{act: act, larger: p.set.Max}
	if hasShortcut {
		e.shortcut = p.places[n.Inputs[len(n.Inputs)-1]]
	}
	return e
}

// finish adds row h of a picture of the shortcut to the row y, and applies the activation.
func (e epilogue) finish(arena, y []float32, image, h int) {
	if e.shortcut != nil {
		addRow(y, e.shortcut.line(arena, image, h))
	}
	if e.act == graph.ActReLU {
		reluRow(y, e.larger)
	}
}
