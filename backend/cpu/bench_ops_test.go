package cpu

import (
	"context"
	"fmt"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
)

// BenchmarkOps times the ops that memory and not arithmetic bounds, on values of ResNet-50's sizes, on one core: the least time of node y
// over the profiles, and what it reads and writes in that time. relu is what the others are to be held against.
func BenchmarkOps(b *testing.B) {
	for _, size := range []string{"1,64,112,112", "1,256,56,56", "8,1024,14,14"} {
		var n, c, h, w int
		fmt.Sscanf(size, "%d,%d,%d,%d", &n, &c, &h, &w)
		x := fmt.Sprintf("input %%x : float32[%s]\n", size)
		scores := func(c int) string { return fmt.Sprintf("input %%s : float32[%d,%d,1,1]\n", n, c) }
		params := func(names ...string) (text string) {
			for _, name := range names {
				text += fmt.Sprintf("param @%s : float32[%d]\n", name, c)
			}
			return text
		}
		z := fmt.Sprintf("input %%z : float32[%s]\n", size)
		for _, op := range []struct{ name, text string }{
			{"relu", x + "%y = relu(%x)"},
			{"add", x + z + "%y = add(%x, %z)"},
			{"batch_norm", x + params("w", "b", "m", "v") + "%y = batch_norm(%x, @w, @b, @m, @v) epsilon=1e-05"},
			{"group_norm32", x + params("w", "b") + "%y = group_norm(%x, @w, @b) groups=32 epsilon=1e-05"},
			{"group_norm32_relu", x + params("w", "b") + "%y = group_norm(%x, @w, @b) groups=32 epsilon=1e-05 act=relu"},
			{"group_norm1", x + params("w", "b") + "%y = group_norm(%x, @w, @b) groups=1 epsilon=1e-05"},
			{"gate_add_relu", x + scores(c) + z + "%y = gate(%x, %s, %z) add=true act=relu"},
			{"split_attention", x + scores(c) + "%y = split_attention(%x, %s) radix=2 groups=1"},
			{"split_attention_relu", x + scores(c) + "%y = split_attention(%x, %s) radix=2 groups=1 act=relu"},
			{"concat4", x + z + "%y = concat(%x, %z, %x, %z)"},
			{"slice4", x + fmt.Sprintf("%%y = channel_slice(%%x) begin=%d end=%d", c/4, c/2)},
			{"spatial_pad", x + "%y = spatial_pad(%x) padding=1,1,1,1"},
			{"reflect_pad", x + "%y = spatial_pad(%x) padding=1,1,1,1 reflect=true"},
			{"blur", x + fmt.Sprintf("param @k : float32[%d,1,3,3]\n%%y = conv2d(%%x, @k) stride=2,2 groups=%d", c, c)},
			{"max_pool", x + "%y = max_pool(%x) kernel=3,3 stride=2,2 padding=1,1,1,1"},
			{"avg_pool", x + "%y = avg_pool(%x) kernel=2,2 stride=2,2"},
			{"global_avg_pool", x + "%y = global_avg_pool(%x)"},
			{"eca", scores(c) + fmt.Sprintf("param @k : float32[1,1,5,1]\n%%r = reshape(%%s) to=1,%d,1\n%%y = conv2d(%%r, @k) padding=2,0,2,0", c)},
			{"eca_reshape", scores(c) + fmt.Sprintf("%%y = reshape(%%s) to=1,%d,1", c)},
		} {
			b.Run(op.name+"/"+size, func(b *testing.B) { benchOp(b, "graph g\n"+op.text+"\noutput %y\n") })
		}
	}
}

func benchOp(b *testing.B, text string) {
	g := parse(b, text)
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		data[p.Name] = seededParam(b, p)
	}
	g, err := g.Bind(data)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range kernel.Names()[:1] {
		e, in, out := ready(b, open(b, Options{Threads: 1, Kernels: name}), g, seededInput(g))
		defer e.Close()
		least := 1e9
		for b.Loop() {
			times, err := e.(backend.Profiler).Profile(context.Background(), in, out)
			if err != nil {
				b.Fatal(err)
			}
			for _, t := range times {
				if t.Node == "y" && t.Kernel != "store" {
					least = min(least, t.Seconds)
				}
			}
		}
		n := g.Nodes[len(g.Nodes)-1]
		bytes := n.Output.Type.SizeBytes()
		for _, v := range n.Inputs {
			bytes += v.Type.SizeBytes()
		}
		b.ReportMetric(1e6*least, "µs-least")
		b.ReportMetric(float64(bytes)/least/1e9, "GB/s")
	}
}
