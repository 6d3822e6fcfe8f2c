package resnet

import (
	"fmt"
	"strings"
)

// Depths that several members have.
var (
	resnet18  = [MaxStages]int{2, 2, 2, 2}
	resnet34  = [MaxStages]int{3, 4, 6, 3}
	resnet50  = resnet34
	resnet101 = [MaxStages]int{3, 4, 23, 3}
	resnet152 = [MaxStages]int{3, 8, 36, 3}
	resnet200 = [MaxStages]int{3, 24, 36, 3}
	resnet269 = [MaxStages]int{3, 30, 48, 8}
)

// variant changes the stem and the shortcuts of a network as the letter says. C and d are of He et al. 2019 ("Bag of tricks
// for image classification with convolutional neural networks", section 4), e and s are GluonCV's, t is timm's.
func variant(c Config, letter rune) Config {
	switch letter {
	case 'c':
		c.Stem, c.StemInner = DeepStem, [2]int{32, 32}
	case 'd':
		c.Stem, c.StemInner, c.Shortcut = DeepStem, [2]int{32, 32}, PoolProjection
	case 'e':
		c.Stem, c.StemInner, c.StemWidth, c.Shortcut = DeepStem, [2]int{64, 64}, 128, PoolProjection
	case 's':
		c.Stem, c.StemInner, c.StemWidth = DeepStem, [2]int{64, 64}, 128
	case 't':
		c.Stem, c.StemInner, c.Shortcut = DeepStem, [2]int{24, 32}, PoolProjection
	}
	return c
}

// lettered are the members of timm that have other stems and shortcuts than torchvision's, and resnet26, which has not.
func lettered() []Config {
	var ms []Config
	for _, l := range []struct {
		layers   int
		block    Block
		depths   [MaxStages]int
		variants string // letters of timm's names, after the number of layers; - for none
	}{
		{10, Basic, [MaxStages]int{1, 1, 1, 1}, "t"},
		{14, Bottleneck, [MaxStages]int{1, 1, 1, 1}, "t"},
		{18, Basic, resnet18, "d"},
		{26, Bottleneck, resnet18, "-dt"},
		{34, Basic, resnet34, "d"},
		{50, Bottleneck, resnet50, "cdst"},
		{101, Bottleneck, resnet101, "cds"},
		{152, Bottleneck, resnet152, "cds"},
		{200, Bottleneck, resnet200, "-d"},
	} {
		for _, v := range l.variants {
			c := variant(imageNet(l.block, l.depths), v)
			c.Name = strings.TrimSuffix(fmt.Sprintf("resnet%d%c", l.layers, v), "-")
			ms = append(ms, c)
		}
	}
	x := variant(imageNet(Bottleneck, resnet50), 'd')
	x.Name, x.Groups, x.WidthPerGroup = "resnext50d_32x4d", 32, 4
	return append(ms, x)
}

// row is a member of timm: a variant of a network with what its table says besides.
type row struct {
	name                  string
	block                 Block
	depths                [MaxStages]int
	variant               rune
	groups, widthPerGroup int
}

// configs makes the members of a table and changes each.
func configs(rows []row, change func(*Config)) []Config {
	ms := make([]Config, len(rows))
	for i, r := range rows {
		c := variant(imageNet(r.block, r.depths), r.variant)
		c.Name, c.Groups, c.WidthPerGroup = r.name, r.groups, r.widthPerGroup
		change(&c)
		ms[i] = c
	}
	return ms
}

// squeezed are the members with squeeze-and-excitation modules.
func squeezed() []Config {
	return configs([]row{
		{"seresnet18", Basic, resnet18, '-', 1, 64},
		{"seresnet34", Basic, resnet34, '-', 1, 64},
		{"seresnet50", Bottleneck, resnet50, '-', 1, 64},
		{"seresnet50t", Bottleneck, resnet50, 't', 1, 64},
		{"seresnet101", Bottleneck, resnet101, '-', 1, 64},
		{"seresnet152", Bottleneck, resnet152, '-', 1, 64},
		{"seresnet152d", Bottleneck, resnet152, 'd', 1, 64},
		{"seresnet200d", Bottleneck, resnet200, 'd', 1, 64},
		{"seresnet269d", Bottleneck, resnet269, 'd', 1, 64},
		{"seresnext26d_32x4d", Bottleneck, resnet18, 'd', 32, 4},
		{"seresnext26t_32x4d", Bottleneck, resnet18, 't', 32, 4},
		{"seresnext50_32x4d", Bottleneck, resnet50, '-', 32, 4},
		{"seresnext101_32x4d", Bottleneck, resnet101, '-', 32, 4},
		{"seresnext101_32x8d", Bottleneck, resnet101, '-', 32, 8},
		{"seresnext101d_32x8d", Bottleneck, resnet101, 'd', 32, 8},
		{"seresnext101_64x4d", Bottleneck, resnet101, '-', 64, 4},
	}, func(c *Config) { c.Squeeze = 16 })
}

// efficient are the members with efficient channel attention.
func efficient() []Config {
	ms := configs([]row{
		{"ecaresnet26t", Bottleneck, resnet18, 't', 1, 64},
		{"ecaresnet50d", Bottleneck, resnet50, 'd', 1, 64},
		{"ecaresnet50t", Bottleneck, resnet50, 't', 1, 64},
		{"ecaresnet101d", Bottleneck, resnet101, 'd', 1, 64},
		{"ecaresnet200d", Bottleneck, resnet200, 'd', 1, 64},
		{"ecaresnet269d", Bottleneck, resnet269, 'd', 1, 64},
		{"ecaresnext26t_32x4d", Bottleneck, resnet18, 't', 32, 4},
		{"ecaresnext50t_32x4d", Bottleneck, resnet50, 't', 32, 4},
		{"ecaresnetlight", Bottleneck, [MaxStages]int{1, 1, 11, 3}, '-', 1, 64},
	}, func(c *Config) { c.EfficientAttention = true })
	ms[len(ms)-1].Shortcut = PoolProjection
	return ms
}

// antiAliased are the members with average pools or blurs in place of strides.
func antiAliased() []Config {
	plain := configs([]row{
		{"resnetaa34d", Basic, resnet34, 'd', 1, 64},
		{"resnetaa50", Bottleneck, resnet50, '-', 1, 64},
		{"resnetaa50d", Bottleneck, resnet50, 'd', 1, 64},
		{"resnetaa101d", Bottleneck, resnet101, 'd', 1, 64},
	}, func(c *Config) { c.AntiAlias = AverageAntiAlias })
	squeezed := configs([]row{
		{"seresnetaa50d", Bottleneck, resnet50, 'd', 1, 64},
		{"seresnextaa101d_32x8d", Bottleneck, resnet101, 'd', 32, 8},
		{"seresnextaa201d_32x8d", Bottleneck, [MaxStages]int{3, 24, 36, 4}, 'e', 32, 8},
	}, func(c *Config) { c.AntiAlias, c.Squeeze = AverageAntiAlias, 16 })
	blurred := configs([]row{
		{"resnetblur18", Basic, resnet18, '-', 1, 64},
		{"resnetblur50", Bottleneck, resnet50, '-', 1, 64},
		{"resnetblur50d", Bottleneck, resnet50, 'd', 1, 64},
		{"resnetblur101d", Bottleneck, resnet101, 'd', 1, 64},
	}, func(c *Config) { c.AntiAlias = BlurAntiAlias })
	return append(append(plain, squeezed...), blurred...)
}

// revisited are ResNet-RS (Bello et al. 2021, "Revisiting ResNets: Improved training and scaling strategies").
func revisited() []Config {
	return configs([]row{
		{"resnetrs50", Bottleneck, resnet50, 'd', 1, 64},
		{"resnetrs101", Bottleneck, resnet101, 'd', 1, 64},
		{"resnetrs152", Bottleneck, resnet152, 'd', 1, 64},
		{"resnetrs200", Bottleneck, resnet200, 'd', 1, 64},
		{"resnetrs270", Bottleneck, [MaxStages]int{4, 29, 53, 4}, 'd', 1, 64},
		{"resnetrs350", Bottleneck, [MaxStages]int{4, 36, 72, 4}, 'd', 1, 64},
		{"resnetrs420", Bottleneck, [MaxStages]int{4, 44, 87, 4}, 'd', 1, 64},
	}, func(c *Config) { c.Squeeze, c.StemPool = 4, ConvStemPool })
}
