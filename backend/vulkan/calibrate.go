package vulkan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
)

const (
	// headroom is how many times what calibration saw other inputs may reach before they leave the range of float16.
	headroom = 8
	halfMax  = graph.MaxFloat16
	// minHalf is the least float16 that keeps all its bits.
	minHalf = 0x1p-14
)

// calibrate finds the nodes of a graph that must stay float32 (opt.Float32): their weights do not suit float16, or what they read or write could
// leave its range; and those where a few products could (opt.WideSums), when opt allows kernels that add them in float16.
//
// The range is probed with one picture in float16 first, which takes the kernels that are wanted anyhow; where that comes near the end
// of the range the numbers after it mean nothing, so that the picture is run in float32 too and all nodes are judged by that.
func (d *device) calibrate(ctx context.Context, g *graph.Graph, opt *plan.Options) error {
	greatest, err := d.keepFloat32(ctx, g, opt)
	if err == nil && opt.HalfTerms {
		opt.WideSums = d.wideSums(g, opt.Float32, greatest)
	}
	return err
}

// wideSums names the convolutions whose sums of a few products could leave the range of float16: by the sizes of the operands that calibration
// saw, all of them where it saw none.
func (d *device) wideSums(g *graph.Graph, float32s map[string]bool, greatest map[string]float64) map[string]bool {
	wide := map[string]bool{}
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.Conv2D); !ok || float32s[n.Name] {
			continue
		}
		x, seen := greatest[n.Inputs[0].Name]
		sum := x * largestPart(n.Inputs[1], plan.MostHalfTerms())
		if wide[n.Name] = !seen || !(sum*headroom <= halfMax); wide[n.Name] {
			d.opts.Logger.Info("layer keeps sums of float32", "graph", g.Name, "node", n.Name, "calibrated", seen, "sum", sum, "limit", halfMax/headroom)
		}
	}
	return wide
}

// largestPart bounds what so many weights of a filter add up to with operands of size 1.
func largestPart(w *graph.Value, terms int) float64 {
	data, filters := w.Data.Float32s(), w.Type.Shape.Dim(0)
	most := 0.0
	for each := len(data) / max(filters, 1); len(data) > 0 && each > 0; data = data[each:] {
		sum, largest := 0.0, 0.0
		for _, x := range data[:each] {
			a := math.Abs(float64(x))
			sum, largest = sum+a, max(largest, a)
		}
		most = max(most, min(sum, float64(terms)*largest))
	}
	return most
}

// keepFloat32 sets opt.Float32 and returns the greatest size of each value of the graph that was seen, nil where none was.
func (d *device) keepFloat32(ctx context.Context, g *graph.Graph, opt *plan.Options) (greatest map[string]float64, err error) {
	keep := map[string]bool{}
	opt.Float32 = keep
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.Conv2D); !ok {
			continue
		}
		if why := unfit(n); why != "" {
			keep[n.Name] = true
			d.opts.Logger.Info("layer kept in float32", "graph", g.Name, "node", n.Name, "because", why)
		}
	}
	probe, err := probeOf(g)
	if err != nil {
		return nil, err
	}
	trial := *opt
	trial.HalfTerms = false // sums that leave the range would hide what there is to see
	for _, trial.Half = range []bool{true, false} {
		greatest, err = d.ranges(ctx, probe, trial)
		if errors.Is(err, backend.ErrOutOfMemory) {
			d.opts.Logger.Warn("not calibrated for float16, as memory for all intermediate tensors is not to be had", "graph", g.Name, "error", err)
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		wide := map[string]bool{}
		for name, v := range greatest {
			wide[name] = !(v*headroom <= halfMax)
		}
		beyond := false
		for _, n := range g.Nodes {
			why := n.Name
			out := wide[n.Name]
			for _, v := range n.Inputs {
				if v.Kind != graph.ParamValue && wide[v.Name] {
					out, why = true, v.Name
				}
			}
			if beyond = beyond || out; !out || trial.Half {
				continue
			}
			keep[n.Name] = true
			d.opts.Logger.Info("layer kept in float32", "graph", g.Name, "node", n.Name, "because", fmt.Sprintf("value %q", why), "max", greatest[why], "limit", halfMax/headroom)
		}
		if !beyond {
			break
		}
	}
	return greatest, nil
}

// unfit says why a convolution's parameters should not be stored as float16, nothing when they may be.
func unfit(n *graph.Node) string {
	for _, v := range n.Inputs {
		if v.Kind != graph.ParamValue {
			continue
		}
		tiny, all := 0, 0
		for _, w := range v.Data.Float32s() {
			a := math.Abs(float64(w))
			if a > halfMax && !math.IsInf(a, 0) {
				return fmt.Sprintf("parameter %q has %g, beyond float16", v.Name, w)
			}
			if a > 0 {
				all++
			}
			if a > 0 && a < minHalf {
				tiny++
			}
		}
		if 2*tiny > all {
			return fmt.Sprintf("%d of the %d numbers of parameter %q that are not 0 are subnormal in float16", tiny, all, v.Name)
		}
	}
	return ""
}

// probeOf is the graph for one picture, with the result of every node as an output.
func probeOf(g *graph.Graph) (*graph.Graph, error) {
	var names []string
	for _, n := range g.Nodes {
		names = append(names, n.Name)
	}
	tapped, err := g.WithOutputs(names...)
	if err != nil {
		return nil, err
	}
	if one, err := tapped.WithBatch(1); err == nil {
		return one, nil
	}
	return tapped, nil // its first dimension is not the number of pictures
}

// ranges runs a graph on the calibration input and returns the greatest absolute value of each input and output, NaN for those that
// are not finite though the inputs are.
func (d *device) ranges(ctx context.Context, g *graph.Graph, opt plan.Options) (greatest map[string]float64, err error) {
	// The picture of calibration is no batch that anyone asked for: nothing is measured for it.
	e, err := d.compile(ctx, g, opt, Tuning{Mode: min(d.tuning.Load().Mode, TuneCached)})
	if err != nil {
		return nil, err
	}
	var open []interface{ Close() error }
	open = append(open, e)
	defer func() {
		for _, c := range open {
			err = errors.Join(err, c.Close())
		}
	}()
	buffer := func(t graph.TensorType) (backend.Buffer, error) {
		b, err := d.NewBuffer(ctx, t)
		if err == nil {
			open = append(open, b)
		}
		return b, err
	}
	numbers := d.calibration(g)
	greatest = map[string]float64{}
	var in, out []backend.Buffer
	for i, v := range g.Inputs {
		if i >= len(numbers) || len(numbers[i]) != v.Type.Shape.Elems() {
			return nil, fmt.Errorf("input %q: want %d numbers from Options.Calibrate", v.Name, v.Type.Shape.Elems())
		}
		b, err := buffer(v.Type)
		if err != nil {
			return nil, err
		}
		data := make([]byte, 0, v.Type.SizeBytes())
		for _, x := range numbers[i] {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		if err := b.Write(ctx, data); err != nil {
			return nil, err
		}
		in, greatest[v.Name] = append(in, b), largest(data)
	}
	for _, v := range g.Outputs {
		b, err := buffer(v.Type)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	if err := e.Run(ctx, in, out); err != nil {
		return nil, err
	}
	for i, v := range g.Outputs {
		data := make([]byte, v.Type.SizeBytes())
		if err := out[i].Read(ctx, data); err != nil {
			return nil, err
		}
		greatest[v.Name] = largest(data)
	}
	return greatest, nil
}

// calibration makes the numbers of the inputs.
func (d *device) calibration(g *graph.Graph) [][]float32 {
	if f := d.opts.Calibrate; f != nil {
		return f(g.Signature().Inputs)
	}
	random := rand.New(rand.NewPCG(1, 2))
	numbers := make([][]float32, len(g.Inputs))
	for i, v := range g.Inputs {
		numbers[i] = make([]float32, v.Type.Shape.Elems())
		for j := range numbers[i] {
			numbers[i][j] = float32(random.NormFloat64())
		}
	}
	return numbers
}

// largest is the greatest absolute value of little-endian float32, NaN when one is.
func largest(data []byte) float64 {
	most := 0.0
	for ; len(data) >= 4; data = data[4:] {
		most = max(most, math.Abs(float64(math.Float32frombits(binary.LittleEndian.Uint32(data)))))
	}
	return most
}
