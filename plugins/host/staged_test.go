//go:build unix

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"google.golang.org/grpc"
)

// counter counts the calls that move tensors or run.
type counter struct {
	pb.BackendClient
	executes, runs, writes, reads atomic.Int32
}

func (c *counter) Execute(ctx context.Context, r *pb.ExecuteRequest, o ...grpc.CallOption) (*pb.ExecuteResponse, error) {
	c.executes.Add(1)
	return c.BackendClient.Execute(ctx, r, o...)
}

func (c *counter) Run(ctx context.Context, r *pb.RunRequest, o ...grpc.CallOption) (*pb.RunResponse, error) {
	c.runs.Add(1)
	return c.BackendClient.Run(ctx, r, o...)
}

func (c *counter) WriteBuffer(ctx context.Context, o ...grpc.CallOption) (grpc.ClientStreamingClient[pb.WriteBufferRequest, pb.WriteBufferResponse], error) {
	c.writes.Add(1)
	return c.BackendClient.WriteBuffer(ctx, o...)
}

func (c *counter) ReadBuffer(ctx context.Context, r *pb.ReadBufferRequest, o ...grpc.CallOption) (grpc.ServerStreamingClient[pb.ReadBufferResponse], error) {
	c.reads.Add(1)
	return c.BackendClient.ReadBuffer(ctx, r, o...)
}

// took returns the numbers of calls of Execute, Run, WriteBuffer and ReadBuffer since it was last asked.
func (c *counter) took() [4]int32 {
	return [4]int32{c.executes.Swap(0), c.runs.Swap(0), c.writes.Swap(0), c.reads.Swap(0)}
}

// turner is a ReLU of n elements on a plugin's device, with its buffers and the calls that were made.
type turner struct {
	t     *testing.T
	dev   backend.Device
	e     backend.Executable
	x, y  backend.Buffer
	n     int
	calls *counter
}

func newTurner(t *testing.T, b *Backend, n int) *turner {
	t.Helper()
	dev, g := openDevice(t, b), relu(t, n)
	e, err := dev.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, e) })
	r := &turner{t, dev, e, newBuffer(t, dev, g.Inputs[0].Type), newBuffer(t, dev, g.Inputs[0].Type), n, &counter{BackendClient: b.now.client}}
	b.now.client = r.calls
	return r
}

func (r *turner) write(b backend.Buffer, v float32) {
	r.t.Helper()
	if err := b.Write(r.t.Context(), floats(slices.Repeat([]float32{v}, r.n))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *turner) run() {
	r.t.Helper()
	if err := r.e.Run(r.t.Context(), []backend.Buffer{r.x}, []backend.Buffer{r.y}); err != nil {
		r.t.Fatal(err)
	}
}

// wants checks what a buffer holds.
func (r *turner) wants(b backend.Buffer, v float32) {
	r.t.Helper()
	got := make([]byte, 4*r.n)
	if err := b.Read(r.t.Context(), got); err != nil {
		r.t.Fatal(err)
	}
	if !bytes.Equal(got, floats(slices.Repeat([]float32{v}, r.n))) {
		r.t.Errorf("%d elements: got % x..., want all %v", r.n, got[:4], v)
	}
}

func (r *turner) tookCalls(what string, executes, runs, writes, reads int32) {
	r.t.Helper()
	if got, want := r.calls.took(), [4]int32{executes, runs, writes, reads}; got != want {
		r.t.Errorf("%d elements: %s: got %v calls of Execute, Run, WriteBuffer and ReadBuffer, want %v", r.n, what, got, want)
	}
}

// TestATurnIsOneCall: the input goes with the run and the output comes with its answer, in shared memory or within the
// messages.
func TestATurnIsOneCall(t *testing.T) {
	for _, n := range []int{3, minShared / 4, maxStaged / 4} {
		b, _ := start(t, "cpu", patient)
		r := newTurner(t, b, n)
		for i := range 3 {
			r.write(r.x, float32(i+1))
			r.run()
			r.wants(r.y, float32(i+1))
			if i == 0 { // nobody knows yet that the output will be read
				r.tookCalls("first turn", 2, 0, 0, 0)
			} else {
				r.tookCalls("turn", 1, 0, 0, 0)
			}
		}
	}
}

// TestATurnInSeveralCalls: a tensor that is large, or a plugin without Execute.
func TestATurnInSeveralCalls(t *testing.T) {
	for _, n := range []int{3, maxStaged/4 + 1} {
		b, _ := start(t, "cpu", patient)
		b.o.noExecute = n == 3
		r := newTurner(t, b, n)
		for i := range 2 {
			r.write(r.x, float32(i+1))
			r.run()
			r.wants(r.y, float32(i+1))
			r.tookCalls("turn", 0, 1, 1, 1)
		}
	}
}

// TestWhatWaitsIsSeen: whatever the order of the calls, a buffer holds what was written or computed last.
func TestWhatWaitsIsSeen(t *testing.T) {
	for _, n := range []int{3, 1 << 18} {
		b, _ := start(t, "cpu", patient)
		r := newTurner(t, b, n)
		r.write(r.x, 1)
		r.write(r.x, 2)
		r.wants(r.x, 2) // what waited is in the plugin now
		r.tookCalls("written twice and read", 1, 0, 0, 0)
		r.wants(r.x, 2)
		r.write(r.y, 7)
		r.run()
		r.wants(r.y, 2) // and not what was written to the output before
		r.write(r.x, 3)
		r.run() // with its answer comes what is not read
		r.write(r.x, 4)
		r.run()
		r.wants(r.y, 4)
		r.wants(r.y, 4)
		r.run()
		r.write(r.y, 8)
		r.wants(r.y, 8) // and not what came with the answer
		r.calls.took()
		r.run() // it was read before, and is not read now
		r.run()
		r.tookCalls("runs that are not read", 1, 1, 0, 0)
		r.wants(r.y, 4)
	}
}

// TestMoreTensorsThanRegions: when many wait, those that find no room are sent at once.
func TestMoreTensorsThanRegions(t *testing.T) {
	b, _ := start(t, "cpu", patient)
	r := newTurner(t, b, 1<<18)
	var all []backend.Buffer
	for i := range 2 * maxRegions {
		buf := newBuffer(t, r.dev, r.x.Type())
		r.write(buf, float32(i))
		all = append(all, buf)
	}
	r.tookCalls("writes", 0, 0, 2*maxRegions-maxStagedRegions, 0)
	for i, buf := range all {
		r.wants(buf, float32(i))
	}
	for _, buf := range all { // without a read; the others are dropped with the device
		r.write(buf, 1)
	}
	for _, buf := range all[:3] {
		closeIt(t, buf)
	}
	if got := b.now.regions.staged; got != 1 {
		t.Errorf("got %d tensors that wait when three of four buffers are closed, want 1", got)
	}
}

// TestCloseDropsWhatWaits: nothing that waits outlives its device, or its process.
func TestCloseDropsWhatWaits(t *testing.T) {
	b, _ := start(t, "cpu", patient)
	r := newTurner(t, b, 1<<18)
	r.write(r.x, 1)
	other := newTurner(t, b, 1<<18)
	other.write(other.x, 2)
	closeIt(t, r.dev)
	rs := b.now.regions
	if rs.staged != 1 || len(rs.holders) != 1 {
		t.Errorf("got %d tensors that wait, of %d buffers, want those of the other device alone", rs.staged, len(rs.holders))
	}
	if err := r.x.Write(t.Context(), make([]byte, 4<<18)); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("got %v", err)
	}
	closeIt(t, b) // checkLeaks counts the files of what waited for other
	if rs.staged != 0 || len(rs.holders) != 0 {
		t.Errorf("got %d tensors that wait when the process is gone", rs.staged)
	}
}

// TestACancelledRunKeepsItsInputs: they wait on, and the next run has them.
func TestACancelledRunKeepsItsInputs(t *testing.T) {
	for _, n := range []int{3, 1 << 18} {
		b, w := start(t, "waits-twice", patient)
		r := newTurner(t, b, n)
		r.write(r.x, 5)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second) // long enough for the call to arrive
			if err := r.e.Run(ctx, []backend.Buffer{r.x}, []backend.Buffer{r.y}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, log:\n%s", err, w.log)
			}
			cancel()
		}
		r.run()
		r.wants(r.y, 5)
		r.write(r.x, 6)
		r.run()
		r.wants(r.y, 6)
	}
}

// TestAFailedRunKeepsItsInputs, too.
func TestAFailedRunKeepsItsInputs(t *testing.T) {
	b, _ := start(t, "fails-once", patient)
	r := newTurner(t, b, 1<<18)
	r.write(r.x, 5)
	if err := r.e.Run(t.Context(), []backend.Buffer{r.x}, []backend.Buffer{r.y}); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Fatalf("got %v", err)
	}
	r.run()
	r.wants(r.y, 5)
}

// TestManyInputsThatWait: those that fill a message go in another before.
func TestManyInputsThatWait(t *testing.T) {
	b, _ := start(t, "cpu", patient)
	dev := openDevice(t, b)
	bld := graph.NewBuilder("sum")
	n := minShared/4 - 1
	var sum *graph.Value
	for i := range 40 {
		x := bld.Input(fmt.Sprint("x", i), graph.F32(n))
		if sum == nil {
			sum = x
		} else {
			sum = bld.Node(fmt.Sprint("sum", i), graph.Add{}, sum, x)
		}
	}
	bld.Output(sum)
	g, err := bld.Build()
	if err != nil {
		t.Fatal(err)
	}
	e, err := dev.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, e)
	var in []backend.Buffer
	for range 40 {
		x := newBuffer(t, dev, graph.F32(n))
		if err := x.Write(t.Context(), floats(slices.Repeat([]float32{2}, n))); err != nil {
			t.Fatal(err)
		}
		in = append(in, x)
	}
	y := newBuffer(t, dev, graph.F32(n))
	if err := e.Run(t.Context(), in, []backend.Buffer{y}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4*n)
	if err := y.Read(t.Context(), got); err != nil || !bytes.Equal(got, floats(slices.Repeat([]float32{80}, n))) {
		t.Errorf("got % x..., %v, want all 80", got[:4], err)
	}
}
