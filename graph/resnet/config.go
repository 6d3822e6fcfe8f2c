package resnet

import (
	"fmt"
	"math"
	"slices"
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
	StemPool  StemPool `json:"stem_pool,omitzero"` // [MaxStemPool] for a CIFAR stem, which has no pool
	Shortcut  Shortcut `json:"shortcut"`
	// Core is what stands in the place of the 3×3 convolution that may have a stride: the second of a bottleneck, the first of
	// a basic block. The zero value is that convolution.
	Core Core `json:"core,omitzero"`
	// Groups and WidthPerGroup shape the 3×3 convolution of a bottleneck: in a stage of width W it has Groups groups of
	// W·WidthPerGroup/64 channels. 1 and 64 for plain networks, 32 and 4 for ResNeXt 32x4d, 1 and 128 for wide ResNets.
	Groups        int `json:"groups"`
	WidthPerGroup int `json:"width_per_group"`
	// Squeeze adds a squeeze-and-excitation module to the end of each residual path, which brings the channels down to one in
	// so many and back: 16 as a rule, 0 for none. See [Config.squeezed].
	Squeeze int `json:"squeeze,omitzero"`
	// EfficientAttention adds an efficient channel attention module (Wang et al. 2020, "ECA-Net") where Squeeze would add its own,
	// so that a network has one of the two at most.
	EfficientAttention bool      `json:"efficient_attention,omitzero"`
	AntiAlias          AntiAlias `json:"anti_alias,omitzero"`
	// PreActivation puts norm and ReLU before each convolution instead of behind it, and one of each behind the last block (He et
	// al. 2016, "Identity mappings in deep residual networks"; "v2").
	PreActivation bool `json:"pre_activation,omitzero"`
	// NormGroups is the number of groups of group norms (Wu and He 2018), 0 for batch norms.
	NormGroups int `json:"norm_groups,omitzero"`
	// Standardized: the weights of each filter are those of the file less their mean, over their standard deviation (Qiao et al. 2019,
	// "Micro-batch training with batch-channel normalization and weight standardization"). See [Config.Parameter].
	Standardized bool `json:"standardized,omitzero"`
	// StrideOn1x1 puts the stride of a bottleneck on its first 1×1 convolution, as He et al. 2016 do ("v1"). Otherwise it
	// is on the 3×3 convolution, as in torchvision ("v1.5"). Shapes of parameters do not tell the two apart.
	StrideOn1x1 bool `json:"stride_on_1x1"`
	// PoolKernel is the size and stride of the last average pool, which must leave one row and one column. 0 is a global
	// average pool.
	PoolKernel int     `json:"pool_kernel"`
	InChannels int     `json:"in_channels"`
	Classes    int     `json:"classes"`
	InputSize  int     `json:"input_size"` // rows and columns of the pictures it is made for
	Epsilon    float64 `json:"epsilon"`    // of every norm
}

// Core describes what stands in the place of a block's 3×3 convolution.
type Core struct {
	Kind CoreKind `json:"kind,omitzero"`
	// Branches are how many there are: the radix of split attention (1 or more; a single one is opened and closed by a gate), 2 for selective
	// kernels, the parts of the channels of a multi-scale core (2 or more), and 0 for a plain one.
	Branches int `json:"branches,omitzero"`
	// PoolFirst: a stride of split attention is that of a 3×3 average pool before it, and otherwise of one behind it. Parameters
	// do not tell.
	PoolFirst bool `json:"pool_first,omitzero"`
	// SplitInput: each of the selective kernels sees its part of the channels, and otherwise all.
	SplitInput bool `json:"split_input,omitzero"`
	// The scores of selective kernels come from as many channels as there are, divided by Squeeze and rounded to a multiple of
	// SqueezeMultiple; 0 and 0 for other kinds. See [Config.scored].
	Squeeze         int `json:"squeeze,omitzero"`
	SqueezeMultiple int `json:"squeeze_multiple,omitzero"`
}

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

// innerWidth is the number of channels of a block of stage s (from 0) between its convolutions, of one part of them when the core is a
// multi-scale one.
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
func (c Config) squeezed(channels int) int { return roundedShare(channels, c.Squeeze, 8) }

// roundedShare is n/share, rounded to a multiple of the divisor that is not 0.
func roundedShare(n, share, divisor int) int {
	return max(divisor, (2*n+divisor*share)/(2*divisor*share)*divisor)
}

// scored is the number of channels in the middle of a core that gives its result so many: those that its scores are made of, as timm has
// it. Rounding takes no more than a tenth away.
func (c Config) scored(channels int) int {
	share, divisor, least := c.Core.Squeeze, c.Core.SqueezeMultiple, 0
	if c.Core.Kind == SplitAttentionCore {
		channels, share, divisor, least = channels*c.Core.Branches, 4, 8, 32
	}
	n := max(roundedShare(channels, share, divisor), least)
	if 10*n*share < 9*channels {
		n += divisor
	}
	return n
}

// attentionKernel is how many neighbouring channels an efficient channel attention module of c channels looks at: half of the binary
// logarithm of 2c rounded down, and one more when that is even; at least 3.
func attentionKernel(channels int) int {
	k := int(math.Log2(float64(channels))+1) / 2
	return max(3, k|1)
}

// strideOf is the stride of the first block of stage s (from 0).
func strideOf(s int) int {
	if s == 0 {
		return 1
	}
	return 2
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

// isMember reports whether the name of c is that of the member that it is.
func (c Config) isMember() bool {
	return slices.ContainsFunc(members, func(m Config) bool { return m.Name == c.Name && m.sameArchitecture(c) })
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
	if c.StemPool != MaxStemPool {
		fmt.Fprintf(&b, "-%vpool", c.StemPool)
	}
	if c.PoolKernel > 0 {
		fmt.Fprintf(&b, "-pool%d", c.PoolKernel)
	}
	c.describeBlocks(&b)
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

// describeBlocks adds what sets the blocks apart.
func (c Config) describeBlocks(b *strings.Builder) {
	if k := c.Core; k.Kind != PlainCore {
		fmt.Fprintf(b, "-%v%d", k.Kind, k.Branches)
		if k.Squeeze > 0 {
			fmt.Fprintf(b, "-share%dx%d", k.Squeeze, k.SqueezeMultiple)
		}
		if k.SplitInput {
			b.WriteString("-split")
		}
		if k.PoolFirst {
			b.WriteString("-poolfirst")
		}
	}
	if c.Squeeze > 0 {
		fmt.Fprintf(b, "-se%d", c.Squeeze)
	}
	if c.EfficientAttention {
		b.WriteString("-eca")
	}
	if c.AntiAlias != NoAntiAlias {
		fmt.Fprintf(b, "-%v", c.AntiAlias)
	}
	if c.PreActivation {
		b.WriteString("-preact")
	}
	if c.NormGroups > 0 {
		fmt.Fprintf(b, "-gn%d", c.NormGroups)
	}
	if c.Standardized {
		b.WriteString("-std")
	}
}

func dotted(v []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", "."), "[]")
}
