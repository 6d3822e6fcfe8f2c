package vulkan

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// benchDevices runs f on every test device, without validation.
func benchDevices(b *testing.B, o Options, f func(b *testing.B, d backend.Device)) {
	b.Helper()
	if !vktest.UseTestDrivers() {
		b.Skip("no Vulkan test driver is installed")
	}
	o.NoCache = true
	be := New(o)
	list, err := be.Devices(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for _, info := range list {
		b.Run(info.Name, func(b *testing.B) {
			d, err := be.Open(context.Background(), info.ID)
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			f(b, d)
		})
	}
}

// benchGraph times runs of a graph. Its operation counts come from the one formula of package graph.
func benchGraph(b *testing.B, d backend.Device, g *graph.Graph) {
	b.Helper()
	ctx := context.Background()
	e, err := d.Compile(ctx, g)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var in, out []backend.Buffer
	for _, p := range e.Signature().Inputs {
		x, err := d.NewBuffer(ctx, p.Type)
		if err != nil {
			b.Fatal(err)
		}
		t, err := graph.FromFloat32s(p.Type.Shape, seeded.Uniform(9, p.Name, p.Type.Shape.Elems(), 1))
		if err == nil {
			err = x.Write(ctx, t.Data)
		}
		if err != nil {
			b.Fatal(err)
		}
		in = append(in, x)
	}
	for _, p := range e.Signature().Outputs {
		x, err := d.NewBuffer(ctx, p.Type)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, x)
	}
	defer closeAll(in, out)
	if err := e.Run(ctx, in, out); err != nil { // drivers compile at the first run
		b.Fatal(err)
	}
	for b.Loop() {
		if err := e.Run(ctx, in, out); err != nil {
			b.Fatal(err)
		}
	}
	seconds := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(float64(g.Cost().FLOPs)/seconds/1e9, "GFLOP/s")
	b.ReportMetric(float64(g.Inputs[0].Type.Shape.Dim(0))/seconds, "images/s")
}

func BenchmarkNetwork(b *testing.B) {
	for _, c := range []struct {
		name        string
		batch, side int
	}{{"resnet20-cifar", 32, 32}, {"resnet18", 1, 224}, {"resnet50", 1, 224}} {
		b.Run(fmt.Sprintf("%s/N%d", c.name, c.batch), func(b *testing.B) {
			g := seededNetwork(b, c.name, c.batch, c.side)
			benchDevices(b, Options{}, func(b *testing.B, d backend.Device) { benchGraph(b, d, g) })
		})
	}
}

// BenchmarkConv2D times layers of the family with each convolution kernel.
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
		g := convGraph(b, c.n, c.c, c.side, c.k, c.r, c.stride)
		for _, kernel := range plan.ConvKernels() {
			b.Run(fmt.Sprintf("%s/N%d/%s", c.name, c.n, kernel), func(b *testing.B) {
				benchDevices(b, Options{Kernels: []string{kernel}}, func(b *testing.B, d backend.Device) { benchGraph(b, d, g) })
			})
		}
		for _, kernel := range plan.HalfConvKernels() {
			b.Run(fmt.Sprintf("%s/N%d/%s", c.name, c.n, kernel), func(b *testing.B) {
				benchDevices(b, Options{Precision: Half, Kernels: []string{kernel}}, func(b *testing.B, d backend.Device) { benchGraph(b, d, g) })
			})
		}
	}
}

func convGraph(b *testing.B, n, c, side, k, r, stride int) *graph.Graph {
	b.Helper()
	bld := graph.NewBuilder("conv")
	x := bld.Input("x", graph.F32(n, c, side, side))
	w, err := graph.FromFloat32s(graph.NewShape(k, c, r, r), seeded.Uniform(1, "w", k*c*r*r, 0.1))
	if err != nil {
		b.Fatal(err)
	}
	bld.Output(bld.Node("y", graph.Conv2D{
		Stride: [2]int{stride, stride}, Padding: graph.Pad(r / 2), Dilation: [2]int{1, 1}, Groups: 1, Act: graph.ActReLU,
	}, x, bld.Param("w", w.Type, w)))
	g, err := bld.Build()
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// BenchmarkFlights times a run with its transfers by one, two and four callers, each with its own buffers. What
// is gained is the time that the device would wait for the host.
func BenchmarkFlights(b *testing.B) {
	for _, c := range []struct {
		name        string
		batch, side int
	}{{"resnet20-cifar", 1, 32}, {"resnet18", 8, 64}} {
		g := seededNetwork(b, c.name, c.batch, c.side)
		for _, callers := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("%s/N%d/callers%d", c.name, c.batch, callers), func(b *testing.B) {
				benchDevices(b, Options{}, func(b *testing.B, d backend.Device) { benchFlights(b, d, g, callers) })
			})
		}
	}
}

func benchFlights(b *testing.B, d backend.Device, g *graph.Graph, callers int) {
	b.Helper()
	ctx := context.Background()
	e, err := d.Compile(ctx, g)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	sig := e.Signature()
	x, err := graph.FromFloat32s(sig.Inputs[0].Type.Shape, seededInput(g)[0])
	if err != nil {
		b.Fatal(err)
	}
	once := func(in, out []backend.Buffer, dst []byte) error {
		if err := in[0].Write(ctx, x.Data); err != nil {
			return err
		}
		if err := e.Run(ctx, in, out); err != nil {
			return err
		}
		return out[0].Read(ctx, dst)
	}
	var work []func() error
	for range callers {
		in, err := d.NewBuffer(ctx, sig.Inputs[0].Type)
		if err != nil {
			b.Fatal(err)
		}
		out, err := d.NewBuffer(ctx, sig.Outputs[0].Type)
		if err != nil {
			b.Fatal(err)
		}
		defer closeAll([]backend.Buffer{in, out})
		dst := make([]byte, sig.Outputs[0].Type.SizeBytes())
		f := func() error { return once([]backend.Buffer{in}, []backend.Buffer{out}, dst) }
		if err := f(); err != nil { // recorded, and compiled by drivers that do so at the first run
			b.Fatal(err)
		}
		work = append(work, f)
	}
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for _, f := range work {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(sig.Inputs[0].Type.Shape.Dim(0)*b.N)/b.Elapsed().Seconds(), "images/s")
}

// BenchmarkCompile times Compile on a device without pipelines. With -cpu 1,2,... it shows what making them side by side gains,
// on drivers that compile then and not at the first run.
func BenchmarkCompile(b *testing.B) {
	g := seededNetwork(b, "resnet50", 1, 64)
	benchDevices(b, Options{}, func(b *testing.B, d backend.Device) {
		for b.Loop() {
			b.StopTimer()
			fresh, err := New(Options{NoCache: true}).Open(context.Background(), d.Info().ID)
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if _, err := fresh.Compile(context.Background(), g); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			fresh.Close()
			b.StartTimer()
		}
	})
}
