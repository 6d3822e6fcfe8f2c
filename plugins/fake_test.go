package plugins

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// connect serves a backend within the process and returns the host's side of the connection.
func connect(t *testing.T, b backend.Backend) (pb.BackendClient, *service) {
	t.Helper()
	s := newService(b, "v1.2.3")
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(s.options()...)
	pb.RegisterBackendServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:plugin", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return pb.NewBackendClient(conn), s
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// fake is a backend with one device that computes nothing. Each function may be nil; run and compile may block.
type fake struct {
	err     error // of every call but those below
	compile func(ctx context.Context) error
	run     func(ctx context.Context) error
	profile bool
	closes  chan string // receives what is closed
}

func (f *fake) Name() string { return "fake" }

func (f *fake) Devices(context.Context) ([]backend.DeviceInfo, error) {
	return []backend.DeviceInfo{f.info()}, f.err
}

func (f *fake) info() backend.DeviceInfo {
	return backend.DeviceInfo{Backend: "not its name", ID: "one", Name: "Fake", Type: backend.Other, Properties: map[string]string{"lanes": "4"}}
}

func (f *fake) Open(context.Context, string) (backend.Device, error) {
	return &fakeDevice{f}, f.err
}

func (f *fake) close(what string) error {
	if f.closes != nil {
		f.closes <- what
	}
	return nil
}

type fakeDevice struct{ *fake }

func (d *fakeDevice) Info() backend.DeviceInfo   { return d.info() }
func (d *fakeDevice) Supports(*graph.Node) error { return d.err }
func (d *fakeDevice) Close() error               { return d.close("device") }

func (d *fakeDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if d.compile != nil {
		if err := d.compile(ctx); err != nil {
			return nil, err
		}
	}
	e := &fakeExecutable{d.fake, g.Signature()}
	if d.profile {
		return &fakeProfiler{e}, nil
	}
	return e, nil
}

func (d *fakeDevice) NewBuffer(_ context.Context, t graph.TensorType) (backend.Buffer, error) {
	return &fakeBuffer{d.fake, t, make([]byte, t.SizeBytes())}, d.err
}

type fakeExecutable struct {
	*fake
	sig graph.Signature
}

func (e *fakeExecutable) Signature() graph.Signature { return e.sig }
func (e *fakeExecutable) Close() error               { return e.close("executable") }

func (e *fakeExecutable) Run(ctx context.Context, _, _ []backend.Buffer) error {
	if e.run != nil {
		return e.run(ctx)
	}
	return e.err
}

type fakeProfiler struct{ *fakeExecutable }

func (e *fakeProfiler) Profile(context.Context, []backend.Buffer, []backend.Buffer) ([]backend.NodeTime, error) {
	return []backend.NodeTime{{Node: "relu", Kernel: "none", Seconds: 0.25}}, nil
}

type fakeBuffer struct {
	*fake
	typ  graph.TensorType
	data []byte
}

func (b *fakeBuffer) Type() graph.TensorType { return b.typ }
func (b *fakeBuffer) Close() error           { return b.close("buffer") }

func (b *fakeBuffer) Write(_ context.Context, src []byte) error {
	copy(b.data, src)
	return b.err
}

func (b *fakeBuffer) Read(_ context.Context, dst []byte) error {
	copy(dst, b.data)
	return b.err
}

// relu is a graph of one node: x [n] to max(x, 0).
func relu(t *testing.T, n int) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("relu")
	b.Output(b.Node("relu", graph.ReLU{}, b.Input("x", graph.F32(n))))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The calls of a host, with the errors as it sees them.

func open(ctx context.Context, c pb.BackendClient, device uint64, name string) error {
	_, err := c.OpenDevice(ctx, &pb.OpenDeviceRequest{DeviceId: name, Device: device})
	return wire.DecodeError(err)
}

func buffer(ctx context.Context, c pb.BackendClient, device, id uint64, t graph.TensorType) error {
	_, err := c.CreateBuffer(ctx, &pb.CreateBufferRequest{Device: device, Buffer: id, Type: wire.EncodeType(t)})
	return wire.DecodeError(err)
}

func compileGraph(ctx context.Context, c pb.BackendClient, device, id uint64, g *graph.Graph) (*pb.CompileResponse, error) {
	stream, err := c.Compile(ctx)
	if err != nil {
		return nil, wire.DecodeError(err)
	}
	err = stream.Send(&pb.CompileRequest{Part: &pb.CompileRequest_Start{Start: &pb.CompileStart{Device: device, Executable: id}}})
	if err == nil {
		err = wire.SendGraph(g, stream.Send)
	}
	if err != nil && !errors.Is(err, io.EOF) { // with io.EOF the reason comes with the answer
		return nil, err
	}
	resp, err := stream.CloseAndRecv()
	return resp, wire.DecodeError(err)
}

// write sends messages as they are.
func write(ctx context.Context, c pb.BackendClient, messages ...*pb.WriteBufferRequest) error {
	stream, err := c.WriteBuffer(ctx)
	if err != nil {
		return wire.DecodeError(err)
	}
	for _, m := range messages {
		if err := stream.Send(m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	_, err = stream.CloseAndRecv()
	return wire.DecodeError(err)
}

func writeStart(id uint64, shared *pb.SharedRange) *pb.WriteBufferRequest {
	return &pb.WriteBufferRequest{Part: &pb.WriteBufferRequest_Start{Start: &pb.WriteBufferStart{Buffer: id, Shared: shared}}}
}

func chunk(data []byte) *pb.WriteBufferRequest {
	return &pb.WriteBufferRequest{Part: &pb.WriteBufferRequest_Chunk{Chunk: data}}
}

func read(ctx context.Context, c pb.BackendClient, id uint64, shared *pb.SharedRange) ([]byte, error) {
	stream, err := c.ReadBuffer(ctx, &pb.ReadBufferRequest{Buffer: id, Shared: shared})
	if err != nil {
		return nil, wire.DecodeError(err)
	}
	var data []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, wire.DecodeError(err)
		}
		if len(m.GetChunk()) == 0 || len(m.GetChunk()) > wire.MaxChunkBytes {
			return nil, errors.New("a chunk that is empty or too large")
		}
		data = append(data, m.GetChunk()...)
	}
}

func run(ctx context.Context, c pb.BackendClient, exe uint64, in, out []uint64) error {
	_, err := c.Run(ctx, &pb.RunRequest{Executable: exe, Inputs: in, Outputs: out})
	return wire.DecodeError(err)
}

func closeObject(ctx context.Context, c pb.BackendClient, id uint64) error {
	_, err := c.Close(ctx, &pb.CloseRequest{Object: id})
	return wire.DecodeError(err)
}

// noErrors fails the test at the first error.
func noErrors(t *testing.T, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}
