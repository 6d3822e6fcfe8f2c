package resnet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/graph"
)

func mustLookup(t testing.TB, name string) Config {
	t.Helper()
	c, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustParameters(t testing.TB, c Config) map[string]graph.Shape {
	t.Helper()
	p, err := parameters(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// optionsFor says what shapes cannot tell about c.
func optionsFor(c Config) DetectOptions {
	opts := DetectOptions{StrideOn1x1: c.StrideOn1x1}
	if c.AntiAlias != NoAntiAlias || c.NormGroups > 0 && !c.PreActivation {
		opts.Member = c.Name
	}
	return opts
}

func TestDetectFindsEveryMember(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			c := mustLookup(t, name)
			got, err := Detect(mustParameters(t, c), optionsFor(c))
			if err != nil {
				t.Fatal(err)
			}
			if got != c {
				t.Errorf("got\n%+v\nwant\n%+v", got, c)
			}
			c.InChannels, c.Classes = 1, 7
			got, err = Detect(mustParameters(t, c), optionsFor(c))
			if err != nil {
				t.Fatal(err)
			}
			if got != c {
				t.Errorf("with 1 input channel and 7 classes: got\n%+v\nwant\n%+v", got, c)
			}
		})
	}
}

func TestDetectFindsNetworksThatAreNoMembers(t *testing.T) {
	for _, c := range []Config{
		{Name: "resnet-basic-3.4.5.3", Block: Basic, Depths: [4]int{3, 4, 5, 3}, Widths: [4]int{64, 128, 256, 512}, StemWidth: 64,
			Stem: ImageNetStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-bottleneck-1.2.1-w24.40.80-stem20-3x16d-cifar", Block: Bottleneck, Depths: [4]int{1, 2, 1}, Widths: [4]int{24, 40, 80},
			StemWidth: 20, Stem: CIFARStem, Shortcut: Projection, Groups: 3, WidthPerGroup: 16, InChannels: 4, Classes: 2, InputSize: 32, Epsilon: 1e-5},
		{Name: "resnet-basic-1.1.1.1-cifar-pool4-a", Block: Basic, Depths: [4]int{1, 1, 1, 1}, Widths: [4]int{64, 128, 256, 512},
			StemWidth: 64, Stem: CIFARStem, Shortcut: ZeroPad, Groups: 1, WidthPerGroup: 64, PoolKernel: 4, InChannels: 3, Classes: 10, InputSize: 32, Epsilon: 1e-5},
		{Name: "resnet-basic-1.2-w8.12-stem6-deep3.5-pooled", Block: Basic, Depths: [4]int{1, 2}, Widths: [4]int{8, 12}, StemWidth: 6, StemInner: [2]int{3, 5},
			Stem: DeepStem, Shortcut: PoolProjection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-basic-1.1-se4", Block: Basic, Depths: [4]int{1, 1}, Widths: [4]int{64, 128}, StemWidth: 64, Squeeze: 4,
			Stem: ImageNetStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-bottleneck-1.2-w64.96-convpool-eca", Block: Bottleneck, Depths: [4]int{1, 2}, Widths: [4]int{64, 96}, StemWidth: 64, StemPool: ConvStemPool,
			EfficientAttention: true, Stem: ImageNetStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-bottleneck-1.1-w48.96-stem64-2x32d-split-attention3-poolfirst", Block: Bottleneck, Depths: [4]int{1, 1}, Widths: [4]int{48, 96}, StemWidth: 64,
			Core: Core{Kind: SplitAttentionCore, Branches: 3, PoolFirst: true}, Stem: ImageNetStem, Shortcut: Projection, Groups: 2, WidthPerGroup: 32, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-basic-2.1-selective-kernel2-share8x16", Block: Basic, Depths: [4]int{2, 1}, Widths: [4]int{64, 128}, StemWidth: 64,
			Core: Core{Kind: SelectiveKernelCore, Branches: 2, Squeeze: 8, SqueezeMultiple: 16}, Stem: ImageNetStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-bottleneck-2.1-8x8d-multi-scale3", Block: Bottleneck, Depths: [4]int{2, 1}, Widths: [4]int{64, 128}, StemWidth: 64,
			Core: Core{Kind: MultiScaleCore, Branches: 3}, Stem: ImageNetStem, Shortcut: Projection, Groups: 8, WidthPerGroup: 8, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-basic-2.1-cifar-preact", Block: Basic, Depths: [4]int{2, 1}, Widths: [4]int{64, 128}, StemWidth: 64, PreActivation: true,
			Stem: CIFARStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 10, InputSize: 32, Epsilon: 1e-5},
		{Name: "resnet-bottleneck-1.1-w32.64-zero-pad-maxpool-preact-gn32-std", Block: Bottleneck, Depths: [4]int{1, 1}, Widths: [4]int{32, 64}, StemWidth: 32, PreActivation: true,
			StemPool: ZeroPadStemPool, NormGroups: 32, Standardized: true, Stem: ImageNetStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 1000, InputSize: 224, Epsilon: 1e-5},
		{Name: "resnet-basic-2-w8-cifar", Block: Basic, Depths: [4]int{2}, Widths: [4]int{8}, StemWidth: 8,
			Stem: CIFARStem, Shortcut: Projection, Groups: 1, WidthPerGroup: 64, InChannels: 3, Classes: 10, InputSize: 32, Epsilon: 1e-5},
	} {
		t.Run(c.Name, func(t *testing.T) {
			got, err := Detect(mustParameters(t, c), DetectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got != c {
				t.Errorf("got\n%+v\nwant\n%+v", got, c)
			}
		})
	}
}

func TestDetectIgnoresNumBatchesTracked(t *testing.T) {
	c := mustLookup(t, "resnet18")
	p := mustParameters(t, c)
	p["bn1.num_batches_tracked"] = graph.NewShape()
	p["layer1.0.bn1.num_batches_tracked"] = graph.NewShape()
	if got, err := Detect(p, DetectOptions{}); err != nil || got != c {
		t.Errorf("got %+v, %v, want %+v", got, err, c)
	}
}

func TestDetectOptions(t *testing.T) {
	t.Run("stride on 1x1 is without effect on basic blocks", func(t *testing.T) {
		c := mustLookup(t, "resnet18")
		if got, err := Detect(mustParameters(t, c), DetectOptions{StrideOn1x1: true}); err != nil || got != c {
			t.Errorf("got %+v, %v, want %+v", got, err, c)
		}
	})
	t.Run("a forced projection misses the downsample tensors", func(t *testing.T) {
		_, err := Detect(mustParameters(t, mustLookup(t, "resnet20-cifar")), DetectOptions{Shortcut: Projection})
		var de *DetectError
		if !errors.As(err, &de) || de.Network != "resnet20-cifar-b" || !slices.Contains(de.Missing, "layer2.0.downsample.0.weight") || len(de.Missing) != 10 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a forced zero-pad has the downsample tensors left over", func(t *testing.T) {
		_, err := Detect(mustParameters(t, mustLookup(t, "resnet20-cifar-b")), DetectOptions{Shortcut: ZeroPad})
		var de *DetectError
		if !errors.As(err, &de) || de.Network != "resnet20-cifar" || !slices.Contains(de.Unexpected, "layer3.0.downsample.1.bias") || len(de.Unexpected) != 10 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the nearest member has the stride that was asked for", func(t *testing.T) {
		p := mustParameters(t, mustLookup(t, "resnet50"))
		delete(p, "bn1.bias")
		_, err := Detect(p, DetectOptions{StrideOn1x1: true})
		var de *DetectError
		if !errors.As(err, &de) || de.Network != "resnet50-v1" || de.Nearest != "resnet50-v1" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a member says what tensors do not", func(t *testing.T) {
		for member, of := range map[string]string{"resnetblur18": "resnet18", "resnetaa50": "resnet50", "resnet50-v1": "resnet50", "seresnextaa101d_32x8d": "seresnext101d_32x8d"} {
			got, err := Detect(mustParameters(t, mustLookup(t, of)), DetectOptions{Member: member})
			if err != nil || got != mustLookup(t, member) {
				t.Errorf("%s: got %+v, %v", member, got, err)
			}
		}
	})
	t.Run("tensors go before a member", func(t *testing.T) {
		for _, member := range []string{"resnest50d", "resnet20-cifar", "resnetrs50", "resnetv2_50x1_bit", "resnet50_gn"} {
			want := mustLookup(t, "seresnet18")
			if got, err := Detect(mustParameters(t, want), DetectOptions{Member: member}); err != nil || got != want {
				t.Errorf("%s: got %+v, %v", member, got, err)
			}
		}
	})
	t.Run("the average pool of split attention is where the member has it", func(t *testing.T) {
		want := mustLookup(t, "resnest50d_1s4x24d")
		want.Core.PoolFirst = false
		want.Name = want.CanonicalName()
		if got, err := Detect(mustParameters(t, want), DetectOptions{Member: "resnest50d"}); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("norms without statistics are not taken for group norms", func(t *testing.T) {
		_, err := Detect(mustParameters(t, mustLookup(t, "resnet50_gn")), DetectOptions{})
		var de *DetectError
		if !errors.As(err, &de) || de.Network != "resnet50" || de.Nearest != "resnet50" || len(de.Missing) != 106 || len(de.Unexpected) != 0 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a member that is none is refused", func(t *testing.T) {
		_, err := Detect(nil, DetectOptions{Member: "resnet51"})
		if err == nil || !strings.Contains(err.Error(), `detect network: option member: look up network "resnet51": no such member`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an invalid shortcut is refused", func(t *testing.T) {
		_, err := Detect(nil, DetectOptions{Shortcut: 9})
		if err == nil || !strings.Contains(err.Error(), "option shortcut: want projection, zero-pad or pool-projection, got shortcut(9)") {
			t.Errorf("got %v", err)
		}
	})
}

// TestDetectNamesWhatDoesNotFit drops, renames and reshapes each tensor of a few members in turn.
func TestDetectNamesWhatDoesNotFit(t *testing.T) {
	for i, member := range []string{"resnet18", "resnext50_32x4d", "resnet20-cifar", "resnet20-cifar-b", "ecaresnet26t", "resnetrs50",
		"resnest26d", "resnest50d_1s4x24d", "skresnet18", "skresnet50", "skresnext50_32x4d", "res2net50_26w_4s", "res2next50", "resnetv2_18", "resnetv2_50d", "resnetv2_50x1_bit"} {
		original := mustParameters(t, mustLookup(t, member))
		for name, shape := range original {
			if stage, block, _, ok := blockTensor(name); ok && stage > 0 && (block > 0 || stage > 1 && i > 3) {
				continue // the later blocks are all alike
			}
			check := func(what string, p map[string]graph.Shape, in func(*DetectError) bool) {
				t.Helper()
				_, err := Detect(p, DetectOptions{})
				var de *DetectError
				if !errors.As(err, &de) {
					t.Errorf("%s: %s %s: got error %v, want a *DetectError", member, what, name, err)
					return
				}
				if !in(de) || de.Nearest != member || de.Network != member || !strings.Contains(err.Error(), name) {
					t.Errorf("%s: %s %s: the error does not say so: %v (nearest %q)", member, what, name, err, de.Nearest)
				}
			}
			p := maps.Clone(original)
			delete(p, name)
			if name != "conv1.weight" || member == "resnet18" || member == "resnet20-cifar" {
				check("drop", p, func(e *DetectError) bool {
					return slices.Equal(e.Missing, []string{name}) && len(e.Unexpected)+len(e.Mismatched) == 0
				})
			}
			p["x."+name] = shape
			check("rename", p, func(e *DetectError) bool {
				return slices.Equal(e.Missing, []string{name}) && slices.Equal(e.Unexpected, []string{"x." + name}) && len(e.Mismatched) == 0
			})
			for i := range shape.Rank() {
				if (name == "conv1.weight" || name == "conv1.0.weight") && i == 1 || strings.HasPrefix(name, "fc.") && i == 0 {
					continue // other numbers of input channels and classes are fine; the latter are tested below
				}
				p := maps.Clone(original)
				p[name] = shape.WithDim(i, shape.Dim(i)+4)
				check(fmt.Sprintf("reshape dimension %d of", i), p, func(e *DetectError) bool {
					return len(e.Missing)+len(e.Unexpected) == 0 && slices.Equal(e.Mismatched, []Mismatch{{name, shape, p[name]}})
				})
			}
		}
	}
}

func TestDetectErrors(t *testing.T) {
	resnet18 := mustParameters(t, mustLookup(t, "resnet18"))
	change := func(f func(map[string]graph.Shape)) map[string]graph.Shape {
		p := maps.Clone(resnet18)
		f(p)
		return p
	}
	custom := mustLookup(t, "resnet34")
	custom.Depths[2] = 5
	customParams := mustParameters(t, custom)
	delete(customParams, "layer3.4.bn2.bias")
	lacking := func(c Config, prefix string) map[string]graph.Shape {
		p := mustParameters(t, c)
		maps.DeleteFunc(p, func(n string, _ graph.Shape) bool { return strings.HasPrefix(n, prefix) })
		return p
	}
	custom50 := mustLookup(t, "resnet50")
	custom50.Depths[3] = 5
	for _, c := range []struct {
		name   string
		shapes map[string]graph.Shape
		want   string
	}{
		{"a network that is no member lacks a block", lacking(custom, "layer3.2."),
			"detect network: the tensors do not fit resnet-basic-3.4.5.3 (nearest member: resnet34); 10 missing: layer3.2.bn1.bias, "},
		{"a network that is no member lacks one of its third convolutions", lacking(custom50, "layer4.4.conv3."),
			"detect network: the tensors do not fit resnet-bottleneck-3.4.6.5 (nearest member: resnet50); 1 missing: layer4.4.conv3.weight"},
		{"members that differ in the stem alone", lacking(mustLookup(t, "resnet50-cifar"), "layer1.0.bn1.bias"),
			"detect network: the tensors do not fit resnet50-cifar; 1 missing: layer1.0.bn1.bias"},
		{"other numbers of channels and classes are no damage", func() map[string]graph.Shape {
			c := mustLookup(t, "resnet18")
			c.InChannels, c.Classes = 1, 7
			return lacking(c, "layer1.1.conv2.")
		}(), "detect network: the tensors do not fit resnet18; 1 missing: layer1.1.conv2.weight"},
		{"nothing", nil, "detect network: want the tensors of a ResNet, got none"},
		{"another family", map[string]graph.Shape{"features.0.weight": graph.NewShape(64, 3, 3, 3), "features.0.bias": graph.NewShape(64)},
			"detect network: none of the 2 tensors belongs to a ResNet; 2 left over: features.0.bias, features.0.weight"},
		{"weights and bias of fc disagree", change(func(p map[string]graph.Shape) { p["fc.bias"] = graph.NewShape(999) }),
			"detect network: the tensors do not fit resnet18; 1 of another shape: fc.weight (want [999,512], got [1000,512])"},
		{"a network that is no member", customParams,
			"detect network: the tensors do not fit resnet-basic-3.4.5.3 (nearest member: resnet34); 1 missing: layer3.4.bn2.bias"},
		{"a deep stem", change(func(p map[string]graph.Shape) {
			delete(p, "conv1.weight")
			p["conv1.0.weight"] = graph.NewShape(32, 3, 3, 3)
		}), "detect network: the tensors do not fit resnet18; 1 missing: conv1.weight; 1 left over: conv1.0.weight"},
		{"squeeze and excitation", change(func(p map[string]graph.Shape) {
			for i := range 9 {
				p[fmt.Sprintf("layer1.0.se.%d", i)] = graph.NewShape(4)
			}
		}), "detect network: the tensors do not fit resnet18; 9 left over: layer1.0.se.0, layer1.0.se.1, layer1.0.se.2, layer1.0.se.3, layer1.0.se.4, layer1.0.se.5, layer1.0.se.6, layer1.0.se.7, …"},
		{"an absurd block index", change(func(p map[string]graph.Shape) { p["layer4.999999999.conv1.weight"] = graph.NewShape(512, 512, 3, 3) }),
			"detect network: the tensors do not fit resnet18; 1 left over: layer4.999999999.conv1.weight"},
		{"a high block index", change(func(p map[string]graph.Shape) { p["layer4.9999.conv1.weight"] = graph.NewShape(512, 512, 3, 3) }),
			"detect network: the tensors do not fit resnet18; 1 left over: layer4.9999.conv1.weight"},
		{"odd names", change(func(p map[string]graph.Shape) {
			p["layer4.-1.conv1.weight"] = graph.NewShape(1)
			p["layer0.0.conv1.weight"] = graph.NewShape(1)
			p["layer4.01.conv1.weight"] = graph.NewShape(1)
			p["a\x1b[2Jb"] = graph.NewShape(1)
			p[""] = graph.NewShape(1)
		}), `detect network: the tensors do not fit resnet18; 5 left over: "", "a\x1b[2Jb", layer0.0.conv1.weight, layer4.-1.conv1.weight, layer4.01.conv1.weight`},
		{"empty dimensions", change(func(p map[string]graph.Shape) { p["layer1.0.conv1.weight"] = graph.NewShape(0, 0, 0, 0) }),
			"detect network: the tensors do not fit resnet18; 1 of another shape: layer1.0.conv1.weight (want [64,64,3,3], got [0,0,0,0])"},
		{"a scalar", change(func(p map[string]graph.Shape) { p["fc.weight"] = graph.NewShape() }),
			"detect network: the tensors do not fit resnet18; 1 of another shape: fc.weight (want [1000,512], got [])"},
		{"a whole block is missing", change(func(p map[string]graph.Shape) {
			maps.DeleteFunc(p, func(n string, _ graph.Shape) bool { return strings.HasPrefix(n, "layer2.0.") })
		}), "detect network: the tensors do not fit resnet18; 15 missing: layer2.0.bn1.bias, layer2.0.bn1.running_mean, layer2.0.bn1.running_var, layer2.0.bn1.weight, layer2.0.bn2.bias, layer2.0.bn2.running_mean, layer2.0.bn2.running_var, layer2.0.bn2.weight, …"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Detect(c.shapes, DetectOptions{})
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			if got := err.Error(); got != c.want && (!strings.HasSuffix(c.want, ", ") || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
}

func TestDepthOfAStage(t *testing.T) {
	for _, c := range []struct {
		blocks []int
		want   int
	}{
		{nil, 0}, {[]int{0}, 1}, {[]int{0, 1, 2}, 3}, {[]int{0, 2, 3}, 4}, {[]int{1}, 2}, {[]int{0, 1, 2, 9999}, 3},
		{[]int{5}, 0}, {[]int{0, 5, 100, 101, 102}, 1}, {[]int{0, 1, 5}, 6}, {[]int{0, 1, 6}, 2},
	} {
		s := stageEvidence{blocks: map[int]bool{}}
		for _, b := range c.blocks {
			s.blocks[b] = true
		}
		if got := s.depth(); got != c.want {
			t.Errorf("blocks %v: got depth %d, want %d", c.blocks, got, c.want)
		}
	}
}

// TestDetectIsBoundedByItsInput gives tensors that pretend to belong to as large a network as the names can express.
func TestDetectIsBoundedByItsInput(t *testing.T) {
	p := map[string]graph.Shape{}
	for s := 1; s <= 4; s++ {
		for i := range 1000 {
			p[fmt.Sprintf("layer%d.%d.conv1.weight", s, i*16)] = graph.NewShape(maxChannels, maxChannels, 3, 3)
			p[fmt.Sprintf("layer%d.%d.conv2.weight", s, i*16)] = graph.NewShape(maxChannels, maxChannels, 3, 3)
			p[fmt.Sprintf("layer%d.%d.conv3.weight", s, i)] = graph.NewShape(maxChannels, maxChannels, 3, 3)
			p[fmt.Sprintf("junk%d.%d", s, i)] = graph.NewShape(1 << 58)
		}
	}
	pretending(t, p)
	// As many branches as there are channels.
	p = map[string]graph.Shape{}
	for s := 1; s <= 4; s++ {
		for i := range 100 {
			p[fmt.Sprintf("layer%d.%d.conv1.weight", s, i)] = graph.NewShape(maxChannels, 4, 1, 1)
			p[fmt.Sprintf("layer%d.%d.convs.0.weight", s, i)] = graph.NewShape(1, 1, 3, 3)
			p[fmt.Sprintf("layer%d.%d.conv3.weight", s, i)] = graph.NewShape(4, maxChannels, 1, 1)
		}
	}
	pretending(t, p)
}

func pretending(t *testing.T, p map[string]graph.Shape) {
	t.Helper()
	start := time.Now()
	_, err := Detect(p, DetectOptions{})
	var de *DetectError
	if !errors.As(err, &de) {
		t.Fatalf("got %v, want a *DetectError", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if n := len(err.Error()); n > 4000 {
		t.Errorf("got a message of %d bytes", n)
	}
}

// FuzzDetect reads lines of a name and a shape.
func FuzzDetect(f *testing.F) {
	text := func(member string) string {
		p := mustParameters(f, mustLookup(f, member))
		var b strings.Builder
		for _, n := range sortedNames(p) {
			fmt.Fprintf(&b, "%s %v\n", n, p[n])
		}
		return b.String()
	}
	for _, m := range []string{"resnet18", "resnet20-cifar", "resnet20-cifar-b", "resnext50_32x4d", "ecaresnet26t", "resnest14d", "skresnet18", "res2net50_48w_2s", "resnetv2_18d"} {
		f.Add(text(m), uint8(0), false)
	}
	f.Add("layer4.999999999.conv1.weight [1,1,1,1]\nconv1.weight [0,0,0,0]\nfc.weight []", uint8(2), true)
	f.Add("layer1.0.conv1.weight [1,1,3,3]\nlayer1.0.conv2.weight [1,1,3,3]", uint8(1), false)
	f.Fuzz(func(t *testing.T, text string, shortcut uint8, v1 bool) {
		p := map[string]graph.Shape{}
		for line := range strings.Lines(text) {
			name, shape, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if s, err := graph.ParseShape(shape); err == nil {
				p[name] = s
			}
		}
		c, err := Detect(p, DetectOptions{Shortcut: Shortcut(shortcut % 3), StrideOn1x1: v1})
		if err == nil {
			want := mustParameters(t, c)
			maps.DeleteFunc(p, func(n string, _ graph.Shape) bool { return strings.HasSuffix(n, "num_batches_tracked") })
			if !maps.Equal(p, want) {
				t.Errorf("detected %+v, whose parameters are others", c)
			}
			return
		}
		var de *DetectError
		if !errors.As(err, &de) {
			t.Fatalf("got %v, want a *DetectError", err)
		}
		if len(p) > 0 && len(de.Missing)+len(de.Unexpected)+len(de.Mismatched) == 0 {
			t.Errorf("the error names no tensor: %v", err)
		}
		if n := len(err.Error()); n > 10_000 {
			t.Errorf("got a message of %d bytes", n)
		}
	})
}
