package resnet

import (
	"fmt"
	"strings"
)

// variant changes the stem and the shortcuts of a network as the letter says. C and d are of He et al. 2019 ("Bag of tricks
// for image classification with convolutional neural networks", section 4), s is GluonCV's, t is timm's.
func variant(c Config, letter rune) Config {
	switch letter {
	case 'c':
		c.Stem, c.StemInner = DeepStem, [2]int{32, 32}
	case 'd':
		c.Stem, c.StemInner, c.Shortcut = DeepStem, [2]int{32, 32}, PoolProjection
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
		{18, Basic, [MaxStages]int{2, 2, 2, 2}, "d"},
		{26, Bottleneck, [MaxStages]int{2, 2, 2, 2}, "-dt"},
		{34, Basic, [MaxStages]int{3, 4, 6, 3}, "d"},
		{50, Bottleneck, [MaxStages]int{3, 4, 6, 3}, "cdst"},
		{101, Bottleneck, [MaxStages]int{3, 4, 23, 3}, "cds"},
		{152, Bottleneck, [MaxStages]int{3, 8, 36, 3}, "cds"},
		{200, Bottleneck, [MaxStages]int{3, 24, 36, 3}, "d"},
	} {
		for _, v := range l.variants {
			c := variant(imageNet(l.block, l.depths), v)
			c.Name = strings.TrimSuffix(fmt.Sprintf("resnet%d%c", l.layers, v), "-")
			ms = append(ms, c)
		}
	}
	x := variant(imageNet(Bottleneck, [MaxStages]int{3, 4, 6, 3}), 'd')
	x.Name, x.Groups, x.WidthPerGroup = "resnext50d_32x4d", 32, 4
	return append(ms, x)
}

// squeezed are the members of timm with squeeze-and-excitation modules.
func squeezed() []Config {
	var ms []Config
	for _, l := range []struct {
		name                  string
		block                 Block
		depths                [MaxStages]int
		variant               rune
		groups, widthPerGroup int
	}{
		{"seresnet18", Basic, [MaxStages]int{2, 2, 2, 2}, '-', 1, 64},
		{"seresnet34", Basic, [MaxStages]int{3, 4, 6, 3}, '-', 1, 64},
		{"seresnet50", Bottleneck, [MaxStages]int{3, 4, 6, 3}, '-', 1, 64},
		{"seresnet50t", Bottleneck, [MaxStages]int{3, 4, 6, 3}, 't', 1, 64},
		{"seresnet101", Bottleneck, [MaxStages]int{3, 4, 23, 3}, '-', 1, 64},
		{"seresnet152", Bottleneck, [MaxStages]int{3, 8, 36, 3}, '-', 1, 64},
		{"seresnet152d", Bottleneck, [MaxStages]int{3, 8, 36, 3}, 'd', 1, 64},
		{"seresnext26d_32x4d", Bottleneck, [MaxStages]int{2, 2, 2, 2}, 'd', 32, 4},
		{"seresnext26t_32x4d", Bottleneck, [MaxStages]int{2, 2, 2, 2}, 't', 32, 4},
		{"seresnext50_32x4d", Bottleneck, [MaxStages]int{3, 4, 6, 3}, '-', 32, 4},
		{"seresnext101_32x4d", Bottleneck, [MaxStages]int{3, 4, 23, 3}, '-', 32, 4},
		{"seresnext101_32x8d", Bottleneck, [MaxStages]int{3, 4, 23, 3}, '-', 32, 8},
		{"seresnext101_64x4d", Bottleneck, [MaxStages]int{3, 4, 23, 3}, '-', 64, 4},
	} {
		c := variant(imageNet(l.block, l.depths), l.variant)
		c.Name, c.Squeeze, c.Groups, c.WidthPerGroup = l.name, 16, l.groups, l.widthPerGroup
		ms = append(ms, c)
	}
	return ms
}
