package vulkan

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// BenchmarkLayers times every convolution kernel on every shape of resnet50 at 224 by the device's clock, and says how far its result is from the
// first kernel's. It is for writing kernels and the rule that chooses them: -bench Layers -benchtime 1x. RESNET_RUN_BENCH_BATCH is the batch (1),
// RESNET_RUN_BENCH_KERNELS an expression for kernels, RESNET_RUN_TEST_ICD the driver; kernels that take more than five times as long as the best so far are not timed further.
func BenchmarkLayers(b *testing.B) {
	batch := 1
	if n, err := strconv.Atoi(os.Getenv("RESNET_RUN_BENCH_BATCH")); err == nil && n > 0 {
		batch = n
	}
	g, err := pass.Run(seededNetwork(b, "resnet50", batch, 224), pass.Default())
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range []Precision{Float32, Half} {
		b.Run(p.String(), func(b *testing.B) {
			benchDevices(b, Options{Precision: p, Unproved: true}, func(b *testing.B, dev backend.Device) {
				seen := map[string]bool{}
				for _, n := range g.Nodes {
					if _, ok := n.Op.(graph.Conv2D); ok && !seen[shapeOf(n)] {
						seen[shapeOf(n)] = true
						benchLayer(b, dev.(*device), n)
					}
				}
			})
		})
	}
}

// warm is how long a kernel runs before its times count.
const warm = 50 * time.Millisecond

func benchLayer(b *testing.B, d *device, n *graph.Node) {
	ctx := b.Context()
	list, err := plan.Candidates(d.limits, d.planOptions(), n)
	if err != nil {
		b.Fatal(err)
	}
	data := bellData(n)
	var first *trial
	var want []float32
	best := 1e9
	for _, c := range list {
		if ok, _ := regexp.MatchString(os.Getenv("RESNET_RUN_BENCH_KERNELS"), c.Name); !ok {
			continue
		}
		var t *trial
		if first == nil {
			if t, err = d.newTrial(ctx, n, c.Name, data); err == nil {
				err = t.set(ctx, data)
			}
			first = t
		} else {
			t, err = first.beside(ctx, c.Name)
		}
		if err != nil {
			b.Fatal(err)
		}
		got, err := t.once(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if want == nil {
			want = got
		}
		one := &contender{trial: t}
		for _, v := range c.Variants() {
			one.kernels = append(one.kernels, v.Name)
		}
		b.Run(fmt.Sprintf("%s/%s", n.Name, c.Name), func(b *testing.B) {
			// A GPU that had nothing to do runs slowly at first.
			for start := time.Now(); time.Since(start) < warm; {
				if err := t.exe.Run(ctx, t.in, []backend.Buffer{t.out}); err != nil {
					b.Fatal(err)
				}
			}
			var samples []float64
			for b.Loop() {
				for range 9 {
					s, err := one.time(ctx)
					if err != nil {
						b.Fatal(err)
					}
					if samples = append(samples, s); len(samples) > 1 && s > 5*best {
						break
					}
				}
			}
			s := slices.Min(samples)
			best = min(best, s)
			flops := float64((&graph.Graph{Nodes: []*graph.Node{n}}).Cost().FLOPs)
			b.ReportMetric(s*1e6, "us")
			b.ReportMetric(flops/s/1e12, "TFLOP/s")
			b.ReportMetric(1e6*golden.L2Error(reference.Widen(got), reference.Widen(want)), "distance·1e6")
			b.ReportMetric(0, "ns/op")
		})
		if t != first {
			t.close()
		}
	}
	if first != nil {
		first.close()
	}
}
