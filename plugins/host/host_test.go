//go:build unix

package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"syscall"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

func groupLives(pid int) bool { return syscall.Kill(-pid, 0) == nil }

func shape(t testing.TB, dims ...int) graph.Shape {
	t.Helper()
	s, err := graph.MakeShape(dims)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTensorsCrossUnchanged sends tensors of sizes around the limits both ways, and runs.
func TestTensorsCrossUnchanged(t *testing.T) {
	for _, chunks := range []bool{false, true} {
		name := map[bool]string{false: "shared", true: "chunks"}[chunks]
		t.Run(name, func(t *testing.T) {
			b, w := start(t, "cpu", patient)
			b.o.NoSharedMemory = chunks
			dev := openDevice(t, b)
			for _, n := range []int{1, minShared/4 - 1, minShared / 4, 1<<18 + 3, 3 << 20} {
				runReLU(t, dev, n)
			}
			if got := b.now.regions.count; (got > 0) == chunks {
				t.Errorf("got %d regions, log:\n%s", got, w.log)
			}
		})
	}
}

func runReLU(t *testing.T, dev backend.Device, n int) {
	t.Helper()
	g := relu(t, n)
	if err := dev.Supports(g.Nodes[0]); err != nil {
		t.Fatal(err)
	}
	e, err := dev.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, e)
	src, want := make([]byte, 4*n), make([]byte, 4*n)
	for i := range n {
		v := float32(i%251) - 125
		binary.LittleEndian.PutUint32(src[4*i:], math.Float32bits(v))
		binary.LittleEndian.PutUint32(want[4*i:], math.Float32bits(max(v, 0)))
	}
	x, y := newBuffer(t, dev, g.Inputs[0].Type), newBuffer(t, dev, g.Inputs[0].Type)
	defer closeIt(t, x)
	defer closeIt(t, y)
	if err := x.Write(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context(), []backend.Buffer{x}, []backend.Buffer{y}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4*n)
	if err := y.Read(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d elements: the result is wrong", n)
	}
}

func closeIt(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func newBuffer(t testing.TB, dev backend.Device, typ graph.TensorType) backend.Buffer {
	t.Helper()
	b, err := dev.NewBuffer(t.Context(), typ)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestErrorsCross: errors.Is and errors.As hold for what the plugin answers.
func TestErrorsCross(t *testing.T) {
	b, _ := start(t, "cpu", patient)
	dev := openDevice(t, b)
	if _, err := b.Open(t.Context(), "no such device"); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("open of no device: got %v", err)
	}
	if _, err := dev.NewBuffer(t.Context(), graph.TensorType{DType: graph.Int32, Shape: shape(t, 2)}); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("buffer of int32: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dev.Compile(ctx, relu(t, 4)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled compile: got %v", err)
	}
	x := newBuffer(t, dev, graph.TensorType{DType: graph.Float32, Shape: shape(t, 3)})
	var se *graph.ShapeError
	if err := x.Write(t.Context(), make([]byte, 8)); !errors.As(err, &se) {
		t.Errorf("short write: got %v", err)
	}
	closeIt(t, x)
	closeIt(t, x)
	if err := x.Read(t.Context(), make([]byte, 12)); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("closed buffer: got %v", err)
	}
	y := newBuffer(t, dev, graph.TensorType{DType: graph.Float32, Shape: shape(t, 3)})
	closeIt(t, dev)
	if err := y.Read(t.Context(), make([]byte, 12)); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("buffer of a closed device: got %v", err)
	}
	closeIt(t, y)
}

// TestCloseOfTheBackend: what is open then says ErrClosed, and nothing starts any more.
func TestCloseOfTheBackend(t *testing.T) {
	b, _ := start(t, "cpu", patient)
	dev := openDevice(t, b)
	x := newBuffer(t, dev, graph.TensorType{DType: graph.Float32, Shape: shape(t, 3)})
	closeIt(t, b)
	if err := x.Read(t.Context(), make([]byte, 12)); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("buffer: got %v", err)
	}
	if _, err := b.Devices(t.Context()); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("devices: got %v", err)
	}
	closeIt(t, x)
}

// TestLargeThingsCross: the weights of ResNet-152, and a batch of 256 pictures of 224×224 with and without shared memory. No
// message's limit is in their way.
func TestLargeThingsCross(t *testing.T) {
	if testing.Short() {
		t.Skip("240 MB of weights")
	}
	for _, chunks := range []bool{false, true} {
		b, _ := start(t, "cpu", patient)
		b.o.NoSharedMemory = chunks
		dev := openDevice(t, b)
		if chunks {
			e, err := dev.Compile(t.Context(), backendtest.Network(t, "resnet152", 1, 32))
			if err != nil {
				t.Fatal(err)
			}
			closeIt(t, e)
		}
		buf := newBuffer(t, dev, graph.F32(256, 3, 224, 224))
		data, got := make([]byte, buf.Type().SizeBytes()), make([]byte, buf.Type().SizeBytes())
		for i := range data {
			data[i] = byte(i % 251)
		}
		if err := buf.Write(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		if err := buf.Read(t.Context(), got); err != nil || !bytes.Equal(got, data) {
			t.Errorf("chunks %v: the batch is not what it was, %v", chunks, err)
		}
		closeIt(t, buf)
	}
}
