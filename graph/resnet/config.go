package resnet

import (
	"fmt"
	"math"
	"strings"
)

// MaxStages is the highest number of stages of a network.
const MaxStages = 4

// Config describes a network of the family. It is a comparable value: two networks are the same when == says so.
// Start from [Lookup] or [Detect] and change fields; [Config.Validate] says what does not fit together.
type Config struct {
	Name  string `json:"name"` // the name of the graph; see [Config.CanonicalName]
	Block Block  `json:"block"`
	// Depths is the number of blocks of each stage. A network of fewer than four stages has 0 in the last places.
	Depths [MaxStages]int `json:"depths"`
	// Widths is the number of channels of each stage before the block's expansion (called planes elsewhere): 64, 128,
	// 256, 512 or, in the 6n+2 networks, 16, 32, 64. Stage 1 keeps the size of its input, the others halve it.
	Widths    [MaxStages]int `json:"widths"`
	StemWidth int            `json:"stem_width"` // channels that the stem gives
	Stem      Stem           `json:"stem"`
	// StemInner are the channels of the first two convolutions of a [DeepStem], 0 for other stems.
	StemInner [2]int   `json:"stem_inner,omitzero"`
	Shortcut  Shortcut `json:"shortcut"`
	// Groups and WidthPerGroup shape the 3×3 convolution of a bottleneck: in a stage of width W it has Groups groups of
	// W·WidthPerGroup/64 channels. 1 and 64 for plain networks, 32 and 4 for ResNeXt 32x4d, 1 and 128 for wide ResNets.
	Groups        int `json:"groups"`
	WidthPerGroup int `json:"width_per_group"`
	// Squeeze adds a squeeze-and-excitation module to the end of each residual path, which brings the channels down to one in
	// so many and back: 16 as a rule, 0 for none. See [Config.squeezed].
	Squeeze int `json:"squeeze,omitzero"`
	// StrideOn1x1 puts the stride of a bottleneck on its first 1×1 convolution, as He et al. 2016 do ("v1"). Otherwise it
	// is on the 3×3 convolution, as in torchvision ("v1.5"). Shapes of parameters do not tell the two apart.
	StrideOn1x1 bool `json:"stride_on_1x1"`
	// PoolKernel is the size and stride of the last average pool, which must leave one row and one column. 0 is a global
	// average pool.
	PoolKernel int     `json:"pool_kernel"`
	InChannels int     `json:"in_channels"`
	Classes    int     `json:"classes"`
	InputSize  int     `json:"input_size"` // rows and columns of the pictures it is made for
	Epsilon    float64 `json:"epsilon"`    // of every batch norm
}

// Limits of a Config: far above any member of the family, low enough that no size overflows.
const (
	maxDepth    = 1 << 14
	maxChannels = 1 << 18
)

// Stages is the number of stages.
func (c Config) Stages() int {
	n := 0
	for n < MaxStages && c.Depths[n] > 0 {
		n++
	}
	return n
}

// Layers is the number of layers as the names of the members count them: the convolutions on the residual paths, one of the
// stem and the linear layer. Resnet50 has 50.
func (c Config) Layers() int {
	n := 2
	for _, d := range c.Depths {
		n += d * c.Block.convs()
	}
	return n
}

// innerWidth is the number of channels of a block of stage s (from 0) between its convolutions.
func (c Config) innerWidth(s int) int {
	if c.Block == Basic {
		return c.Widths[s]
	}
	return c.Widths[s] * c.WidthPerGroup / 64 * c.Groups
}

// outWidth is the number of channels that the blocks of stage s (from 0) give.
func (c Config) outWidth(s int) int { return c.Widths[s] * c.Block.Expansion() }

// squeezed is the number of channels in the middle of a squeeze-and-excitation module of c channels: c/Squeeze rounded to a
// multiple of 8, at least 8, as timm has it (make_divisible).
func (c Config) squeezed(channels int) int {
	const divisor = 8
	return max(divisor, (2*channels+divisor*c.Squeeze)/(2*divisor*c.Squeeze)*divisor)
}

// strideOf is the stride of the first block of stage s (from 0).
func strideOf(s int) int {
	if s == 0 {
		return 1
	}
	return 2
}

// Validate checks that the fields fit together. Errors name the field, what was wanted and what was found.
func (c Config) Validate() error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("validate config %.60q: %w", c.Name, err)
	}
	return nil
}

func (c Config) validate() error {
	if !enumValid(blockNames, c.Block) {
		return fmt.Errorf("block: want %s, got %v", choice(blockNames), c.Block)
	}
	if !enumValid(stemNames, c.Stem) {
		return fmt.Errorf("stem: want %s, got %v", choice(stemNames), c.Stem)
	}
	if !enumValid(shortcutNames, c.Shortcut) {
		return fmt.Errorf("shortcut: want %s, got %v", choice(shortcutNames), c.Shortcut)
	}
	for _, w := range c.StemInner {
		if deep := c.Stem == DeepStem; deep && (w < 1 || w > maxChannels) || !deep && w != 0 {
			return fmt.Errorf("stem inner: want two numbers of 1 to %d channels for a deep stem, and 0 for others, got %v for %v", maxChannels, c.StemInner, c.Stem)
		}
	}
	if err := c.validateStages(); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		v       int
		low, up int
	}{
		{"stem width", c.StemWidth, 1, maxChannels},
		{"input channels", c.InChannels, 1, maxChannels},
		{"classes", c.Classes, 1, maxChannels},
		{"input size", c.InputSize, 1, maxChannels},
		{"pool kernel", c.PoolKernel, 0, maxChannels},
		{"squeeze", c.Squeeze, 0, maxChannels},
	} {
		if f.v < f.low || f.v > f.up {
			return fmt.Errorf("%s: want %d to %d, got %d", f.name, f.low, f.up, f.v)
		}
	}
	if !(c.Epsilon > 0) || math.IsInf(c.Epsilon, 0) {
		return fmt.Errorf("epsilon: want a finite number above 0, got %v", c.Epsilon)
	}
	if c.Block == Basic && c.StrideOn1x1 {
		return fmt.Errorf("stride on 1x1: want false for basic blocks, which have no 1x1 convolution, got true")
	}
	return c.validateWidths()
}

func (c Config) validateStages() error {
	stages := c.Stages()
	if stages == 0 {
		return fmt.Errorf("depths: want at least one stage of at least one block, got %v", c.Depths)
	}
	for s := range MaxStages {
		d, w := c.Depths[s], c.Widths[s]
		if s >= stages && (d != 0 || w != 0) {
			return fmt.Errorf("stage %d: want depth and width 0 after the last stage, got %d and %d", s+1, d, w)
		}
		if s < stages && (d > maxDepth || w < 1 || w > maxChannels) {
			return fmt.Errorf("stage %d: want a depth of 1 to %d and a width of 1 to %d, got %d and %d", s+1, maxDepth, maxChannels, d, w)
		}
	}
	return nil
}

func (c Config) validateWidths() error {
	if c.Block == Basic {
		if c.Groups != 1 || c.WidthPerGroup != 64 {
			return fmt.Errorf("groups: want 1 group of width 64 for basic blocks, got %d of %d", c.Groups, c.WidthPerGroup)
		}
	} else if c.Groups < 1 || c.Groups > maxChannels || c.WidthPerGroup < 1 || c.WidthPerGroup > maxChannels {
		return fmt.Errorf("groups: want 1 to %d groups of width 1 to %d, got %d of %d", maxChannels, maxChannels, c.Groups, c.WidthPerGroup)
	}
	in := c.StemWidth
	for s := range c.Stages() {
		if c.Widths[s]*c.WidthPerGroup%64 != 0 {
			return fmt.Errorf("width per group: want width·%d/64 to be a whole number in stage %d, got width %d", c.WidthPerGroup, s+1, c.Widths[s])
		}
		perGroup := c.Widths[s] * c.WidthPerGroup / 64
		if perGroup > maxChannels/c.Groups {
			return fmt.Errorf("groups: want at most %d channels inside the blocks of stage %d, got %d groups of %d", maxChannels, s+1, c.Groups, perGroup)
		}
		if out := c.outWidth(s); c.Shortcut == ZeroPad && out < in {
			return fmt.Errorf("shortcut: want at least as many channels out as in for zero-pad in stage %d, got %d in and %d out", s+1, in, out)
		}
		in = c.outWidth(s)
	}
	return nil
}

// CanonicalName is the name of the member that c is, whatever its number of classes and input channels, its input size
// and epsilon; for a network that is no member it is a description such as "resnet-basic-3.4.5.3-w32.64.128.256".
func (c Config) CanonicalName() string {
	for _, m := range members {
		if m.sameArchitecture(c) {
			return m.Name
		}
	}
	return c.description()
}

func (c Config) sameArchitecture(d Config) bool {
	d.Name, d.Classes, d.InChannels, d.InputSize, d.Epsilon = c.Name, c.Classes, c.InChannels, c.InputSize, c.Epsilon
	return c == d
}

// description names what sets c apart: block and depths always, the rest where it is not as in resnet18 or resnet50.
func (c Config) description() string {
	var b strings.Builder
	n := c.Stages()
	fmt.Fprintf(&b, "resnet-%v-%s", c.Block, dotted(c.Depths[:n]))
	if w := [MaxStages]int{64, 128, 256, 512}; c.StemWidth != 64 || dotted(c.Widths[:n]) != dotted(w[:n]) {
		fmt.Fprintf(&b, "-w%s", dotted(c.Widths[:n]))
		if c.StemWidth != c.Widths[0] {
			fmt.Fprintf(&b, "-stem%d", c.StemWidth)
		}
	}
	if c.Groups != 1 || c.WidthPerGroup != 64 {
		fmt.Fprintf(&b, "-%dx%dd", c.Groups, c.WidthPerGroup)
	}
	switch c.Stem {
	case CIFARStem:
		b.WriteString("-cifar")
	case DeepStem:
		fmt.Fprintf(&b, "-deep%s", dotted(c.StemInner[:]))
	}
	if c.PoolKernel > 0 {
		fmt.Fprintf(&b, "-pool%d", c.PoolKernel)
	}
	if c.Squeeze > 0 {
		fmt.Fprintf(&b, "-se%d", c.Squeeze)
	}
	switch c.Shortcut {
	case ZeroPad:
		b.WriteString("-a")
	case PoolProjection:
		b.WriteString("-pooled")
	}
	if c.StrideOn1x1 {
		b.WriteString("-v1")
	}
	return b.String()
}

func dotted(v []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", "."), "[]")
}
