package resnet

import (
	"fmt"
	"strings"
)

// Block is the kind of residual block. The zero value is invalid.
type Block uint8

// The kinds of blocks.
const (
	_          Block = iota
	Basic            // two 3×3 convolutions; as wide outside as inside
	Bottleneck       // 1×1, 3×3, 1×1 convolutions; four times as wide outside as the stage's width
)

// Expansion is the number of a block's output channels per channel of its stage's width: 1 or 4.
func (b Block) Expansion() int {
	if b == Bottleneck {
		return 4
	}
	return 1
}

// convs is the number of convolutions on the residual path.
func (b Block) convs() int {
	if b == Bottleneck {
		return 3
	}
	return 2
}

// Stem is what stands before the first stage. The zero value is invalid.
type Stem uint8

// The stems.
const (
	_            Stem = iota
	ImageNetStem      // 7×7 convolution of stride 2, then 3×3 max-pool of stride 2
	CIFARStem         // 3×3 convolution of stride 1
	DeepStem          // three 3×3 convolutions, the first of stride 2, then the max-pool (He et al. 2019, "C")
)

// Shortcut is what a shortcut does where the block changes the shape. The zero value is invalid.
type Shortcut uint8

// The shortcuts. Where the shape stays, all of them are the identity.
const (
	_              Shortcut = iota
	Projection              // option B of He et al. 2016: 1×1 convolution and batch norm
	ZeroPad                 // option A: every second row and column, and channels of zeros, half of them on each side
	PoolProjection          // 2×2 average pool where the picture is halved, then 1×1 convolution and batch norm (He et al. 2019, "D")
)

// StemPool is what halves the picture after the convolutions of an ImageNet or deep stem. A CIFAR stem has none.
type StemPool uint8

// The pools of stems.
const (
	MaxStemPool     StemPool = iota // 3×3 max-pool of stride 2, in which padding never wins
	ConvStemPool                    // 3×3 convolution of stride 2, norm and ReLU (Bello et al. 2021, "Revisiting ResNets")
	ZeroPadStemPool                 // the max-pool over a picture with zeros round it, which do win over negative numbers (BiT)
)

// AntiAlias is what takes over the stride of 3×3 convolutions and of the max-pool, which then have stride 1.
type AntiAlias uint8

// The ways to halve a picture that is not to be aliased. Parameters do not tell them apart.
const (
	NoAntiAlias      AntiAlias = iota
	AverageAntiAlias           // 2×2 average pool, in the stem in place of the max-pool
	BlurAntiAlias              // 3×3 binomial filter of stride 2 over the mirrored picture (Zhang 2019, "Making convolutional networks shift-invariant again")
)

// CoreKind is the kind of a [Core].
type CoreKind uint8

// The kinds of cores.
const (
	PlainCore           CoreKind = iota // one convolution, a norm and a ReLU
	SplitAttentionCore                  // branches of a grouped convolution, weighed channel by channel (Zhang et al. 2020, "ResNeSt")
	SelectiveKernelCore                 // two convolutions of dilation 1 and 2, weighed likewise (Li et al. 2019, "Selective kernel networks")
	MultiScaleCore                      // convolutions one after the other, each for a part of the channels (Gao et al. 2019, "Res2Net")
)

// The names of the values; a zero value without a name is invalid.
var (
	blockNames     = []string{Basic: "basic", Bottleneck: "bottleneck"}
	stemNames      = []string{ImageNetStem: "imagenet", CIFARStem: "cifar", DeepStem: "deep"}
	shortcutNames  = []string{Projection: "projection", ZeroPad: "zero-pad", PoolProjection: "pool-projection"}
	stemPoolNames  = []string{MaxStemPool: "max", ConvStemPool: "conv", ZeroPadStemPool: "zero-pad-max"}
	antiAliasNames = []string{NoAntiAlias: "none", AverageAntiAlias: "average", BlurAntiAlias: "blur"}
	coreNames      = []string{PlainCore: "plain", SplitAttentionCore: "split-attention", SelectiveKernelCore: "selective-kernel", MultiScaleCore: "multi-scale"}
)

// String returns "basic" or "bottleneck".
func (b Block) String() string { return enumString("block", blockNames, b) }

// String returns "imagenet", "cifar" or "deep".
func (s Stem) String() string { return enumString("stem", stemNames, s) }

// String returns "projection", "zero-pad" or "pool-projection".
func (s Shortcut) String() string { return enumString("shortcut", shortcutNames, s) }

// String returns "max", "conv" or "zero-pad-max".
func (p StemPool) String() string { return enumString("stem pool", stemPoolNames, p) }

// String returns "none", "average" or "blur".
func (a AntiAlias) String() string { return enumString("anti-alias", antiAliasNames, a) }

// String returns "plain", "split-attention", "selective-kernel" or "multi-scale".
func (k CoreKind) String() string { return enumString("core", coreNames, k) }

// MarshalText returns the name. Errors: b is invalid.
func (b Block) MarshalText() ([]byte, error) { return enumText("block", blockNames, b) }

// MarshalText returns the name. Errors: s is invalid.
func (s Stem) MarshalText() ([]byte, error) { return enumText("stem", stemNames, s) }

// MarshalText returns the name. Errors: s is invalid.
func (s Shortcut) MarshalText() ([]byte, error) { return enumText("shortcut", shortcutNames, s) }

// MarshalText returns the name. Errors: p is invalid.
func (p StemPool) MarshalText() ([]byte, error) { return enumText("stem pool", stemPoolNames, p) }

// MarshalText returns the name. Errors: a is invalid.
func (a AntiAlias) MarshalText() ([]byte, error) { return enumText("anti-alias", antiAliasNames, a) }

// MarshalText returns the name. Errors: k is invalid.
func (k CoreKind) MarshalText() ([]byte, error) { return enumText("core", coreNames, k) }

// UnmarshalText is the inverse of [Block.MarshalText].
func (b *Block) UnmarshalText(text []byte) error { return parseEnum("block", blockNames, text, b) }

// UnmarshalText is the inverse of [Stem.MarshalText].
func (s *Stem) UnmarshalText(text []byte) error { return parseEnum("stem", stemNames, text, s) }

// UnmarshalText is the inverse of [Shortcut.MarshalText].
func (s *Shortcut) UnmarshalText(text []byte) error {
	return parseEnum("shortcut", shortcutNames, text, s)
}

// UnmarshalText is the inverse of [StemPool.MarshalText].
func (p *StemPool) UnmarshalText(text []byte) error {
	return parseEnum("stem pool", stemPoolNames, text, p)
}

// UnmarshalText is the inverse of [AntiAlias.MarshalText].
func (a *AntiAlias) UnmarshalText(text []byte) error {
	return parseEnum("anti-alias", antiAliasNames, text, a)
}

// UnmarshalText is the inverse of [CoreKind.MarshalText].
func (k *CoreKind) UnmarshalText(text []byte) error { return parseEnum("core", coreNames, text, k) }

// choice lists the names of an enumeration as a sentence does: "a, b or c".
func choice(names []string) string {
	if names[0] == "" {
		names = names[1:]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func enumValid[E ~uint8](names []string, e E) bool { return int(e) < len(names) && names[e] != "" }

func enumString[E ~uint8](kind string, names []string, e E) string {
	if enumValid(names, e) {
		return names[e]
	}
	return fmt.Sprintf("%s(%d)", kind, uint8(e))
}

func enumText[E ~uint8](kind string, names []string, e E) ([]byte, error) {
	if !enumValid(names, e) {
		return nil, fmt.Errorf("marshal %s: invalid value %d", kind, uint8(e))
	}
	return []byte(names[e]), nil
}

func parseEnum[E ~uint8](kind string, names []string, text []byte, e *E) error {
	for i, n := range names {
		if n != "" && n == string(text) {
			*e = E(i)
			return nil
		}
	}
	return fmt.Errorf("parse %s: want %s, got %.40q", kind, choice(names), text)
}
