package conformance

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// blockConfigs are networks of a few blocks, every kind of block and shortcut among them.
func blockConfigs() []resnet.Config {
	base := resnet.Config{
		Block: resnet.Basic, Depths: [resnet.MaxStages]int{2, 1}, Widths: [resnet.MaxStages]int{16, 24}, StemWidth: 16,
		Stem: resnet.CIFARStem, Shortcut: resnet.Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 11, InputSize: 16, Epsilon: 1e-5,
	}
	var out []resnet.Config
	add := func(name string, change func(*resnet.Config)) {
		c := base
		change(&c)
		c.Name = name
		out = append(out, c)
	}
	add("basic-projection", func(*resnet.Config) {})
	add("basic-zeropad", func(c *resnet.Config) { c.Shortcut = resnet.ZeroPad })
	bottleneck := func(c *resnet.Config) { c.Block, c.Widths = resnet.Bottleneck, [resnet.MaxStages]int{8, 12} }
	add("bottleneck-projection", bottleneck)
	add("bottleneck-zeropad", func(c *resnet.Config) { bottleneck(c); c.Shortcut = resnet.ZeroPad })
	add("bottleneck-stride1x1", func(c *resnet.Config) { bottleneck(c); c.StrideOn1x1 = true })
	add("bottleneck-identity", func(c *resnet.Config) { bottleneck(c); c.StemWidth = 32 }) // no projection in the first stage
	add("resnext", func(c *resnet.Config) {
		bottleneck(c)
		c.Widths, c.Groups, c.WidthPerGroup = [resnet.MaxStages]int{16, 32}, 32, 4
	})
	add("wide", func(c *resnet.Config) { bottleneck(c); c.WidthPerGroup = 128 })
	add("imagenet-stem", func(c *resnet.Config) { c.Stem, c.InputSize = resnet.ImageNetStem, 32 })
	deep := func(c *resnet.Config) {
		c.Stem, c.StemInner, c.Shortcut, c.InputSize = resnet.DeepStem, [2]int{7, 12}, resnet.PoolProjection, 32
	}
	add("basic-pooled", deep)
	add("bottleneck-pooled", func(c *resnet.Config) { bottleneck(c); deep(c) })
	add("basic-squeeze", func(c *resnet.Config) { c.Squeeze = 4 })
	add("bottleneck-squeeze-pooled", func(c *resnet.Config) { bottleneck(c); deep(c); c.Squeeze = 8 })
	add("avgpool-head", func(c *resnet.Config) { c.PoolKernel, c.InputSize = 8, 16 })
	return out
}

// form is a way to bring a network to a device.
type form struct {
	name  string
	apply func(*graph.Graph) (*graph.Graph, error)
}

var forms = []form{
	{"unfused", func(g *graph.Graph) (*graph.Graph, error) { return g, nil }},
	{"fused", func(g *graph.Graph) (*graph.Graph, error) { return pass.Run(g, pass.Default()) }},
}

func (t *table) blocks() {
	for _, c := range blockConfigs() {
		for _, batch := range []int{2, 0, 1, 3} {
			for _, f := range forms {
				side := c.InputSize
				t.add(Case{
					Name:   fmt.Sprintf("block/%s/n%d/%s", c.Name, batch, f.name),
					Reason: "every node within its bound; the whole, where memory is used again, as the unfused graph in float64",
					Class:  ClassA, Profile: quickIf(batch == 2 || batch == 0),
					build: func() (*graph.Graph, error) { return c.Build(batch, side, side+sideways(c)) },
					bind:  calibrated,
					check: func(ctx context.Context, b *bench) error { return checkFused(ctx, b, f) },
				})
			}
		}
	}
}

// sideways makes pictures wider than high, but for heads that want one size.
func sideways(c resnet.Config) int {
	if c.PoolKernel > 0 {
		return 0
	}
	return 6
}

func (t *table) networks() {
	for i, name := range familyMembers {
		for _, f := range forms {
			t.network(quickIf(i < 2 && f.name == "fused"), name, 2, 64, f)
		}
	}
	for _, m := range family() { // the rest of the family: other depths and strides
		if !slices.Contains(familyMembers, m.name) {
			t.network(m.profile, m.name, 1, 32, forms[1])
		}
	}
}

// network adds a whole network on pictures of side pixels at most.
func (t *table) network(p Profile, name string, batch, side int, f form) {
	c, err := resnet.Lookup(name)
	if err != nil {
		panic("conformance: bug: " + err.Error())
	}
	side = min(c.InputSize, side)
	t.add(Case{
		Name: fmt.Sprintf("network/%s/n%d-h%d-w%d/%s", name, batch, side, side, f.name), Reason: "a whole network against its float64 run",
		Class: Agreement, Profile: p,
		build:  func() (*graph.Graph, error) { return c.Build(batch, side, side) },
		bind:   calibrated,
		check:  func(ctx context.Context, b *bench) error { return checkNetwork(ctx, b, f) },
		stream: fmt.Sprintf("network/%s/n%d-h%d-w%d", name, batch, side, side), // both forms have the same numbers
	})
}

// recent is the network that was calibrated last: the cases of its forms follow each other, and share its float64 run.
// One alone is kept, for its weights may be half a gigabyte.
var recent struct {
	sync.Mutex
	stream  string
	graph   *graph.Graph
	outputs map[string][]float64
}

// checkNetwork runs a whole network in a form, against the float64 run of the network as it is.
func checkNetwork(ctx context.Context, b *bench, f form) error {
	recent.Lock()
	if recent.stream != b.c.stream {
		recent.stream, recent.graph, recent.outputs = "", nil, nil // let go before the next is made
		g, outputs, err := b.c.calibrated(ctx)
		if err != nil {
			recent.Unlock()
			return fmt.Errorf("build case %q: %w", b.c.Name, err)
		}
		recent.stream, recent.graph, recent.outputs = b.c.stream, g, outputs
	}
	original, want := recent.graph, recent.outputs
	recent.Unlock()
	g, err := f.apply(original)
	if err != nil {
		return err
	}
	return b.judgeOutputs(ctx, g, b.c.Inputs(g), original.Outputs, want)
}

// checkFused runs the graph of the case in a form: every node by itself, and the whole against the float64 run of the
// graph as it is.
func checkFused(ctx context.Context, b *bench, f form) error {
	original, err := b.graph()
	if err != nil {
		return err
	}
	g, err := f.apply(original)
	if err != nil {
		return err
	}
	inputs := b.c.Inputs(g)
	if err := b.judgeTapped(ctx, g, inputs); err != nil {
		return err
	}
	return b.judgeWhole(ctx, g, original, inputs)
}

// calibrated binds weights under which activations keep a standard deviation near 1: each batch norm has the mean and
// the variance that its layer has in a float64 run on the case's input, varied a little by channel, and the last one
// of a block a small weight, so that the shortcuts carry.
func calibrated(c *Case) (*graph.Graph, error) {
	g, _, err := c.calibrated(context.Background())
	return g, err
}

// calibrated also returns the outputs of that float64 run, by name; none for an empty batch.
func (c *Case) calibrated(ctx context.Context) (*graph.Graph, map[string][]float64, error) {
	g, err := c.build()
	if err != nil {
		return nil, nil, err
	}
	if g.Inputs[0].Type.Shape.Dim(0) == 0 { // nothing to measure
		g, err := bindSeeded(c)
		return g, nil, err
	}
	values := map[*graph.Value][]float64{}
	for i, x := range c.Inputs(g) {
		values[g.Inputs[i]] = reference.Widen(x)
	}
	tensors := map[string]*graph.Tensor{}
	for _, n := range g.Nodes {
		if err := c.calibrate(n, values, tensors); err != nil {
			return nil, nil, err
		}
		in := make([][]float64, len(n.Inputs))
		for i, v := range n.Inputs {
			if in[i] = values[v]; v.Kind == graph.ParamValue { // not kept: those of a whole network are a gigabyte
				in[i] = reference.Widen(tensors[v.Name].Float32s())
			}
		}
		if values[n.Output], err = reference.Node(ctx, n, in); err != nil {
			return nil, nil, err
		}
	}
	outputs := map[string][]float64{}
	for _, v := range g.Outputs {
		outputs[v.Name] = values[v]
	}
	bound, err := g.Bind(tensors)
	return bound, outputs, err
}

// calibrate makes the parameters of a node whose other inputs are known.
func (c *Case) calibrate(n *graph.Node, values map[*graph.Value][]float64, tensors map[string]*graph.Tensor) error {
	for _, v := range n.Inputs {
		if v.Kind != graph.ParamValue || tensors[v.Name] != nil {
			continue
		}
		data := c.param(v)
		if _, ok := n.Op.(graph.BatchNorm); ok {
			mean, variance := moments(values[n.Inputs[0]])
			switch slices.Index(n.Inputs, v) {
			case 1:
				if endsBranch(n.Name) {
					data = seeded.UniformAround(seed, c.numbers()+"/"+v.Name, len(data), 0.25, 0.05)
				}
			case 3:
				data = seeded.UniformAround(seed, c.numbers()+"/"+v.Name, len(data), mean, 0.05*math.Sqrt(variance))
			case 4:
				data = seeded.UniformAround(seed, c.numbers()+"/"+v.Name, len(data), variance, 0.1*variance)
			}
		}
		t, err := graph.FromFloat32s(v.Type.Shape, data)
		if err != nil {
			return err
		}
		tensors[v.Name] = t
	}
	return nil
}

// endsBranch reports whether a batch norm may be the last of a block: the third of a bottleneck, the second of a basic one.
func endsBranch(name string) bool {
	return strings.Contains(name, "layer") && (strings.HasSuffix(name, "bn2") || strings.HasSuffix(name, "bn3"))
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, max(variance/float64(len(x)), 1e-3)
}
