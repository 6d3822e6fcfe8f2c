package resnet

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// randomConfig draws a valid network whose open choices are those that Detect makes.
func randomConfig(r *rand.Rand) Config {
	c := Config{
		Block: Basic, Stem: ImageNetStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64,
		StemWidth: 1 + r.IntN(40), InChannels: 1 + r.IntN(5), Classes: 1 + r.IntN(20), InputSize: 224, Epsilon: 1e-5,
	}
	stages := 1 + r.IntN(MaxStages)
	for s := range stages {
		c.Depths[s] = 1 + r.IntN(6)
		c.Widths[s] = 1 + r.IntN(50)
	}
	if r.IntN(2) == 0 {
		c.Block = Bottleneck
		c.Groups = 1 + r.IntN(5)
		unit := []int{1, 2, 4, 8, 16, 32, 64}[r.IntN(7)] // of the widths, so that width·widthPerGroup/64 is a whole number
		c.WidthPerGroup = 64 / unit * (1 + r.IntN(4))
		for s := range stages {
			c.Widths[s] *= unit
		}
	}
	switch r.IntN(4) {
	case 0, 1:
		c.Stem, c.InputSize = CIFARStem, 32
		if stages == MaxStages {
			c.PoolKernel = 4
		}
	case 2:
		c.Stem, c.StemInner = DeepStem, [2]int{1 + r.IntN(30), 1 + r.IntN(30)}
	}
	switch r.IntN(4) {
	case 0: // where there is a shortcut that shows it
		if stages > 1 || c.StemWidth != c.outWidth(0) {
			c.Shortcut = PoolProjection
		}
	case 1:
		c.Shortcut = ZeroPad
		in := c.StemWidth
		for s := range stages { // widths that do not fall
			for c.outWidth(s) < in {
				c.Widths[s] *= 2
			}
			in = c.outWidth(s)
		}
		if stages == 1 && c.StemWidth == in {
			c.Shortcut = Projection
		}
	}
	switch r.IntN(5) {
	case 0:
		c.Squeeze = 16
	case 1:
		c.EfficientAttention = true
	case 2:
		randomKind(r, &c)
	}
	if c.Stem != CIFARStem && c.StemPool == MaxStemPool && r.IntN(4) == 0 {
		c.StemPool = ConvStemPool
	}
	c.Name = c.CanonicalName()
	return c
}

// randomKind gives the network another core or pre-activation, where its channels can be parted so.
func randomKind(r *rand.Rand, c *Config) {
	before := *c
	switch r.IntN(4) {
	case 0:
		c.Core = Core{Kind: SplitAttentionCore, Branches: 1 + r.IntN(4), PoolFirst: c.Groups > 1}
	case 1:
		c.Core = Core{Kind: MultiScaleCore, Branches: 2 + r.IntN(4)}
	case 2:
		c.Core = Core{Kind: SelectiveKernelCore, Branches: 2, Squeeze: 16, SqueezeMultiple: 8, SplitInput: c.Block == Basic || c.Groups == 1}
		c.Depths[0]++ // what basic blocks see of their input shows from the second on
	case 3:
		c.PreActivation = true
		if c.Shortcut = Projection; c.Stem == DeepStem {
			c.Shortcut = PoolProjection
		}
	}
	// Two groups that see all channels have the same parameters as one that sees half of them.
	ambiguous := c.Core.Kind == SelectiveKernelCore && c.Groups == 2
	if _, err := c.Build(1, c.InputSize, c.InputSize); err != nil || ambiguous {
		*c = before
	}
}

func TestDetectFindsRandomNetworks(t *testing.T) {
	kinds, cores := map[Block]int{}, map[CoreKind]int{}
	for seed := range uint64(1000) {
		c := randomConfig(rand.New(rand.NewPCG(seed, 1)))
		got, err := Detect(mustParameters(t, c), DetectOptions{})
		if err != nil || got != c {
			t.Errorf("seed %d: got\n%+v, %v, want\n%+v", seed, got, err, c)
		}
		kinds[c.Block]++
		cores[c.Core.Kind]++
	}
	if kinds[Basic] < 100 || kinds[Bottleneck] < 100 {
		t.Errorf("got %v, want at least 100 of each", kinds)
	}
	for kind := PlainCore; kind <= MultiScaleCore; kind++ {
		if cores[kind] < 4 {
			t.Errorf("got %v, want at least 4 of each", cores)
		}
	}
}

// TestDetectErrorsAddUp damages random networks in several places. Whatever network the error then speaks of, its lists
// must turn the parameters of that network into the tensors.
func TestDetectErrorsAddUp(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		tensors := mustParameters(t, randomConfig(r))
		for _, name := range sortedNames(tensors) {
			if r.IntN(20) > 0 {
				continue
			}
			s := tensors[name]
			switch r.IntN(3) {
			case 0:
				delete(tensors, name)
			case 1:
				tensors["layer2.7."+name] = s
			case 2:
				tensors[name] = s.WithDim(0, s.Dim(0)+1)
			}
		}
		tensors["extra"] = graph.NewShape(1)
		_, err := Detect(tensors, DetectOptions{})
		var de *DetectError
		if !errors.As(err, &de) {
			t.Fatalf("seed %d: got %v, want a *DetectError", seed, err)
		}
		if de.Network == "" || de.Nearest == "" || de.Tensors != len(tensors) {
			t.Errorf("seed %d: got network %q, nearest %q, %d tensors, want two names and %d", seed, de.Network, de.Nearest, de.Tensors, len(tensors))
		}
		for _, n := range de.Missing {
			if _, ok := tensors[n]; ok {
				t.Errorf("seed %d: %s is there but is said to be missing", seed, n)
			}
		}
		for _, n := range de.Unexpected {
			if _, ok := tensors[n]; !ok {
				t.Errorf("seed %d: %s is said to be left over but is not there", seed, n)
			}
		}
		for _, m := range de.Mismatched {
			if tensors[m.Name] != m.Got || m.Want == m.Got {
				t.Errorf("seed %d: %+v, but the tensor is %v", seed, m, tensors[m.Name])
			}
		}
		if len(de.Unexpected) == 0 {
			t.Errorf("seed %d: the extra tensor is not left over: %v", seed, err)
		}
	}
}
