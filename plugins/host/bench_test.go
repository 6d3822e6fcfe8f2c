//go:build unix

package host

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// The benchmarks are those of docs/benchmarks/plugins.md.

// BenchmarkStart is the time from nothing to the list of devices: checksums, process, TLS, Describe, session.
func BenchmarkStart(b *testing.B) {
	w := newPlace(b)
	p := w.install(b, "cpu", "cpu")
	w.trust(b, p)
	o := w.options(b, patient)
	var hashing, stopping time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := sumFile(p.Manifest.Command[0]); err != nil {
			b.Fatal(err)
		}
		hashing += time.Since(began)
		h := New(p, o)
		if _, err := h.Devices(b.Context()); err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		closeIt(b, h)
		stopping += time.Since(began)
	}
	perRun := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 / float64(b.N) }
	b.ReportMetric((perRun(b.Elapsed()) - perRun(hashing) - perRun(stopping)), "start-ms")
	b.ReportMetric(perRun(hashing), "of-which-checksum-ms")
	b.ReportMetric(perRun(stopping), "end-ms")
}

// benchDevice is the cpu backend's device behind a plugin.
func benchDevice(b *testing.B) (backend.Device, *Backend) {
	h, _ := startBeside(b, "cpu", patient)
	return openDevice(b, h), h
}

// BenchmarkTransfer is the speed at which tensors go to the plugin and come back: inputs at 224 of batch 1 and 32, each written
// and read in turn, so that a write that waits for its reader is counted with it.
func BenchmarkTransfer(b *testing.B) {
	for _, way := range []string{"shared", "shared-without-Execute", "chunks"} {
		for _, n := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/N%d", way, n), func(b *testing.B) {
				h, _ := startBeside(b, "cpu", patient)
				h.o.NoSharedMemory, h.o.noExecute = way == "chunks", way == "shared-without-Execute"
				dev := openDevice(b, h)
				buf := newBuffer(b, dev, graph.TensorType{DType: graph.Float32, Shape: shape(b, n, 3, 224, 224)})
				data := make([]byte, buf.Type().SizeBytes())
				b.SetBytes(2 * int64(len(data)))
				for b.Loop() {
					if err := buf.Write(b.Context(), data); err != nil {
						b.Fatal(err)
					}
					if err := buf.Read(b.Context(), data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRunCall is the cost of Run itself: a graph of one element.
func BenchmarkRunCall(b *testing.B) {
	dev, _ := benchDevice(b)
	s := newSide(b, dev, relu(b, 1))
	for b.Loop() {
		s.run(b)
	}
}

// BenchmarkWire runs graphs with inputs at 224 on the cpu backend in this process and in a plugin by turns, each with its input
// written and its output read, and compares the best and the medians. The mean of the channels is next to no work, so that the
// difference is the cost of the wire; beside ResNet-50 it is hard to see.
func BenchmarkWire(b *testing.B) {
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("mean/N%d", n), func(b *testing.B) { benchWire(b, mean(b, n)) })
	}
	for _, n := range []int{1, 32} {
		b.Run(fmt.Sprintf("resnet50/N%d", n), func(b *testing.B) { benchWire(b, resnet50(b, n)) })
	}
}

// mean is a graph of one global average pool.
func mean(b *testing.B, n int) *graph.Graph {
	b.Helper()
	bld := graph.NewBuilder("mean")
	x := bld.Input("x", graph.TensorType{DType: graph.Float32, Shape: shape(b, n, 3, 224, 224)})
	bld.Output(bld.Node("y", graph.GlobalAvgPool{}, x))
	g, err := bld.Build()
	if err != nil {
		b.Fatal(err)
	}
	return g
}

func benchWire(b *testing.B, g *graph.Graph) {
	own, err := cpu.New(cpu.Options{}).Open(b.Context(), "cpu")
	if err != nil {
		b.Fatal(err)
	}
	defer closeIt(b, own)
	dev, h := benchDevice(b)
	inside, outside := newSide(b, own, g), newSide(b, dev, g)
	sides := []*side{inside, outside}
	for _, s := range sides { // the first run touches the memory
		s.all(b)
	}
	if !bytes.Equal(sides[0].result, sides[1].result) {
		b.Error("the plugin's result differs from its backend's")
	}
	for b.Loop() {
		slices.Reverse(sides) // who comes second has the other's traces in the caches
		for _, s := range sides {
			began := time.Now()
			s.all(b)
			s.times = append(s.times, time.Since(began).Seconds()*1e3)
		}
	}
	slices.Sort(inside.times)
	slices.Sort(outside.times)
	in, over, half := inside.times, outside.times, b.N/2
	b.ReportMetric(in[0], "in-process-best-ms")
	b.ReportMetric(over[0], "plugin-best-ms")
	b.ReportMetric(in[half], "in-process-median-ms")
	b.ReportMetric(over[half], "plugin-median-ms")
	b.ReportMetric(100*(over[0]-in[0])/in[0], "best-differs-%")
	b.ReportMetric(100*(over[half]-in[half])/in[half], "median-differs-%")
	b.ReportMetric(float64(resident(h.now.child.processID()))/(1<<20), "plugin-MiB")
	b.ReportMetric(0, "ns/op")
}

// side is a graph compiled on a device with its buffers.
type side struct {
	e               backend.Executable
	in, out         []backend.Buffer
	picture, result []byte
	times           []float64 // in ms
}

func newSide(b *testing.B, dev backend.Device, g *graph.Graph) *side {
	b.Helper()
	e, err := dev.Compile(b.Context(), g)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closeIt(b, e) })
	sig := e.Signature()
	x, y := newBuffer(b, dev, sig.Inputs[0].Type), newBuffer(b, dev, sig.Outputs[0].Type)
	return &side{e: e, in: []backend.Buffer{x}, out: []backend.Buffer{y}, result: make([]byte, y.Type().SizeBytes()),
		picture: floats(seeded.Uniform(1, "picture", x.Type().SizeBytes()/4, 1))}
}

func (s *side) run(b *testing.B) {
	if err := s.e.Run(b.Context(), s.in, s.out); err != nil {
		b.Fatal(err)
	}
}

// all writes the input, runs, and reads the output.
func (s *side) all(b *testing.B) {
	if err := s.in[0].Write(b.Context(), s.picture); err != nil {
		b.Fatal(err)
	}
	s.run(b)
	if err := s.out[0].Read(b.Context(), s.result); err != nil {
		b.Fatal(err)
	}
}

func floats(v []float32) []byte {
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// resnet50 is the network as it is run, with weights that keep the activations' size.
func resnet50(b *testing.B, batch int) *graph.Graph {
	b.Helper()
	c, err := resnet.Lookup("resnet50")
	if err != nil {
		b.Fatal(err)
	}
	g, err := c.Build(batch, 224, 224)
	if err != nil {
		b.Fatal(err)
	}
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		s := p.Type.Shape
		v := seeded.UniformAround(2, p.Name, s.Elems(), 1, 0.1) // of batch normalisation
		if s.Rank() > 1 {
			v = seeded.Uniform(2, p.Name, s.Elems(), math.Sqrt(2*float64(s.Dim(0))/float64(s.Elems())))
		}
		data[p.Name] = &graph.Tensor{Type: p.Type, Data: floats(v)}
	}
	if g, err = g.Bind(data); err == nil {
		g, err = pass.Run(g, pass.Default())
	}
	if err != nil {
		b.Fatal(err)
	}
	return g
}
