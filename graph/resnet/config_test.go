package resnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/graph"
)

// TestMembersHaveTheLayersOfTheirNames counts convolutions off the shortcuts plus the linear layer, in the graphs. What stands in the place
// of a convolution counts as one.
func TestMembersHaveTheLayersOfTheirNames(t *testing.T) {
	digits, kind := regexp.MustCompile(`\d+`), strings.NewReplacer("res2ne", "", "v2_", "")
	misnamed := map[string]int{"ecaresnetlight": 50, "seresnextaa201d_32x8d": 203, "resnetrs270": 272, "resnetrs420": 419}
	within := regexp.MustCompile(`downsample|\.se\.|\.fc\d|\.attn\.|\.paths\.1|convs\.[1-9]|^conv1\.[03]$|^maxpool`)
	for _, name := range Names() {
		c := mustLookup(t, name)
		want, ok := misnamed[name]
		if !ok {
			var err error
			if want, err = strconv.Atoi(digits.FindString(kind.Replace(name))); err != nil {
				t.Fatal(err)
			}
		}
		g, err := c.Build(1, c.InputSize, c.InputSize)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, n := range g.Nodes {
			switch n.Op.(type) {
			case graph.Conv2D, graph.Linear:
				if !within.MatchString(n.Name) {
					got++
				}
			}
		}
		if got != want || c.Layers() != want {
			t.Errorf("%s: got %d layers in the graph and %d from Layers, want %d", name, got, c.Layers(), want)
		}
	}
}

func TestNames(t *testing.T) {
	names := Names()
	if !sort.StringsAreSorted(names) || len(names) != 137 {
		t.Errorf("got %d names, sorted %v, want 137 in order", len(names), sort.StringsAreSorted(names))
	}
	for _, n := range names {
		c := mustLookup(t, n)
		if c.Name != n || c.CanonicalName() != n {
			t.Errorf("%s: got name %q, canonical name %q", n, c.Name, c.CanonicalName())
		}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
	names[0] = "changed"
	if Names()[0] == "changed" {
		t.Error("Names returns a slice that callers share")
	}
}

func TestLookupOfAnUnknownName(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"resnet51", `look up network "resnet51": no such member, nearest are resnet50, resnet101, resnet152`},
		{"resnext50-32x4d", `look up network "resnext50-32x4d": no such member, nearest are resnext50_32x4d, `},
		{"ResNet50", `look up network "ResNet50": no such member, nearest are resnet50, `},
		{"RESNEXT101_64X4D", `nearest are resnext101_64x4d, resnext101_32x4d, seresnext101_64x4d`},
		{"", `look up network "": no such member, nearest are `},
		{strings.Repeat("x", 1<<20), `no such member, nearest are `},
	} {
		_, err := Lookup(c.name)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 300 {
			t.Errorf("Lookup(%.60q): got %.300v, want %s", c.name, err, c.want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"xab", "ab", 1}, {"ab", "xab", 1}, {"abxcd", "abcd", 1}, {"flaw", "lawn", 2}, {"resnet18", "resnet18", 0}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q): got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestValidateSaysWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		base   string
		change func(*Config)
		want   string
	}{
		{"resnet18", func(c *Config) { c.Block = 0 }, `validate config "resnet18": block: want basic or bottleneck, got block(0)`},
		{"resnet18", func(c *Config) { c.Stem = 9 }, "stem: want imagenet, cifar or deep, got stem(9)"},
		{"resnet18", func(c *Config) { c.Shortcut = 0 }, "shortcut: want projection, zero-pad or pool-projection, got shortcut(0)"},
		{"resnet18", func(c *Config) { c.StemInner[1] = 8 }, "stem inner: want two numbers of 1 to 262144 channels for a deep stem, and 0 for others, got [0 8] for imagenet"},
		{"resnet18d", func(c *Config) { c.StemInner[0] = 0 }, "for others, got [0 32] for deep"},
		{"seresnet18", func(c *Config) { c.Squeeze = -1 }, "squeeze: want 0 to 262144, got -1"},
		{"resnet18", func(c *Config) { c.StemPool = 3 }, "stem pool: want max, conv or zero-pad-max, got stem pool(3)"},
		{"resnet18", func(c *Config) { c.AntiAlias = 3 }, "anti-alias: want none, average or blur, got anti-alias(3)"},
		{"resnet18", func(c *Config) { c.Core.Kind = 4 }, "core: want plain, split-attention, selective-kernel or multi-scale, got core(4)"},
		{"resnet18", func(c *Config) { c.Core.Branches = 2 }, "branches: want 0 to 0 for a plain core, got 2"},
		{"resnest50d", func(c *Config) { c.Core.Branches = 0 }, "branches: want 1 to 64 for a split-attention core, got 0"},
		{"resnest50d", func(c *Config) { c.Core.Branches, c.Widths[2] = 64, 1<<13 }, "branches: want at most 262144 channels inside the blocks of stage 3, got 64 branches of 8192"},
		{"resnest50d", func(c *Config) { c.Block, c.Shortcut = Basic, Projection }, "core: want plain or selective-kernel for basic blocks, got split-attention"},
		{"skresnet18", func(c *Config) { c.Core.Branches = 3 }, "branches: want 2 to 2 for a selective-kernel core, got 3"},
		{"skresnet18", func(c *Config) { c.Core.Squeeze = 0 }, "squeeze of the core: want 1 to 262144 for selective kernels, and 0 for others, got 0 for selective-kernel"},
		{"skresnet18", func(c *Config) { c.StemWidth = 63 }, "split input: want an even number of channels before the selective kernels of stage 1, got 63"},
		{"skresnet50", func(c *Config) { c.Widths[1], c.WidthPerGroup = 192, 1 }, "split input: want an even number of channels before the selective kernels of stage 1, got 1"},
		{"res2net50d", func(c *Config) { c.Core.SqueezeMultiple = 8 }, "squeeze multiple of the core: want 1 to 262144 for selective kernels, and 0 for others, got 8 for multi-scale"},
		{"res2net50d", func(c *Config) { c.Core.Branches = 1 }, "branches: want 2 to 64 for a multi-scale core, got 1"},
		{"res2net50d", func(c *Config) { c.Core.PoolFirst = true }, "pool first: want false for other cores than split attention, got true for multi-scale"},
		{"res2net50d", func(c *Config) { c.Core.SplitInput = true }, "split input: want false for other cores than selective kernels, got true for multi-scale"},
		{"res2net50d", func(c *Config) { c.AntiAlias = BlurAntiAlias }, "anti-alias: want none for other cores than plain, got blur"},
		{"res2net50d", func(c *Config) { c.StrideOn1x1 = true }, "stride on 1x1: want false for other cores than plain, got true"},
		{"res2net50d", func(c *Config) { c.PreActivation = true }, "pre-activation: want false for other cores than plain, got true"},
		{"resnetaa50", func(c *Config) { c.StrideOn1x1 = true }, "anti-alias: want none where a 1x1 convolution has the stride, got average"},
		{"resnetrs50", func(c *Config) { c.AntiAlias = BlurAntiAlias }, "anti-alias: want none for another stem pool than max, got blur"},
		{"resnet18-cifar", func(c *Config) { c.StemPool = ConvStemPool }, "stem pool: want max for a CIFAR stem, which has none, got conv"},
		{"seresnet18", func(c *Config) { c.EfficientAttention = true }, "efficient attention: want false beside squeeze-and-excitation modules, got true"},
		{"resnetv2_18", func(c *Config) { c.Squeeze = 16 }, "pre-activation: want false beside channel attention, got true"},
		{"resnetv2_18", func(c *Config) { c.AntiAlias = AverageAntiAlias }, "pre-activation: want false beside anti-aliasing, got true"},
		{"resnetv2_18", func(c *Config) { c.Shortcut = ZeroPad }, "pre-activation: want false for zero-pad shortcuts, got true"},
		{"resnet50_gn", func(c *Config) { c.NormGroups = -1 }, "norm groups: want 0 to 262144, got -1"},
		{"resnet18", func(c *Config) { c.Depths = [4]int{} }, "depths: want at least one stage of at least one block, got [0 0 0 0]"},
		{"resnet18", func(c *Config) { c.Depths[0] = -1 }, "depths: want at least one stage"},
		{"resnet18", func(c *Config) { c.Depths[1] = 0 }, "stage 2: want depth and width 0 after the last stage, got 0 and 128"},
		{"resnet18", func(c *Config) { c.Depths[3] = -2 }, "stage 4: want depth and width 0 after the last stage, got -2 and 512"},
		{"resnet20-cifar", func(c *Config) { c.Widths[3] = 1 }, "stage 4: want depth and width 0 after the last stage, got 0 and 1"},
		{"resnet18", func(c *Config) { c.Depths[2] = 1 << 30 }, "stage 3: want a depth of 1 to 16384 and a width of 1 to 262144, got 1073741824 and 256"},
		{"resnet18", func(c *Config) { c.Widths[0] = 0 }, "stage 1: want a depth of 1 to 16384 and a width of 1 to 262144, got 2 and 0"},
		{"resnet18", func(c *Config) { c.StemWidth = 0 }, "stem width: want 1 to 262144, got 0"},
		{"resnet18", func(c *Config) { c.InChannels = 0 }, "input channels: want 1 to 262144, got 0"},
		{"resnet18", func(c *Config) { c.Classes = -1 }, "classes: want 1 to 262144, got -1"},
		{"resnet18", func(c *Config) { c.InputSize = 0 }, "input size: want 1 to 262144, got 0"},
		{"resnet18", func(c *Config) { c.PoolKernel = -1 }, "pool kernel: want 0 to 262144, got -1"},
		{"resnet18", func(c *Config) { c.Epsilon = 0 }, "epsilon: want a finite number above 0, got 0"},
		{"resnet18", func(c *Config) { c.Epsilon = math.NaN() }, "epsilon: want a finite number above 0, got NaN"},
		{"resnet18", func(c *Config) { c.Epsilon = math.Inf(1) }, "epsilon: want a finite number above 0, got +Inf"},
		{"resnet18", func(c *Config) { c.StrideOn1x1 = true }, "stride on 1x1: want false for basic blocks, which have no 1x1 convolution, got true"},
		{"resnet18", func(c *Config) { c.Groups = 2 }, "groups: want 1 group of width 64 for basic blocks, got 2 of 64"},
		{"resnet18", func(c *Config) { c.WidthPerGroup = 128 }, "groups: want 1 group of width 64 for basic blocks, got 1 of 128"},
		{"resnet50", func(c *Config) { c.Groups = 0 }, "groups: want 1 to 262144 groups of width 1 to 262144, got 0 of 64"},
		{"resnet50", func(c *Config) { c.WidthPerGroup = 0 }, "groups: want 1 to 262144 groups of width 1 to 262144, got 1 of 0"},
		{"resnet50", func(c *Config) { c.Widths[1], c.WidthPerGroup = 100, 4 }, "width per group: want width·4/64 to be a whole number in stage 2, got width 100"},
		{"resnet50", func(c *Config) { c.Groups, c.WidthPerGroup = 1<<18, 1<<18 }, "groups: want at most 262144 channels inside the blocks of stage 1, got 262144 groups of 262144"},
		{"resnet20-cifar", func(c *Config) { c.Widths[2] = 31 }, "shortcut: want at least as many channels out as in for zero-pad in stage 3, got 32 in and 31 out"},
		{"resnet20-cifar", func(c *Config) { c.StemWidth = 17 }, "shortcut: want at least as many channels out as in for zero-pad in stage 1, got 17 in and 16 out"},
	} {
		cfg := mustLookup(t, c.base)
		c.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if _, buildErr := cfg.Build(1, 32, 32); err != nil && (buildErr == nil || buildErr.Error() != err.Error()) {
			t.Errorf("Build: got %v, want %v", buildErr, err)
		}
	}
}

func TestBuildNamesTheNodeForWhichThePictureDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		member   string
		n, h, w  int
		node     string
		want     string
		isShaped bool
	}{
		{"resnet18-cifar", 1, 24, 32, "avgpool", `node "avgpool" (avg_pool): kernel: want at most the padded input 3x4, got 4x4`, true},
		{"resnet18-cifar", 1, 32, 64, "avgpool", `build resnet18-cifar: node "avgpool" (avg_pool): input 0: want 4 to 7 rows and columns, got [1,512,4,8]`, true},
		{"resnet50-cifar", 1, 57, 32, "avgpool", `input 0: want 4 to 7 rows and columns, got [1,2048,8,4]`, true},
		{"resnet18", 1, 0, 224, "conv1", `node "conv1" (conv2d): input 0: want at least 1 channel, row and column, got [1,3,0,224]`, true},
		{"resnetblur18", 1, 9, 64, "layer4.0.aa.pad", `node "layer4.0.aa.pad" (spatial_pad): padding: want less than the picture 1x4`, true},
		{"resnet18", -1, 224, 224, "", "build resnet18: input: make shape [-1 3 224 224]: dimension 0 is negative", false},
		{"resnet18", 1, 1 << 40, 1 << 40, "", "want at most 576460752303423487 elements, got more", false},
		{"resnet18", 1, 1 << 28, 1 << 29, "conv1", `node "conv1" (conv2d): result: want`, true},
	} {
		_, err := mustLookup(t, c.member).Build(c.n, c.h, c.w)
		var se *graph.ShapeError
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &se) != c.isShaped || c.isShaped && se.Node != c.node {
			t.Errorf("%s at %dx%d: got %v, want %s", c.member, c.h, c.w, err, c.want)
		}
	}
	// The smallest and largest pictures, the empty batch.
	for _, c := range []struct {
		member  string
		n, h, w int
	}{{"resnet152", 1, 1, 1}, {"resnet20-cifar", 0, 1, 2}, {"resnet18-cifar", 1, 25, 56}} {
		g, err := mustLookup(t, c.member).Build(c.n, c.h, c.w)
		if err != nil {
			t.Error(err)
		} else if got := g.Outputs[0].Type.Shape.Dim(0); got != c.n {
			t.Errorf("%s: got batch %d, want %d", c.member, got, c.n)
		}
	}
}

// TestStrideOn1x1MovesTheStride looks at the strides, which shapes of parameters do not show.
func TestStrideOn1x1MovesTheStride(t *testing.T) {
	for _, c := range []struct {
		member string
		on     string
	}{{"resnet50", "conv2"}, {"resnet50-v1", "conv1"}, {"resnext50_32x4d", "conv2"}, {"resnet50-cifar", "conv2"}} {
		cfg := mustLookup(t, c.member)
		g, err := cfg.Build(1, cfg.InputSize, cfg.InputSize)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range g.Nodes {
			conv, ok := n.Op.(graph.Conv2D)
			if !ok || n.Name == "conv1" {
				continue
			}
			want := [2]int{1, 1}
			first := strings.HasPrefix(n.Name[len("layer1"):], ".0.") && !strings.HasPrefix(n.Name, "layer1")
			if first && (strings.HasSuffix(n.Name, c.on) || strings.HasSuffix(n.Name, "downsample.0")) {
				want = [2]int{2, 2}
			}
			if conv.Stride != want {
				t.Errorf("%s: node %s: got stride %v, want %v", c.member, n.Name, conv.Stride, want)
			}
		}
	}
}

// TestOptionAShortcut shows one block by text; the two widths differ by an odd number.
func TestOptionAShortcut(t *testing.T) {
	c := mustLookup(t, "resnet20-cifar")
	c.Depths, c.Widths, c.StemWidth, c.Epsilon = [4]int{1, 1}, [4]int{4, 7}, 2, 0.001
	g, err := c.Build(3, 9, 6)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range g.Nodes {
		if strings.HasPrefix(n.Name, "layer") {
			got = append(got, n.String())
		}
	}
	want := `%layer1.0.conv1 = conv2d(%relu, @layer1.0.conv1.weight) padding=1,1,1,1 : float32[3,4,9,6]
%layer1.0.bn1 = batch_norm(%layer1.0.conv1, @layer1.0.bn1.weight, @layer1.0.bn1.bias, @layer1.0.bn1.running_mean, @layer1.0.bn1.running_var) epsilon=0.001 : float32[3,4,9,6]
%layer1.0.relu1 = relu(%layer1.0.bn1) : float32[3,4,9,6]
%layer1.0.conv2 = conv2d(%layer1.0.relu1, @layer1.0.conv2.weight) padding=1,1,1,1 : float32[3,4,9,6]
%layer1.0.bn2 = batch_norm(%layer1.0.conv2, @layer1.0.bn2.weight, @layer1.0.bn2.bias, @layer1.0.bn2.running_mean, @layer1.0.bn2.running_var) epsilon=0.001 : float32[3,4,9,6]
%layer1.0.shortcut.pad = channel_pad(%relu) before=1 after=1 : float32[3,4,9,6]
%layer1.0.add = add(%layer1.0.bn2, %layer1.0.shortcut.pad) : float32[3,4,9,6]
%layer1.0.relu2 = relu(%layer1.0.add) : float32[3,4,9,6]
%layer2.0.conv1 = conv2d(%layer1.0.relu2, @layer2.0.conv1.weight) stride=2,2 padding=1,1,1,1 : float32[3,7,5,3]
%layer2.0.bn1 = batch_norm(%layer2.0.conv1, @layer2.0.bn1.weight, @layer2.0.bn1.bias, @layer2.0.bn1.running_mean, @layer2.0.bn1.running_var) epsilon=0.001 : float32[3,7,5,3]
%layer2.0.relu1 = relu(%layer2.0.bn1) : float32[3,7,5,3]
%layer2.0.conv2 = conv2d(%layer2.0.relu1, @layer2.0.conv2.weight) padding=1,1,1,1 : float32[3,7,5,3]
%layer2.0.bn2 = batch_norm(%layer2.0.conv2, @layer2.0.bn2.weight, @layer2.0.bn2.bias, @layer2.0.bn2.running_mean, @layer2.0.bn2.running_var) epsilon=0.001 : float32[3,7,5,3]
%layer2.0.shortcut.subsample = subsample(%layer1.0.relu2) stride=2,2 : float32[3,4,5,3]
%layer2.0.shortcut.pad = channel_pad(%layer2.0.shortcut.subsample) before=1 after=2 : float32[3,7,5,3]
%layer2.0.add = add(%layer2.0.bn2, %layer2.0.shortcut.pad) : float32[3,7,5,3]
%layer2.0.relu2 = relu(%layer2.0.add) : float32[3,7,5,3]`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestConfigIsJSON(t *testing.T) {
	for _, name := range Names() {
		c := mustLookup(t, name)
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back Config
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if back != c {
			t.Errorf("got %+v, want %+v, by way of %s", back, c, data)
		}
	}
	if _, err := json.Marshal(Config{}); err == nil || !strings.Contains(err.Error(), "marshal block: invalid value 0") {
		t.Errorf("an invalid block: got %v", err)
	}
	var c Config
	if err := json.Unmarshal([]byte(`{"stem":"flat"}`), &c); err == nil || !strings.Contains(err.Error(), `parse stem: want imagenet, cifar or deep, got "flat"`) {
		t.Errorf("an unknown stem: got %v", err)
	}
	if err := json.Unmarshal([]byte(`{"anti_alias":""}`), &c); err == nil || !strings.Contains(err.Error(), `parse anti-alias: want none, average or blur, got ""`) {
		t.Errorf("an unknown way to anti-alias: got %v", err)
	}
	if got := fmt.Sprint(Bottleneck, CIFARStem, ZeroPad, Shortcut(7), MaxStemPool, NoAntiAlias, BlurAntiAlias, PlainCore, CoreKind(9)); got != "bottleneck cifar zero-pad shortcut(7) max none blur plain core(9)" {
		t.Errorf("got %s", got)
	}
}

func TestBuildOfTheLongestMemberIsFast(t *testing.T) {
	start := time.Now()
	if _, err := mustLookup(t, "resnet1202-cifar").Build(1, 32, 32); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second { // about 10 ms; the rest is for slow machines
		t.Errorf("took %v", took)
	}
}
