package resnet

import (
	"fmt"
	"sort"
	"strings"
)

// members lists the family, sorted by name.
var members = func() []Config {
	var ms []Config
	add := func(name string, c Config) {
		c.Name = name
		ms = append(ms, c)
	}
	for _, l := range []struct {
		layers int
		block  Block
		depths [MaxStages]int
	}{
		{18, Basic, [MaxStages]int{2, 2, 2, 2}},
		{34, Basic, [MaxStages]int{3, 4, 6, 3}},
		{50, Bottleneck, [MaxStages]int{3, 4, 6, 3}},
		{101, Bottleneck, [MaxStages]int{3, 4, 23, 3}},
		{152, Bottleneck, [MaxStages]int{3, 8, 36, 3}},
	} {
		c := imageNet(l.block, l.depths)
		add(fmt.Sprintf("resnet%d", l.layers), c)
		if l.block == Bottleneck {
			c.StrideOn1x1 = true
			add(fmt.Sprintf("resnet%d-v1", l.layers), c)
		}
		add(fmt.Sprintf("resnet%d-cifar", l.layers), cifarOf(imageNet(l.block, l.depths)))
	}
	for _, x := range []struct {
		name                          string
		stage3, groups, widthPerGroup int
	}{
		{"resnext50_32x4d", 6, 32, 4},
		{"resnext101_32x4d", 23, 32, 4},
		{"resnext101_32x8d", 23, 32, 8},
		{"resnext101_32x16d", 23, 32, 16},
		{"resnext101_32x32d", 23, 32, 32},
		{"resnext101_64x4d", 23, 64, 4},
		{"wide_resnet50_2", 6, 1, 128},
		{"wide_resnet101_2", 23, 1, 128},
	} {
		c := imageNet(Bottleneck, [MaxStages]int{3, 4, x.stage3, 3})
		c.Groups, c.WidthPerGroup = x.groups, x.widthPerGroup
		add(x.name, c)
	}
	ms = append(ms, lettered()...)
	for _, more := range [][]Config{squeezed(), efficient(), antiAliased(), revisited(), splitAttention(), selective(), multiScale(), preActivated(), transferred()} {
		ms = append(ms, more...)
	}
	groupNormed := imageNet(Bottleneck, resnet50)
	groupNormed.NormGroups = 32
	add("resnet50_gn", groupNormed)
	for _, n := range []int{3, 5, 7, 9, 18, 200} {
		add(fmt.Sprintf("resnet%d-cifar", 6*n+2), sixN(n, ZeroPad))
		add(fmt.Sprintf("resnet%d-cifar-b", 6*n+2), sixN(n, Projection))
	}
	sort.Slice(ms, func(i, j int) bool { return ms[i].Name < ms[j].Name })
	return ms
}()

func imageNet(b Block, depths [MaxStages]int) Config {
	return Config{
		Block: b, Depths: depths, Widths: [MaxStages]int{64, 128, 256, 512}, StemWidth: 64,
		Stem: ImageNetStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64,
		InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5,
	}
}

// cifarOf makes the network for 32×32 pictures that is otherwise like c: 3×3 stem, 4×4 average pool, 10 classes.
func cifarOf(c Config) Config {
	c.Stem, c.PoolKernel, c.Classes, c.InputSize = CIFARStem, 4, 10, 32
	return c
}

// sixN is the network of 6n+2 layers of He et al. 2016, section 4.2.
func sixN(n int, s Shortcut) Config {
	return Config{
		Block: Basic, Depths: [MaxStages]int{n, n, n}, Widths: [MaxStages]int{16, 32, 64}, StemWidth: 16,
		Stem: CIFARStem, Shortcut: s, Groups: 1, WidthPerGroup: 64,
		InChannels: 3, Classes: 10, InputSize: 32, Epsilon: 1e-5,
	}
}

// Names returns the names of the members, sorted:
//
//   - resnet18 … resnet152, resnext…, wide_resnet…: as torchvision has them
//   - resnet26, and those with one of the letters c, d, s and t behind the number of layers: as timm has them, with a deep
//     stem, and d and t with average pools in their shortcuts
//   - seresnet…, seresnext…: with squeeze-and-excitation modules, as timm has them
//   - ecaresnet…, ecaresnext…: with efficient channel attention, as timm has them
//   - resnetaa…, seresnetaa…, seresnextaa… and resnetblur…: anti-aliased, as timm has them
//   - resnetrs50 … resnetrs420: ResNet-RS, as timm has them
//   - resnest…, skresnet…, skresnext…, res2net…, res2next…: with another core ([Config.Core]), as timm has them
//   - resnetv2_18 … resnetv2_152, with d, t and _gn: with pre-activation, as timm has them
//   - resnetv2_50x1_bit … resnetv2_152x4_bit: with group norms and standardised weights besides (Kolesnikov et al. 2019, "Big Transfer")
//   - resnet50_gn: with group norms
//   - resnet50-v1, resnet101-v1, resnet152-v1: with the stride on the first 1×1 convolution ([Config.StrideOn1x1])
//   - resnet20-cifar … resnet1202-cifar: the 6n+2 networks with option A shortcuts, and …-cifar-b with option B
//   - resnet18-cifar … resnet152-cifar: the ImageNet networks with the stem and the pool for 32×32 pictures
func Names() []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Name
	}
	return names
}

// Lookup returns the member with the given name.
//
// Errors: there is none; the error lists the names that are spelled most like it.
func Lookup(name string) (Config, error) {
	i := sort.Search(len(members), func(i int) bool { return members[i].Name >= name })
	if i < len(members) && members[i].Name == name {
		return members[i], nil
	}
	return Config{}, fmt.Errorf("look up network %.60q: no such member, nearest are %s", name, strings.Join(nearestNames(name, 3), ", "))
}

// nearestNames returns the n names of members with the least edit distance to name, nearest first.
func nearestNames(name string, n int) []string {
	const enough = 64 // bytes of the name that are looked at: the longest name of a member has fewer
	name = strings.ToLower(name[:min(len(name), enough)])
	names := Names()
	dist := make(map[string]int, len(names))
	for _, m := range names {
		dist[m] = editDistance(name, m)
	}
	sort.SliceStable(names, func(i, j int) bool { return dist[names[i]] < dist[names[j]] })
	return names[:n]
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
