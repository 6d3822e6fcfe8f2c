package resnet

import (
	"fmt"
	"math"
)

// Limits of a Config: far above any member of the family, low enough that no size overflows.
const (
	maxDepth    = 1 << 14
	maxChannels = 1 << 18
	maxBranches = 1 << 6 // each makes nodes of its own
)

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
	if !enumValid(stemPoolNames, c.StemPool) {
		return fmt.Errorf("stem pool: want %s, got %v", choice(stemPoolNames), c.StemPool)
	}
	if !enumValid(antiAliasNames, c.AntiAlias) {
		return fmt.Errorf("anti-alias: want %s, got %v", choice(antiAliasNames), c.AntiAlias)
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
		{"norm groups", c.NormGroups, 0, maxChannels},
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
	if err := c.validateCore(); err != nil {
		return err
	}
	if err := c.validateTogether(); err != nil {
		return err
	}
	return c.validateWidths()
}

func (c Config) validateCore() error {
	k := c.Core
	if !enumValid(coreNames, k.Kind) {
		return fmt.Errorf("core: want %s, got %v", choice(coreNames), k.Kind)
	}
	low, up := 0, 0
	switch k.Kind {
	case SplitAttentionCore:
		low, up = 1, maxBranches
	case SelectiveKernelCore:
		low, up = 2, 2
	case MultiScaleCore:
		low, up = 2, maxBranches
	}
	if k.Branches < low || k.Branches > up {
		return fmt.Errorf("branches: want %d to %d for a %v core, got %d", low, up, k.Kind, k.Branches)
	}
	selective := k.Kind == SelectiveKernelCore
	for _, f := range []struct {
		name string
		v    int
	}{{"squeeze", k.Squeeze}, {"squeeze multiple", k.SqueezeMultiple}} {
		if selective && (f.v < 1 || f.v > maxChannels) || !selective && f.v != 0 {
			return fmt.Errorf("%s of the core: want 1 to %d for selective kernels, and 0 for others, got %d for %v", f.name, maxChannels, f.v, k.Kind)
		}
	}
	if k.PoolFirst && k.Kind != SplitAttentionCore {
		return fmt.Errorf("pool first: want false for other cores than split attention, got true for %v", k.Kind)
	}
	if k.SplitInput && !selective {
		return fmt.Errorf("split input: want false for other cores than selective kernels, got true for %v", k.Kind)
	}
	if c.Block == Basic && k.Kind != PlainCore && !selective {
		return fmt.Errorf("core: want plain or selective-kernel for basic blocks, got %v", k.Kind)
	}
	return nil
}

// validateTogether refuses what no network has at the same time.
func (c Config) validateTogether() error {
	plain := c.Core.Kind == PlainCore
	for _, f := range []struct {
		name, want string
		bad        bool
		got        any
	}{
		{"stem pool", "max for a CIFAR stem, which has none", c.Stem == CIFARStem && c.StemPool != MaxStemPool, c.StemPool},
		{"efficient attention", "false beside squeeze-and-excitation modules", c.EfficientAttention && c.Squeeze > 0, true},
		{"anti-alias", "none for other cores than plain", c.AntiAlias != NoAntiAlias && !plain, c.AntiAlias},
		{"anti-alias", "none where a 1x1 convolution has the stride", c.AntiAlias != NoAntiAlias && c.StrideOn1x1, c.AntiAlias},
		{"anti-alias", "none for another stem pool than max", c.AntiAlias != NoAntiAlias && c.StemPool != MaxStemPool, c.AntiAlias},
		{"stride on 1x1", "false for other cores than plain", c.StrideOn1x1 && !plain, true},
		{"pre-activation", "false for other cores than plain", c.PreActivation && !plain, true},
		{"pre-activation", "false beside channel attention", c.PreActivation && (c.EfficientAttention || c.Squeeze > 0), true},
		{"pre-activation", "false beside anti-aliasing", c.PreActivation && c.AntiAlias != NoAntiAlias, true},
		{"pre-activation", "false for zero-pad shortcuts", c.PreActivation && c.Shortcut == ZeroPad, true},
	} {
		if f.bad {
			return fmt.Errorf("%s: want %s, got %v", f.name, f.want, f.got)
		}
	}
	return nil
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
		if k := c.Core; k.Branches > maxChannels/(perGroup*c.Groups) {
			return fmt.Errorf("branches: want at most %d channels inside the blocks of stage %d, got %d branches of %d", maxChannels, s+1, k.Branches, perGroup*c.Groups)
		}
		kernels := perGroup * c.Groups // channels before the selective kernels
		if c.Block == Basic {
			kernels = in
		}
		if c.Core.SplitInput && kernels%2 != 0 {
			return fmt.Errorf("split input: want an even number of channels before the selective kernels of stage %d, got %d", s+1, kernels)
		}
		if out := c.outWidth(s); c.Shortcut == ZeroPad && out < in {
			return fmt.Errorf("shortcut: want at least as many channels out as in for zero-pad in stage %d, got %d in and %d out", s+1, in, out)
		}
		in = c.outWidth(s)
	}
	return nil
}
