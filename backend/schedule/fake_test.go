package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/graph"
)

// fake is a device of the cpu backend of one thread with another name, other abilities and faults. What it holds is counted.
type fake struct {
	backend.Device
	name    string
	kind    backend.DeviceType
	refuse  func(*graph.Node) bool
	compile func(*graph.Graph) error                 // before the right compile
	run     func(ctx context.Context, n int64) error // before the right run number n, from 1

	writes func() // after a buffer was written

	runs atomic.Int64
	open atomic.Int64 // buffers and executables that are not closed
	gone atomic.Bool  // every call fails
	fuse atomic.Int64 // calls until it is lost by itself; 0 is never

	mu       sync.Mutex
	compiled []*graph.Graph
}

func newFake(t testing.TB, name string) *fake {
	t.Helper()
	d, err := cpu.New(cpu.Options{Threads: 1}).Open(context.Background(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	return &fake{Device: d, name: name, kind: backend.CPU, refuse: nothing}
}

// loseAt makes the device get lost at a run: that one and every later call fail with err.
func (f *fake) loseAt(n int64, err error) *fake {
	f.run = func(_ context.Context, i int64) error {
		if i >= n {
			f.gone.Store(true)
		}
		return f.lost(err)
	}
	return f
}

func (f *fake) lost(err error) error {
	if f.fuse.Load() > 0 && f.fuse.Add(-1) == 0 {
		f.gone.Store(true)
	}
	if f.gone.Load() {
		return fmt.Errorf("talk to %s: %w", f.name, err)
	}
	return nil
}

func (f *fake) Info() backend.DeviceInfo {
	return backend.DeviceInfo{Backend: f.name, ID: f.name + "-id", Name: "a " + f.name, Type: f.kind, Driver: "none", API: "none"}
}

func (f *fake) Supports(n *graph.Node) error {
	if f.refuse(n) {
		return fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), backend.Unsupported("op", "one that "+f.name+" has", n.Op.Name()))
	}
	return f.Device.Supports(n)
}

func (f *fake) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if f.compile != nil {
		if err := f.compile(g); err != nil {
			return nil, err
		}
	}
	if err := f.lost(backend.ErrDeviceLost); err != nil {
		return nil, err
	}
	for _, n := range g.Nodes {
		if err := f.Supports(n); err != nil {
			return nil, err
		}
	}
	e, err := f.Device.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.compiled = append(f.compiled, g)
	f.mu.Unlock()
	f.open.Add(1)
	return &fakeExecutable{Executable: e, f: f}, nil
}

func (f *fake) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	if err := f.lost(backend.ErrDeviceLost); err != nil {
		return nil, err
	}
	b, err := f.Device.NewBuffer(ctx, t)
	if err != nil {
		return nil, err
	}
	f.open.Add(1)
	return &fakeBuffer{Buffer: b, f: f}, nil
}

type fakeBuffer struct {
	backend.Buffer
	f    *fake
	once sync.Once
}

func (b *fakeBuffer) Write(ctx context.Context, src []byte) error {
	if err := b.f.lost(backend.ErrDeviceLost); err != nil {
		return err
	}
	err := b.Buffer.Write(ctx, src)
	if b.f.writes != nil {
		b.f.writes()
	}
	return err
}

func (b *fakeBuffer) Read(ctx context.Context, dst []byte) error {
	if err := b.f.lost(backend.ErrDeviceLost); err != nil {
		return err
	}
	return b.Buffer.Read(ctx, dst)
}

func (b *fakeBuffer) Close() error {
	b.once.Do(func() { b.f.open.Add(-1) })
	return b.Buffer.Close()
}

type fakeExecutable struct {
	backend.Executable
	f    *fake
	once sync.Once
	mu   sync.Mutex
	in   []backend.Buffer // of the run in progress, without their wrappers
	out  []backend.Buffer
}

func (e *fakeExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	n := e.f.runs.Add(1)
	if err := e.f.lost(backend.ErrPluginExited); err != nil {
		return err
	}
	if e.f.run != nil {
		if err := e.f.run(ctx, n); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in, e.out = e.in[:0], e.out[:0]
	for _, b := range in {
		e.in = append(e.in, b.(*fakeBuffer).Buffer)
	}
	for _, b := range out {
		e.out = append(e.out, b.(*fakeBuffer).Buffer)
	}
	return e.Executable.Run(ctx, e.in, e.out)
}

func (e *fakeExecutable) Transforms() map[string]backend.Winograd {
	return e.Executable.(backend.Transformer).Transforms()
}

func (e *fakeExecutable) Close() error {
	e.once.Do(func() { e.f.open.Add(-1) })
	return e.Executable.Close()
}

// free moving and equal speeds, so that nodes stay where they are supported.
func freeMoves(backend.DeviceInfo) Rates {
	return Rates{FLOPS: 1e15, MemoryBytes: 1e15, LinkBytes: 1e15}
}

// steep makes the members after the first much slower, and moving free: each node is on the first member that supports it.
func steep(first string) func(backend.DeviceInfo) Rates {
	return func(d backend.DeviceInfo) Rates {
		r := freeMoves(d)
		if d.Backend != first {
			r.FLOPS, r.MemoryBytes = 1e6, 1e6
		}
		return r
	}
}

// journal collects log lines.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// schedule makes a device and closes it at the end, when nothing may be open on the members.
func schedule(t testing.TB, o Options) *Device {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		for _, m := range d.members {
			if f, ok := m.dev.(*fake); ok && f.open.Load() != 0 {
				t.Errorf("%d buffers and executables of %s are open", f.open.Load(), f.name)
			}
		}
		if n := len(d.weights.held); n != 0 {
			t.Errorf("%d weights are still kept", n)
		}
	})
	return d
}

func members(fakes ...*fake) []Member {
	var list []Member
	for _, f := range fakes {
		list = append(list, Member{Device: f})
	}
	return list
}

// session is a graph compiled on a device with buffers.
type session struct {
	exec    backend.Executable
	in, out []backend.Buffer
	sig     graph.Signature
}

func open(t testing.TB, d backend.Device, g *graph.Graph) *session {
	t.Helper()
	s, err := tryOpen(t, d, g)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryOpen(t testing.TB, d backend.Device, g *graph.Graph) (*session, error) {
	t.Helper()
	e, err := d.Compile(t.Context(), g)
	if err != nil {
		return nil, err
	}
	s := &session{exec: e, sig: e.Signature()}
	make := func(ports []graph.Port) (list []backend.Buffer) {
		for _, p := range ports {
			b, err := d.NewBuffer(t.Context(), p.Type)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			list = append(list, b)
		}
		return list
	}
	s.in, s.out = make(s.sig.Inputs), make(s.sig.Outputs)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close executable: %v", err)
		}
	})
	return s, nil
}

// run writes inputs made of the seed, runs, and returns the outputs.
func (s *session) run(t testing.TB, ctx context.Context, seed uint64) ([][]byte, error) {
	t.Helper()
	for i, b := range s.in {
		if err := b.Write(t.Context(), inputBytes(t, b.Type(), seed+uint64(i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range s.out {
		if err := b.Write(t.Context(), bytes.Repeat([]byte{0xff}, b.Type().SizeBytes())); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.exec.Run(ctx, s.in, s.out); err != nil {
		return nil, err
	}
	var all [][]byte
	for _, b := range s.out {
		data := make([]byte, b.Type().SizeBytes())
		if err := b.Read(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all, nil
}

func (s *session) mustRun(t testing.TB, seed uint64) [][]byte {
	t.Helper()
	out, err := s.run(t, t.Context(), seed)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func inputBytes(t testing.TB, typ graph.TensorType, seed uint64) []byte {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	v := make([]float32, typ.Shape.Elems())
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	x, err := graph.FromFloat32s(typ.Shape, v)
	if err != nil {
		t.Fatal(err)
	}
	return x.Data
}

// alone is what one cpu device makes of the graph: the cpu backend computes each element of a node in one order, however the graph
// is cut, so a schedule over such devices must give these bits.
func alone(t testing.TB, g *graph.Graph, seed uint64) [][]byte {
	t.Helper()
	d := newFake(t, "alone")
	defer d.Close()
	return open(t, d, g).mustRun(t, seed)
}

func sameBytes(t testing.TB, what string, got, want [][]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s: other results than one device gives", what)
	}
}

// bound gives the parameters of a graph arbitrary values.
func bound(t testing.TB, g *graph.Graph) *graph.Graph {
	t.Helper()
	r := rand.New(rand.NewPCG(13, 17))
	tensors := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		v := make([]float32, p.Type.Shape.Elems())
		for i := range v {
			v[i] = float32(r.NormFloat64() * 0.1)
		}
		var err error
		if tensors[p.Name], err = graph.FromFloat32s(p.Type.Shape, v); err != nil {
			t.Fatal(err)
		}
	}
	g, err := g.Bind(tensors)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func small(t testing.TB, batch int) *graph.Graph {
	t.Helper()
	return bound(t, fused(t, "resnet20-cifar", batch, 8))
}

// clock is a time that only moves when a fake says so.
type clock struct{ now atomic.Int64 }

func (c *clock) time() time.Time { return time.Unix(0, c.now.Load()) }

// tick makes every run of a device take so long.
func (c *clock) tick(f *fake, d time.Duration) *fake {
	f.run = func(context.Context, int64) error {
		c.now.Add(int64(d))
		return nil
	}
	return f
}

var errBroken = errors.New("broken")
