package model

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// The work of calibration is bounded so that it takes the reference a second or two: resnet50 is run on one picture of its
// full input size, larger networks on a smaller one, and small ones on several pictures.
const (
	mostCalibrationMACs    = 4.2e9
	severalCalibrationMACs = 1.2e9
)

// branchGain is the mean weight of the last norm of a block. A small one lets the shortcuts dominate, as in trained
// networks, so that a picture unlike those of the calibration does not grow from block to block.
const branchGain = 0.25

// parseSeed reads what follows "random:".
func parseSeed(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("--weights random:%s: want a whole number of 64 bits as the seed", text)
	}
	return n, nil
}

// randomWeights makes weights from a seed such that activations neither vanish nor explode: convolutions and the linear
// layer have variance 2/fan-in and 1/fan-in (He et al. 2015), norms have weights about 1 (the last of each block branchGain) and
// biases about 0, and the statistics of batch norms are those that a run of the float64 reference shows.
func randomWeights(ctx context.Context, c resnet.Config, seed uint64) (map[string]*graph.Tensor, error) {
	g, err := calibrationGraph(c)
	if err != nil {
		return nil, err
	}
	cal := calibration{seed: seed, config: c, values: map[*graph.Value][]float64{}, tensors: map[string]*graph.Tensor{}}
	if err := cal.run(ctx, g); err != nil {
		return nil, fmt.Errorf("calibrate batch norms: %w", err)
	}
	return cal.tensors, nil
}

// calibrationGraph is the network for up to 8 pictures of the input size, or one of a smaller extent, as the work allows.
func calibrationGraph(c resnet.Config) (*graph.Graph, error) {
	g, err := c.Build(1, c.InputSize, c.InputSize)
	if err != nil {
		return nil, err
	}
	if n := int(severalCalibrationMACs / float64(g.Cost().MACs)); n > 1 {
		return g.WithBatch(min(n, 8))
	}
	for side := c.InputSize - 32; side >= 64 && g.Cost().MACs > mostCalibrationMACs; side -= 32 {
		if g, err = c.Build(1, side, side); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// calibration runs a network node by node and makes its weights on the way.
type calibration struct {
	seed    uint64
	config  resnet.Config
	values  map[*graph.Value][]float64
	tensors map[string]*graph.Tensor
}

func (c *calibration) run(ctx context.Context, g *graph.Graph) error {
	for _, v := range g.Inputs {
		c.values[v] = noise(c.seed, v.Type.Shape)
	}
	readers := map[*graph.Value]int{}
	for v, nodes := range g.Users() {
		readers[v] = len(nodes)
	}
	for _, n := range g.Nodes {
		if err := c.parameters(n); err != nil {
			return err
		}
		in := make([][]float64, len(n.Inputs))
		for i, v := range n.Inputs {
			in[i] = c.values[v]
		}
		out, err := reference.Node(ctx, n, in)
		if err != nil {
			return err
		}
		c.values[n.Output] = out
		for _, v := range n.Inputs {
			if readers[v]--; readers[v] == 0 {
				delete(c.values, v)
			}
		}
	}
	return nil
}

// parameters makes the parameters of a node, whose other inputs are known.
func (c *calibration) parameters(n *graph.Node) error {
	var mean, variance []float32
	isNorm := false
	switch n.Op.(type) {
	case graph.BatchNorm:
		isNorm = true
		mean, variance = channelStatistics(n.Inputs[0].Type.Shape, c.values[n.Inputs[0]])
	case graph.GroupNorm:
		isNorm = true
	}
	for _, v := range n.Inputs {
		if v.Kind != graph.ParamValue || c.tensors[v.Name] != nil {
			continue
		}
		elems := v.Type.Shape.Elems()
		var data []float32
		switch {
		case strings.HasSuffix(v.Name, ".running_mean"):
			data = mean
		case strings.HasSuffix(v.Name, ".running_var"):
			data = variance
		case isNorm && strings.HasSuffix(v.Name, ".weight"):
			mean := c.branchGain(n.Name)
			data = seeded.UniformAround(c.seed, v.Name, elems, mean, mean/10)
		case strings.HasSuffix(v.Name, ".bias"):
			data = seeded.Uniform(c.seed, v.Name, elems, 0.1)
		default:
			data = seeded.Uniform(c.seed, v.Name, elems, c.branchGain(n.Name)*math.Sqrt(gain(n.Op)/float64(elems/v.Type.Shape.Dim(0))))
		}
		t, err := graph.FromFloat32s(v.Type.Shape, data)
		if err == nil {
			t, err = c.config.Parameter(v.Name, t)
		}
		if err != nil {
			return fmt.Errorf("make parameter %q: %w", v.Name, err)
		}
		c.tensors[v.Name] = graph.Freeze(t) // nobody writes to it again
		c.values[v] = reference.Widen(t.Float32s())
	}
	return nil
}

// branchGain is what the weights of a layer are multiplied by: 1, or branchGain for that which says how large the residual path of a block
// is, the last norm on it, or with pre-activation the last convolution.
func (c *calibration) branchGain(name string) float64 {
	last := "2"
	if c.config.Block == resnet.Bottleneck {
		last = "3"
	}
	ends := []string{".bn" + last, ".conv" + last + ".bn"} // the second with selective kernels
	if c.config.PreActivation {
		ends = []string{".conv" + last}
	}
	for _, end := range ends {
		if strings.HasPrefix(name, "layer") && strings.HasSuffix(name, end) {
			return branchGain
		}
	}
	return 1
}

// gain is the variance of the weights times the number of inputs that meet in one output.
func gain(op graph.Op) float64 {
	if _, ok := op.(graph.Linear); ok {
		return 1
	}
	return 2
}

// fewElements is how many elements a channel must have for its own moments to mean something.
const fewElements = 4

// channelStatistics returns mean and variance of each channel of x [N,C,H,W]. The variance is drawn half-way to that of
// all channels together: late layers have few elements a channel here, and an accidentally small variance would blow
// up other pictures. Channels of next to no elements, as in the attention of one picture, all get the moments of all: one element has no variance.
func channelStatistics(s graph.Shape, x []float64) (mean, variance []float32) {
	batch, channels, h, w := s.NCHW()
	plane := h * w
	count := float64(batch * plane)
	if count < fewElements {
		var all, square float64
		for _, v := range x {
			all += v / float64(len(x))
		}
		for _, v := range x {
			square += (v - all) * (v - all) / float64(len(x))
		}
		return slices.Repeat([]float32{float32(all)}, channels), slices.Repeat([]float32{float32(square)}, channels)
	}
	means, variances := make([]float64, channels), make([]float64, channels)
	var pooled float64
	for c := range channels {
		var sum, squares float64
		for n := range batch {
			for _, v := range x[(n*channels+c)*plane:][:plane] {
				sum += v
			}
		}
		means[c] = sum / count
		for n := range batch {
			for _, v := range x[(n*channels+c)*plane:][:plane] {
				squares += (v - means[c]) * (v - means[c])
			}
		}
		variances[c] = squares / count
		pooled += variances[c] / float64(channels)
	}
	mean, variance = make([]float32, channels), make([]float32, channels)
	for c := range channels {
		mean[c], variance[c] = float32(means[c]), float32((variances[c]+pooled)/2)
	}
	return mean, variance
}

// noise makes pictures [N,C,H,W] of mean 0 and standard deviation 1 that are as smooth as photographs: noise of equal
// energy in every octave of spatial frequency, for the most part the same in all channels.
func noise(seed uint64, s graph.Shape) []float64 {
	batch, channels, h, w := s.NCHW()
	out := make([]float64, s.Elems())
	for step := 1; step == 1 || step*2 <= min(h, w); step *= 2 {
		rows, cols := h/step+2, w/step+2
		grid := func(name string) []float64 {
			return reference.Widen(seeded.Uniform(seed, fmt.Sprintf("calibration %s %d", name, step), batch*rows*cols, 1))
		}
		shared := grid("shared")
		for c := range channels {
			own := grid(fmt.Sprintf("channel %d", c))
			for i := range own {
				own[i] = 0.9*shared[i] + 0.4*own[i]
			}
			for n := range batch {
				enlarge(out[(n*channels+c)*h*w:][:h*w], own[n*rows*cols:][:rows*cols], w, cols, step)
			}
		}
	}
	var sum, squares float64
	for _, v := range out {
		sum += v
		squares += v * v
	}
	mean := sum / float64(len(out))
	deviation := math.Sqrt(squares/float64(len(out)) - mean*mean)
	for i := range out {
		out[i] = (out[i] - mean) / deviation
	}
	return out
}

// enlarge adds a grid with cols columns, whose points lie step pixels apart, to a picture with w columns, bilinearly.
func enlarge(picture, grid []float64, w, cols, step int) {
	for i := range picture {
		y, x := i/w, i%w
		at := grid[y/step*cols+x/step:]
		fy, fx := float64(y%step)/float64(step), float64(x%step)/float64(step)
		picture[i] += (1-fy)*((1-fx)*at[0]+fx*at[1]) + fy*((1-fx)*at[cols]+fx*at[cols+1])
	}
}
