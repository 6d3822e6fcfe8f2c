package backend

import (
	"fmt"
	"math"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// Transformer is an optional ability of an [Executable]: it tells which convolutions are computed through transforms
// that mix the elements of a tile. Their errors are then judged by class B, the bound of that transform, and not by
// class A, the bound of a plain sum (see packages conformance and reference). Nodes that are not named are class A, as are all nodes
// of an executable that is no Transformer.
type Transformer interface {
	// Transforms returns how nodes of the compiled graph are computed, by their names. The answer never changes.
	Transforms() map[string]Winograd
}

// Winograd describes a convolution of stride 1 and dilation 1 that is computed tile by tile by Toom and Cook's
// algorithm: along each axis the polynomials of input and kernel are evaluated at some points, multiplied there,
// and m = points + 1 - (kernel - 1) results are interpolated at once. One point is always infinity and is not listed.
// F(2×2,3×3) as it is commonly used has the points 0, 1, -1 along both axes, F(4×4,3×3) 0, 1, -1, 2, -2.
//
// Only the points matter for the bound: how the factors are shared out among the three matrices does not. Where a tile
// begins does not matter either, and neither do tiles that are computed directly instead.
//
// Sources: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"; Barabasz, Anderson, Soodhalter
// and Gregg 2020, "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks".
type Winograd struct {
	Rows, Columns []float64 // the finite points by axis; none: that axis is summed directly
}

// The limits of the points: with more, or with others, the bound would promise nothing.
const (
	maxPoints  = 9   // finite ones along an axis
	maxPoint   = 8.0 // the greatest; its inverse the least
	maxResults = 8   // along an axis of a tile
)

// Check tells whether w can be how a node is computed: a Conv2D with stride 1 and dilation 1 along the axes that have
// points; points that are 0 or of a size from 1/8 to 8, each once, at most 9 of them, and as many as give 1 to 8 results.
//
// Errors: *[graph.ShapeError].
func (w Winograd) Check(n *graph.Node) error {
	fault := &graph.ShapeError{Node: n.Name, Op: n.Op.Name(), Attr: "transform"}
	op, ok := n.Op.(graph.Conv2D)
	if !ok {
		fault.Want, fault.Got = "a conv2d", n.Op.Name()
		return fault
	}
	if len(w.Rows)+len(w.Columns) == 0 {
		fault.Want, fault.Got = "points along rows or columns", "none"
		return fault
	}
	_, _, r, s := n.Inputs[1].Type.Shape.NCHW()
	kernel := [2]int{r, s}
	for axis, points := range [2][]float64{w.Rows, w.Columns} {
		if len(points) == 0 {
			continue
		}
		if want, got := checkPoints(points, kernel[axis], op.Stride[axis], op.Dilation[axis]); want != "" {
			fault.Attr, fault.Want, fault.Got = "transform of "+[2]string{"rows", "columns"}[axis], want, got
			return fault
		}
	}
	return nil
}

// checkPoints returns what is wanted of an axis with points, and what there is instead; nothing when they fit.
func checkPoints(points []float64, kernel, stride, dilation int) (want, got string) {
	if stride != 1 || dilation != 1 {
		return "stride 1 and dilation 1", fmt.Sprintf("%d and %d", stride, dilation)
	}
	if m := len(points) + 2 - kernel; len(points) > maxPoints || m < 1 || m > maxResults {
		return fmt.Sprintf("%d to %d points for a kernel of %d", max(1, kernel-1), min(maxPoints, maxResults+kernel-2), kernel), fmt.Sprint(len(points))
	}
	seen := map[float64]bool{}
	for _, p := range points {
		if a := math.Abs(p); !(p == 0 || a >= 1/maxPoint && a <= maxPoint) || seen[p] {
			return "points that are 0 or of a size from 1/8 to 8, each once", fmt.Sprint(points)
		}
		seen[p] = true
	}
	return "", ""
}

// String tells the points, as in "winograd rows 0,1,-1 columns 0,1,-1".
func (w Winograd) String() string {
	text := func(points []float64) string {
		if len(points) == 0 {
			return "direct"
		}
		parts := make([]string, len(points))
		for i, p := range points {
			parts[i] = fmt.Sprintf("%g", p)
		}
		return strings.Join(parts, ",")
	}
	return "winograd rows " + text(w.Rows) + " columns " + text(w.Columns)
}
