package cpu

import (
	"context"
	"fmt"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
)

// benchGraph times runs of a graph. Its operation counts come from the one formula of package graph.
func benchGraph(b *testing.B, d *device, g *graph.Graph) {
	b.Helper()
	e, in, out := ready(b, d, g, seededInput(g))
	defer e.Close()
	ctx := context.Background()
	if err := e.Run(ctx, in, out); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := e.Run(ctx, in, out); err != nil {
			b.Fatal(err)
		}
	}
	seconds := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(float64(g.Cost().FLOPs)/seconds/1e9, "GFLOP/s")
	b.ReportMetric(100*float64(g.Cost().FLOPs)/seconds/peakOf(b, d), "%peak")
	b.ReportMetric(float64(g.Inputs[0].Type.Shape.Dim(0))/seconds, "images/s")
}

// peaks remembers what was measured, by instruction set and threads.
var peaks = map[[2]string]float64{}

// peakOf is what a loop of nothing but multiplications and additions reaches on the threads of a device. Winograd's
// algorithm may exceed it: it is counted as the operations of the sums that it replaces.
func peakOf(b *testing.B, d *device) float64 {
	b.Helper()
	key := [2]string{d.set.Name, fmt.Sprint(d.workers)}
	if peaks[key] == 0 {
		var err error
		if peaks[key], err = d.arithmeticPeak(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	return peaks[key]
}

// BenchmarkPeak is that loop.
func BenchmarkPeak(b *testing.B) {
	for _, name := range kernel.Names() {
		b.Run(name, func(b *testing.B) {
			d := open(b, Options{Kernels: name})
			best := 0.0
			for b.Loop() {
				flops, err := d.arithmeticPeak(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				best = max(best, flops)
			}
			b.ReportMetric(best/1e9, "GFLOP/s")
		})
	}
}

// BenchmarkNetwork uses the threads of GOMAXPROCS and the kernels of RESNET_RUN_CPU.
func BenchmarkNetwork(b *testing.B) {
	for _, c := range []struct {
		name        string
		batch, side int
	}{{"resnet20-cifar", 32, 32}, {"resnet20-cifar", 128, 32}, {"resnet18", 1, 224}, {"resnet18", 8, 224}, {"resnet50", 1, 224}, {"resnet50", 8, 224}} {
		b.Run(fmt.Sprintf("%s/N%d", c.name, c.batch), func(b *testing.B) {
			benchGraph(b, open(b, Options{}), seededNetwork(b, c.name, c.batch, c.side))
		})
	}
}

// BenchmarkLayers sums the least time of each node over some profiles on one core. A node takes a millisecond or so,
// and one of many is seldom disturbed: on a busy machine that tells more than the time of whole runs. With -v it lists the nodes.
func BenchmarkLayers(b *testing.B) {
	for _, c := range []struct {
		name        string
		batch, side int
	}{
		{"resnet20-cifar", 32, 32}, {"resnet18", 1, 224}, {"resnet50", 1, 224}, {"resnet50", 8, 224},
		{"resnest50d", 1, 224}, {"resnest50d", 8, 224}, {"res2net50_26w_4s", 1, 224}, {"res2net50_26w_4s", 8, 224},
		{"resnext50_32x4d", 1, 224}, {"resnext50_32x4d", 8, 224},
	} {
		for _, direct := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/N%d/direct=%v", c.name, c.batch, direct), func(b *testing.B) {
				benchLayers(b, open(b, Options{Threads: 1, Direct: direct}), seededNetwork(b, c.name, c.batch, c.side))
			})
		}
	}
}

func benchLayers(b *testing.B, d *device, g *graph.Graph) {
	e, in, out := ready(b, d, g, seededInput(g))
	defer e.Close()
	var least []backend.NodeTime
	for b.Loop() {
		times, err := e.(backend.Profiler).Profile(context.Background(), in, out)
		if err != nil {
			b.Fatal(err)
		}
		for i, t := range times {
			if least == nil {
				break
			}
			t.Seconds = min(t.Seconds, least[i].Seconds)
			times[i] = t
		}
		least = times
	}
	total := 0.0
	for _, t := range least {
		total += t.Seconds
		if testing.Verbose() {
			b.Logf("%-30s %-26s %8.3f ms  %s", t.Node, t.Kernel, 1e3*t.Seconds, t.Reason)
		}
	}
	b.ReportMetric(1e3*total, "ms-least")
	b.ReportMetric(100*float64(g.Cost().FLOPs)/total/peakOf(b, d), "%peak")
}

func BenchmarkConv2D(b *testing.B) {
	for _, c := range []struct {
		name                     string
		n, c, side, k, r, stride int
	}{
		{"resnet20/layer1.0.conv1", 32, 16, 32, 16, 3, 1},
		{"resnet20/layer3.1.conv1", 32, 64, 8, 64, 3, 1},
		{"resnet50/conv1", 1, 3, 224, 64, 7, 2},
		{"resnet50/layer1.0.conv2", 1, 64, 56, 64, 3, 1},
		{"resnet50/layer1.0.conv3", 1, 64, 56, 256, 1, 1},
		{"resnet50/layer4.1.conv2", 1, 512, 7, 512, 3, 1},
	} {
		b.Run(fmt.Sprintf("%s/N%d", c.name, c.n), func(b *testing.B) {
			op := graph.Conv2D{Stride: [2]int{c.stride, c.stride}, Padding: graph.Pad(c.r / 2), Dilation: [2]int{1, 1}, Groups: 1, Act: graph.ActReLU}
			benchGraph(b, open(b, Options{}), convGraph(b, c.n, c.c, c.side, c.side, c.k, [2]int{c.r, c.r}, op))
		})
	}
}
