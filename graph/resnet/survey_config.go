package resnet

import "slices"

// squeeze is the ratio that most modules fit, the usual one where it does as well as others, and 0 when there are none.
func (e *evidence) squeeze() int {
	const usual = 16
	best, most := 0, 0
	ratios := []int{usual}
	for pair := range e.squeezes {
		if pair[1] > 0 {
			ratios = append(ratios, min(max(pair[0]/pair[1], 1), maxChannels))
		}
	}
	slices.Sort(ratios[1:]) // of several that fit as well the smallest
	ratios = slices.Compact(ratios)
	for _, r := range ratios[:min(len(ratios), 64)] { // a network has one
		fit := 0
		for pair, count := range e.squeezes {
			if (Config{Squeeze: r}).squeezed(pair[0]) == pair[1] {
				fit += count
			}
		}
		if fit > most {
			best, most = r, fit
		}
	}
	if best == 0 && len(e.squeezes) > 0 {
		return usual
	}
	return best
}

// score is the share and the multiple that most selective kernels of the family fit, of those that members have.
func (e *evidence) score() (share, multiple int) {
	most := -1
	for _, m := range members {
		if m.Core.Kind != SelectiveKernelCore {
			continue
		}
		fit := 0
		for pair, count := range e.scores {
			if m.scored(pair[0]) == pair[1] {
				fit += count
			}
		}
		if fit > most {
			share, multiple, most = m.Core.Squeeze, m.Core.SqueezeMultiple, fit
		}
	}
	return share, multiple
}

// config is the network that the evidence speaks for, with what it does not tell as opts and the member have it. It may be invalid.
func (e *evidence) config(opts DetectOptions, member Config) Config {
	c := Config{Block: e.block, Epsilon: 1e-5, PreActivation: e.preActivated}
	c.Core.Kind = e.core
	e.stageConfig(&c)
	e.stemConfig(&c)
	e.blockConfig(&c, opts, member)
	c.InChannels, c.Classes = e.inChannels.winner(3), e.classes.winner(c.Classes)
	c.Shortcut = opts.Shortcut
	if c.Shortcut == 0 {
		c.Shortcut = e.shortcut(c, member)
	}
	c.Name = c.CanonicalName()
	return c
}

// stageConfig sets depths, widths, groups and branches.
func (e *evidence) stageConfig(c *Config) {
	var groups, widthPerGroup, branches votes
	for s := range e.stages {
		st := &e.stages[s]
		if c.Depths[s] = st.depth(); c.Depths[s] == 0 {
			break
		}
		c.Widths[s] = st.out.winner(0) / c.Block.Expansion()
		inner, perGroup := st.inner.winner(0), st.perGroup.winner(0)
		if perGroup == 0 || inner == 0 {
			continue
		}
		parts := 1
		switch c.Core.Kind {
		case SplitAttentionCore:
			parts = max(1, st.core.winner(inner)/inner)
			branches.add(parts)
		case MultiScaleCore:
			width := st.core.winner(inner)
			branches.add(inner / width)
			inner = width
		case SelectiveKernelCore:
			branches.add(2)
			if c.Block == Bottleneck && 2*perGroup == inner {
				c.Core.SplitInput, parts = true, 2
			}
		}
		if c.Block == Basic || c.Widths[s] == 0 {
			continue
		}
		g := inner / perGroup / parts
		groups.add(g)
		if g > 0 && 64*(inner/g)%c.Widths[s] == 0 {
			widthPerGroup.add(64 * (inner / g) / c.Widths[s])
		}
	}
	c.Groups, c.WidthPerGroup = groups.winner(1), widthPerGroup.winner(64)
	if c.Core.Kind != PlainCore {
		c.Core.Branches = branches.winner(2)
	}
	if c.Core.Kind == SelectiveKernelCore {
		c.Core.Squeeze, c.Core.SqueezeMultiple = e.score()
		if c.Block == Basic {
			c.Core.SplitInput = e.splits.winner(2) == 2
		}
	}
}

// stemConfig sets the stem, and what goes with it.
func (e *evidence) stemConfig(c *Config) {
	stages := c.Stages()
	c.Stem, c.InputSize, c.Classes = ImageNetStem, 224, 1000
	if e.stemKernel == 0 && e.deep > 1 {
		c.Stem = DeepStem
		for i := range c.StemInner {
			c.StemInner[i] = e.stemInner[i].winner(32)
		}
	} else if e.stemKernel == 3 || e.stemKernel != 7 && stages < MaxStages {
		c.Stem, c.InputSize, c.Classes = CIFARStem, 32, 10
		if stages == MaxStages {
			c.PoolKernel = 4
		}
	}
	if e.convPool > 1 && c.Stem != CIFARStem {
		c.StemPool = ConvStemPool
	}
	c.StemWidth = e.stemWidth.winner(c.Widths[0])
}

// blockConfig sets what is in the blocks besides convolutions.
func (e *evidence) blockConfig(c *Config, opts DetectOptions, member Config) {
	plain := c.Core.Kind == PlainCore
	if c.Squeeze = e.squeeze(); c.Squeeze == 0 {
		c.EfficientAttention = e.efficient > 0
	}
	c.StrideOn1x1 = opts.StrideOn1x1 && c.Block == Bottleneck && plain
	if plain && !c.StrideOn1x1 && !c.PreActivation && c.StemPool == MaxStemPool {
		c.AntiAlias = member.AntiAlias
	}
	if c.Core.Kind == SplitAttentionCore {
		c.Core.PoolFirst = c.Groups > 1
		if member.Core.Kind == SplitAttentionCore {
			c.Core.PoolFirst = member.Core.PoolFirst
		}
	}
	const usual = 32
	if e.statistics == 0 && e.norms > 0 {
		if c.NormGroups = member.NormGroups; c.PreActivation && c.NormGroups == 0 {
			c.NormGroups = usual
		}
	}
	if c.PreActivation && c.NormGroups > 0 && c.Stem == ImageNetStem {
		c.Standardized, c.StemPool = true, ZeroPadStemPool
	}
}

// shortcut is what the shortcuts do that change the shape.
func (e *evidence) shortcut(c, member Config) Shortcut {
	stages := c.Stages()
	switch {
	case c.PreActivation && member.PreActivation:
		return member.Shortcut
	case c.PreActivation && c.Stem == DeepStem, e.pooled.winner(1) == 2:
		return PoolProjection
	case !c.PreActivation && !e.projections && (stages > 1 || stages == 1 && c.StemWidth != c.outWidth(0)):
		return ZeroPad
	}
	return Projection
}
