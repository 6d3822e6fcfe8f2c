package resnet

import "testing"

// trainable is the number of parameters without the running statistics, as torch counts model.parameters().
func trainable(t *testing.T, c Config) int64 {
	t.Helper()
	g, err := c.Build(1, c.InputSize, c.InputSize)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, p := range g.Params {
		if !isStatistic(p.Name) {
			n += int64(p.Type.Shape.Elems())
		}
	}
	return n
}

func isStatistic(name string) bool {
	for _, s := range []string{".running_mean", ".running_var"} {
		if len(name) > len(s) && name[len(name)-len(s):] == s {
			return true
		}
	}
	return false
}

// Figures: torchvision's model pages for the ImageNet networks; He et al. 2016 table 6 and the READMEs of the common
// PyTorch CIFAR-10 implementations for the rest, to the last digit as counted by PyTorch.
func TestParameterCountsAreExact(t *testing.T) {
	for name, want := range map[string]int64{
		"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
		"resnet152": 60_192_808, "resnext50_32x4d": 25_028_904, "resnext101_32x8d": 88_791_336,
		"resnext101_64x4d": 83_455_272, "wide_resnet50_2": 68_883_240, "wide_resnet101_2": 126_886_696,
		"resnet50-v1": 25_557_032, "resnet101-v1": 44_549_160, "resnet152-v1": 60_192_808,
		"resnet20-cifar": 269_722, "resnet32-cifar": 464_154, "resnet44-cifar": 658_586, "resnet56-cifar": 853_018,
		"resnet110-cifar": 1_727_962, "resnet1202-cifar": 19_421_274,
		"resnet18-cifar": 11_173_962, "resnet34-cifar": 21_282_122, "resnet50-cifar": 23_520_842,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := trainable(t, c); got != want {
				t.Errorf("got %d parameters, want %d", got, want)
			}
		})
	}
}

func TestMACsAt224(t *testing.T) {
	for name, want := range map[string]float64{
		"resnet18": 1.814, "resnet34": 3.664, "resnet50": 4.089, "resnet101": 7.801, "resnet152": 11.514,
		"resnext50_32x4d": 4.230, "resnext101_32x8d": 16.414, "resnext101_64x4d": 15.460,
		"wide_resnet50_2": 11.398, "wide_resnet101_2": 22.753,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			g, err := c.Build(1, 224, 224)
			if err != nil {
				t.Fatal(err)
			}
			got := float64(g.Cost().MACs) / 1e9
			if d := got - want; d > 0.0005 || d < -0.0005 {
				t.Errorf("got %.4f GMACs, want %.3f", got, want)
			}
		})
	}
}
