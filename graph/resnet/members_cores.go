package resnet

import "fmt"

// splitAttention are ResNeSt.
func splitAttention() []Config {
	ms := configs([]row{
		{"resnest14d", Bottleneck, [MaxStages]int{1, 1, 1, 1}, 'd', 1, 64},
		{"resnest26d", Bottleneck, resnet18, 'd', 1, 64},
		{"resnest50d", Bottleneck, resnet50, 'd', 1, 64},
		{"resnest101e", Bottleneck, resnet101, 'e', 1, 64},
		{"resnest200e", Bottleneck, resnet200, 'e', 1, 64},
		{"resnest269e", Bottleneck, resnet269, 'e', 1, 64},
	}, func(c *Config) { c.Core = Core{Kind: SplitAttentionCore, Branches: 2} })
	one := row{"resnest50d_1s4x24d", Bottleneck, resnet50, 'd', 4, 24}
	four := row{"resnest50d_4s2x40d", Bottleneck, resnet50, 'd', 2, 40}
	for branches, r := range map[int]row{1: one, 4: four} {
		ms = append(ms, configs([]row{r}, func(c *Config) { c.Core = Core{Kind: SplitAttentionCore, Branches: branches, PoolFirst: true} })...)
	}
	return ms
}

// selective are the networks with selective kernels. timm lets the kernels of those without groups see half of the channels each.
func selective() []Config {
	core := func(share, multiple int, split bool) func(*Config) {
		return func(c *Config) {
			c.Core = Core{Kind: SelectiveKernelCore, Branches: 2, SplitInput: split, Squeeze: share, SqueezeMultiple: multiple}
		}
	}
	ms := configs([]row{
		{"skresnet18", Basic, resnet18, '-', 1, 64},
		{"skresnet34", Basic, resnet34, '-', 1, 64},
	}, core(8, 16, true))
	ms = append(ms, configs([]row{
		{"skresnet50", Bottleneck, resnet50, '-', 1, 64},
		{"skresnet50d", Bottleneck, resnet50, 'd', 1, 64},
	}, core(16, 8, true))...)
	return append(ms, configs([]row{{"skresnext50_32x4d", Bottleneck, resnet50, '-', 32, 4}}, core(16, 32, false))...)
}

// multiScale are Res2Net.
func multiScale() []Config {
	var ms []Config
	for _, r := range []struct {
		row
		parts int
	}{
		{row{"res2net50_14w_8s", Bottleneck, resnet50, '-', 1, 14}, 8},
		{row{"res2net50_26w_4s", Bottleneck, resnet50, '-', 1, 26}, 4},
		{row{"res2net50_26w_6s", Bottleneck, resnet50, '-', 1, 26}, 6},
		{row{"res2net50_26w_8s", Bottleneck, resnet50, '-', 1, 26}, 8},
		{row{"res2net50_48w_2s", Bottleneck, resnet50, '-', 1, 48}, 2},
		{row{"res2net50d", Bottleneck, resnet50, 'd', 1, 26}, 4},
		{row{"res2net101_26w_4s", Bottleneck, resnet101, '-', 1, 26}, 4},
		{row{"res2net101d", Bottleneck, resnet101, 'd', 1, 26}, 4},
		{row{"res2next50", Bottleneck, resnet50, '-', 8, 4}, 4},
	} {
		ms = append(ms, configs([]row{r.row}, func(c *Config) { c.Core = Core{Kind: MultiScaleCore, Branches: r.parts} })...)
	}
	return ms
}

// preActivated are the networks with pre-activation and ordinary weights.
func preActivated() []Config {
	ms := configs([]row{
		{"resnetv2_18", Basic, resnet18, '-', 1, 64},
		{"resnetv2_18d", Basic, resnet18, 'd', 1, 64},
		{"resnetv2_34", Basic, resnet34, '-', 1, 64},
		{"resnetv2_34d", Basic, resnet34, 'd', 1, 64},
		{"resnetv2_50", Bottleneck, resnet50, '-', 1, 64},
		{"resnetv2_50d", Bottleneck, resnet50, 'd', 1, 64},
		{"resnetv2_50t", Bottleneck, resnet50, 't', 1, 64},
		{"resnetv2_101", Bottleneck, resnet101, '-', 1, 64},
		{"resnetv2_101d", Bottleneck, resnet101, 'd', 1, 64},
		{"resnetv2_152", Bottleneck, resnet152, '-', 1, 64},
		{"resnetv2_152d", Bottleneck, resnet152, 'd', 1, 64},
		{"resnetv2_50d_gn", Bottleneck, resnet50, 'd', 1, 64},
	}, func(c *Config) { c.PreActivation = true })
	ms[len(ms)-1].NormGroups = 32
	return ms
}

// transferred are the networks of Kolesnikov et al. 2019 ("Big Transfer"), all of whose channels are a multiple of those of ResNet.
func transferred() []Config {
	var ms []Config
	for _, r := range []struct {
		layers int
		depths [MaxStages]int
		times  []int
	}{{50, resnet50, []int{1, 3}}, {101, resnet101, []int{1, 3}}, {152, resnet152, []int{2, 4}}} {
		for _, times := range r.times {
			c := imageNet(Bottleneck, r.depths)
			c.Name = fmt.Sprintf("resnetv2_%dx%d_bit", r.layers, times)
			c.PreActivation, c.NormGroups, c.Standardized, c.StemPool = true, 32, true, ZeroPadStemPool
			c.StemWidth *= times
			for s := range c.Widths {
				c.Widths[s] *= times
			}
			ms = append(ms, c)
		}
	}
	return ms
}
