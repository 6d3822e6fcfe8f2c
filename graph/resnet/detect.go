package resnet

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
)

// DetectOptions settles what names and shapes of tensors leave open. The zero value is right for most files.
type DetectOptions struct {
	// Shortcut overrides the rule that a file without any downsample tensor has parameter-free shortcuts ([ZeroPad]).
	// Zero keeps the rule.
	Shortcut Shortcut
	// StrideOn1x1 asks for the stride on the first 1×1 convolution of bottlenecks; see [Config.StrideOn1x1]. It is
	// without effect on basic blocks.
	StrideOn1x1 bool
	// Member is the name of a member of the family that the network is said to be, for what parameters never tell: where
	// the stride is, anti-aliasing, group norms in place of batch norms whose statistics would be missing, the pools of
	// split-attention blocks and of pre-activation shortcuts. Where the tensors show another network, they go before it.
	Member string
}

// Detect finds the network that has exactly the given tensors, by their canonical names (those of torchvision, and timm's
// for what only timm has) and shapes alone. Names that end in num_batches_tracked are ignored.
//
// What shapes cannot tell is decided so:
//   - Without any downsample tensor the shortcuts are parameter-free (option A), with one they are projections (option
//     B). A network in which no block changes the shape has projections, since it makes no difference.
//   - The stride of bottlenecks is on the 3×3 convolution, unless opts.StrideOn1x1 is set.
//   - There is no anti-aliasing, unless opts.Member has it.
//   - Norms without running statistics are group norms of 32 groups with pre-activation, or when opts.Member has them. Those behind
//     convolutions must be batch norms otherwise: a file that lacks their statistics is not taken for one that needs none.
//   - With pre-activation and group norms, a stem of one convolution goes with standardised weights and zeros round the picture before
//     the max-pool (BiT), and a deep stem with average pools in the shortcuts, whatever the norms.
//   - Split attention has its average pool behind it, or before it when its convolutions have more than one group in each branch.
//   - A CIFAR stem before four stages goes with a 4×4 average pool, everything else with a global one.
//   - The input size is 32 for the CIFAR stem and 224 for the others; epsilon is 1e-5.
//
// Errors: a *[DetectError] that says which tensors are missing, left over or of another shape.
func Detect(shapes map[string]graph.Shape, opts DetectOptions) (Config, error) {
	tensors := make(map[string]graph.Shape, len(shapes))
	for name, s := range shapes {
		if !strings.HasSuffix(name, "num_batches_tracked") {
			tensors[name] = s
		}
	}
	if opts.Shortcut != 0 && !enumValid(shortcutNames, opts.Shortcut) {
		return Config{}, fmt.Errorf("detect network: option shortcut: want %s, got %v", choice(shortcutNames), opts.Shortcut)
	}
	var member Config
	if opts.Member != "" {
		var err error
		if member, err = Lookup(opts.Member); err != nil {
			return Config{}, fmt.Errorf("detect network: option member: %w", err)
		}
	}
	opts.StrideOn1x1 = opts.StrideOn1x1 || member.StrideOn1x1
	guess := survey(tensors).config(opts, member)
	want, err := parameters(guess)
	if err == nil && differences(want, nil, tensors).count() == 0 {
		return guess, nil
	}
	return Config{}, explain(tensors, guess, want, opts)
}

// parameters returns the shapes of the network's parameters by name.
//
// Errors: those of [Config.Build].
func parameters(c Config) (map[string]graph.Shape, error) {
	g, err := c.Build(1, c.InputSize, c.InputSize)
	if err != nil {
		return nil, err
	}
	shapes := make(map[string]graph.Shape, len(g.Params))
	for _, p := range g.Params {
		shapes[p.Name] = p.Type.Shape
	}
	return shapes, nil
}

// memberParameters holds the parameters of every member, in the order of members.
var memberParameters = sync.OnceValue(func() []map[string]graph.Shape {
	all := make([]map[string]graph.Shape, len(members))
	for i, m := range members {
		p, err := parameters(m)
		if err != nil {
			panic("resnet: bug: " + err.Error())
		}
		all[i] = p
	}
	return all
})

// diff counts how tensors differ from the parameters of a network.
type diff struct{ missing, unexpected, mismatched, fitting int }

func (d diff) count() int { return d.missing + d.unexpected + d.mismatched }

// related reports whether at least one tensor has the name of a parameter.
func (d diff) related() bool { return d.fitting+d.mismatched > 0 }

// differences holds tensors against the parameters of a network, of which those in other have another shape.
func differences(want, other, got map[string]graph.Shape) diff {
	var d diff
	for name, w := range want {
		if o, ok := other[name]; ok {
			w = o
		}
		g, ok := got[name]
		switch {
		case !ok:
			d.missing++
		case g != w:
			d.mismatched++
		default:
			d.fitting++
		}
	}
	d.unexpected = len(got) - d.mismatched - d.fitting
	return d
}

// explain makes the error for tensors that guess does not fit; want is nil when guess is no valid network. It holds
// the tensors against the guess and against every member, and reports on the one that differs least.
func explain(tensors map[string]graph.Shape, guess Config, want map[string]graph.Shape, opts DetectOptions) error {
	e := &DetectError{Tensors: len(tensors)}
	network, least := Config{}, math.MaxInt
	var free map[string]graph.Shape
	if d := differences(want, nil, tensors); guess.isMember() && want != nil && d.related() { // so that most others need no look
		network, least = guess, d.count()
		e.Nearest, e.want = guess.Name, want
	}
	for i, m := range members {
		if m.StrideOn1x1 != (opts.StrideOn1x1 && m.Block == Bottleneck) || m.AntiAlias != guess.AntiAlias || m.NormGroups != guess.NormGroups ||
			opts.Shortcut != 0 && m.Shortcut != opts.Shortcut {
			continue
		}
		w := memberParameters()[i]
		if max(len(w)-len(tensors), len(tensors)-len(w)) >= least { // it has at least as many differences
			continue
		}
		m.InChannels, m.Classes = guess.InChannels, guess.Classes
		other := freeShapes(w, m)
		if d := differences(w, other, tensors); d.related() && d.count() < least {
			network, least = m, d.count()
			e.Nearest, e.want, free = m.Name, w, other
		}
	}
	if want != nil {
		if d := differences(want, nil, tensors); d.related() && d.count() < least {
			network, e.want, free = guess, want, nil
		}
	}
	e.want = maps.Clone(e.want)
	maps.Copy(e.want, free)
	e.Network = network.Name
	e.compare(tensors)
	return e
}

// freeShapes are the shapes of those parameters of a member that depend on the numbers of classes and of input channels, as c has them.
func freeShapes(member map[string]graph.Shape, c Config) map[string]graph.Shape {
	first := "conv1.weight"
	if c.Stem == DeepStem {
		first = "conv1.0.weight"
	}
	shapes := map[string]graph.Shape{first: member[first].WithDim(1, c.InChannels)}
	for _, name := range []string{"fc.weight", "fc.bias"} {
		shapes[name] = member[name].WithDim(0, c.Classes)
	}
	return shapes
}
