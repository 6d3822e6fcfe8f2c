package model

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// The size of pictures for a network of an ONNX file that leaves it open.
const (
	usualSize = 224
	smallSize = 32
)

// exported is a network that an ONNX file holds.
type exported struct {
	onnx *onnx.Network
	is   traits
}

// newExported looks at the network of an ONNX file. The weights are looked at too, for its graphs are bound. hinted is the side of the pictures
// that sidecars or metadata speak of, 0 when they do not.
func newExported(f *weights.File, opts Options, hinted int) (*exported, error) {
	if opts.Weights != "" {
		return nil, fmt.Errorf("%s: an ONNX file brings its network along: pass it as the model, without --weights", opts.Weights)
	}
	if opts.Detect != (resnet.DetectOptions{}) {
		return nil, fmt.Errorf("an ONNX file says how its network is built: want neither --shortcut nor --stride-on-1x1, got %s", detectFlags(opts.Detect))
	}
	n, err := onnx.New(f)
	if err != nil {
		return nil, err
	}
	e := &exported{onnx: n}
	channels, height, width := n.Input()
	e.is = traits{inChannels: channels, size: max(height, width), small: n.Stride() == 1} // one of the two may be open
	crop := opts.Overrides.Crop
	switch isSquare := height == width || height == 0 || width == 0; {
	case isSquare && e.is.size > 0:
	case !isSquare && crop == nil && hinted == 0:
		return nil, fmt.Errorf("the network takes pictures of %d×%d: want a square, pass --crop for another size", height, width)
	case hinted > 0:
		e.is.size = hinted
	case e.is.small:
		e.is.size = smallSize
	default:
		e.is.size = usualSize
	}
	side := e.is.size
	if hinted > 0 {
		side = hinted
	}
	if crop != nil && *crop > 0 {
		side = *crop
	}
	g, err := e.build(1, side, side)
	if err != nil {
		return nil, err
	}
	e.is.classes = g.Outputs[0].Type.Shape.Dim(1)
	return e, nil
}

func (e *exported) build(batch, height, width int) (*graph.Graph, error) {
	g, err := e.onnx.Graph(batch, height, width)
	if err != nil {
		return nil, err
	}
	if len(g.Outputs) != 1 || g.Outputs[0].Type.Shape.Rank() != 2 {
		return nil, fmt.Errorf("the network gives %v: want one result, numbers for classes", g.Signature().Outputs)
	}
	// Probabilities are made of logits here, for every network in the same way.
	if n := g.Outputs[0].Node; n != nil {
		if _, ok := n.Op.(graph.Softmax); ok {
			return g.WithOutputs(n.Inputs[0].Name)
		}
	}
	return g, nil
}

func (e *exported) bound() bool    { return true }
func (e *exported) traits() traits { return e.is }

func (e *exported) architecture() string {
	if p := e.onnx.Producer(); p != "" {
		return fmt.Sprintf("a network of an ONNX file by %.80s", p)
	}
	return "a network of an ONNX file"
}
