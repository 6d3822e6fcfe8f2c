package plugins

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

func TestDescribeAndDevicesTellTheBackend(t *testing.T) {
	c, _ := connect(t, &fake{})
	d, err := c.Describe(limited(t), &pb.DescribeRequest{})
	if err != nil || d.Name != "fake" || d.Version != "v1.2.3" || d.Capabilities.GetSharedMemory() != (runtime.GOOS == "linux") {
		t.Errorf("got %v, %v", d, err)
	}
	list, err := c.ListDevices(limited(t), &pb.ListDevicesRequest{})
	if err != nil || len(list.Devices) != 1 {
		t.Fatalf("got %v, %v, want one device", list, err)
	}
	info, err := wire.DecodeDevice(list.Devices[0])
	if err != nil || info.Backend != "fake" || info.ID != "one" || info.Type != backend.Other || info.Properties["lanes"] != "4" {
		t.Errorf("got %+v, %v, want the fake's, under its backend's name", info, err)
	}
}

// TestAGraphRuns takes the way of a host with the reference and numbers that are known.
func TestAGraphRuns(t *testing.T) {
	ctx := limited(t)
	c, _ := connect(t, reference.New())
	n := wire.MaxChunkBytes/4 + 3 // more than one chunk
	g := relu(t, n)
	noErrors(t, open(ctx, c, 1, "cpu"), buffer(ctx, c, 1, 2, graph.F32(n)), buffer(ctx, c, 1, 3, graph.F32(n)))
	resp, err := compileGraph(ctx, c, 1, 4, g)
	if err != nil || len(resp.Inputs) != 1 || resp.Inputs[0].Name != "x" || len(resp.Outputs) != 1 || resp.Outputs[0].Name != "relu" || resp.Profiler {
		t.Fatalf("compile: got %v, %v", resp, err)
	}
	in, want := make([]byte, 4*n), make([]byte, 4*n)
	for i := range n {
		v := float32(i%7 - 3)
		binary.LittleEndian.PutUint32(in[4*i:], math.Float32bits(v))
		binary.LittleEndian.PutUint32(want[4*i:], math.Float32bits(max(v, 0)))
	}
	messages := []*pb.WriteBufferRequest{writeStart(2, nil)}
	noErrors(t, wire.Chunks(in, func(data []byte) error {
		messages = append(messages, chunk(data))
		return nil
	}))
	noErrors(t, write(ctx, c, messages...), run(ctx, c, 4, []uint64{2}, []uint64{3}))
	got, err := read(ctx, c, 3, nil)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %d bytes, %v: not max(x, 0)", len(got), err)
	}
	noErrors(t, closeObject(ctx, c, 1))
	if err := run(ctx, c, 4, []uint64{2}, []uint64{3}); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("run after its device was closed: got %v", err)
	}
}

func TestEveryErrorCrosses(t *testing.T) {
	for _, want := range []error{backend.ErrUnsupported, backend.ErrOutOfMemory, backend.ErrDeviceLost, backend.ErrClosed, backend.ErrNoDevice,
		context.Canceled, context.DeadlineExceeded, &graph.ShapeError{Node: "n", Want: "a", Got: "b"}} {
		ctx := limited(t)
		f := &fake{}
		c, _ := connect(t, f)
		noErrors(t, open(ctx, c, 1, "one"), buffer(ctx, c, 1, 2, graph.F32(2)), buffer(ctx, c, 1, 3, graph.F32(2)))
		if _, err := compileGraph(ctx, c, 1, 4, relu(t, 2)); err != nil {
			t.Fatal(err)
		}
		f.err = fmt.Errorf("somewhere deep: %w", want)
		f.compile = func(context.Context) error { return f.err }
		_, listed := c.ListDevices(ctx, &pb.ListDevicesRequest{})
		_, compiled := compileGraph(ctx, c, 1, 12, relu(t, 2))
		_, readErr := read(ctx, c, 2, nil)
		for call, err := range map[string]error{
			"list": wire.DecodeError(listed), "open": open(ctx, c, 10, "one"), "buffer": buffer(ctx, c, 1, 11, graph.F32(2)), "compile": compiled,
			"write": write(ctx, c, writeStart(2, nil), chunk(make([]byte, 8))), "read": readErr, "run": run(ctx, c, 4, []uint64{2}, []uint64{3}),
		} {
			var shape *graph.ShapeError
			if s, ok := want.(*graph.ShapeError); ok {
				if !errors.As(err, &shape) || *shape != *s {
					t.Errorf("%s: got %v, want the shape error %v", call, err, want)
				}
			} else if !errors.Is(err, want) || !strings.Contains(err.Error(), "somewhere deep") {
				t.Errorf("%s: got %v, want %v and its text", call, err, want)
			}
		}
		// What was not made can be made later, under another id or the same.
		f.err, f.compile = nil, nil
		noErrors(t, open(ctx, c, 10, "one"), buffer(ctx, c, 1, 11, graph.F32(2)))
	}
}

func TestAPanicIsAnErrorOfItsCall(t *testing.T) {
	ctx := limited(t)
	f := &fake{run: func(context.Context) error { panic("an index somewhere") }}
	c, _ := connect(t, f)
	noErrors(t, open(ctx, c, 1, "one"), buffer(ctx, c, 1, 2, graph.F32(2)), buffer(ctx, c, 1, 3, graph.F32(2)))
	if _, err := compileGraph(ctx, c, 1, 4, relu(t, 2)); err != nil {
		t.Fatal(err)
	}
	err := run(ctx, c, 4, []uint64{2}, []uint64{3})
	if err == nil || !strings.Contains(err.Error(), "panic in the backend: an index somewhere") {
		t.Errorf("got %v, want the panic", err)
	}
	f.run = nil
	noErrors(t, run(ctx, c, 4, []uint64{2}, []uint64{3}), write(ctx, c, writeStart(2, nil), chunk(make([]byte, 8))), closeObject(ctx, c, 4))
	f.compile = func(context.Context) error { panic("in compile") }
	if _, err := compileGraph(ctx, c, 1, 5, relu(t, 2)); err == nil || !strings.Contains(err.Error(), "in compile") {
		t.Errorf("got %v, want the panic", err)
	}
	noErrors(t, closeObject(ctx, c, 5), closeObject(ctx, c, 1))
}

func TestSupportsAnswersEachNode(t *testing.T) {
	ctx := limited(t)
	c, _ := connect(t, reference.New())
	noErrors(t, open(ctx, c, 1, "cpu"))
	yes, err := wire.EncodeNode(relu(t, 3).Nodes[0])
	noErrors(t, err)
	no, err := wire.EncodeNode(relu(t, 3).Nodes[0])
	noErrors(t, err)
	no.Op = &pb.Op{} // of a later version
	wrong, err := wire.EncodeNode(relu(t, 3).Nodes[0])
	noErrors(t, err)
	wrong.Result = wire.EncodeType(graph.F32(4))
	resp, err := c.Supports(ctx, &pb.SupportsRequest{Device: 1, Nodes: []*pb.NodeQuery{yes, no, wrong, yes}})
	if err != nil || len(resp.Answers) != 4 {
		t.Fatalf("got %v, %v, want four answers", resp, err)
	}
	for i, supported := range []bool{true, false, false, true} {
		err := wire.DecodeMessage(resp.Answers[i])
		if supported && err != nil || !supported && !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("answer %d: got %v, want supported: %v", i, err, supported)
		}
	}
	_, err = c.Supports(ctx, &pb.SupportsRequest{Device: 1, Nodes: slices.Repeat([]*pb.NodeQuery{yes}, wire.MaxSupportsNodes+1)})
	if err := wire.DecodeError(err); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("too many nodes: got %v", err)
	}
	noErrors(t, closeObject(ctx, c, 1))
	_, err = c.Supports(ctx, &pb.SupportsRequest{Device: 1, Nodes: []*pb.NodeQuery{yes}})
	if err := wire.DecodeError(err); !errors.Is(err, backend.ErrClosed) {
		t.Errorf("a closed device: got %v", err)
	}
}

func TestProfile(t *testing.T) {
	ctx := limited(t)
	f := &fake{profile: true}
	c, _ := connect(t, f)
	noErrors(t, open(ctx, c, 1, "one"), buffer(ctx, c, 1, 2, graph.F32(2)), buffer(ctx, c, 1, 3, graph.F32(2)))
	resp, err := compileGraph(ctx, c, 1, 4, relu(t, 2))
	if err != nil || !resp.Profiler {
		t.Fatalf("got %v, %v, want a profiler", resp, err)
	}
	f.profile = false
	if resp, err := compileGraph(ctx, c, 1, 5, relu(t, 2)); err != nil || resp.Profiler {
		t.Fatalf("got %v, %v, want no profiler", resp, err)
	}
	profile := func(exe uint64) (*pb.ProfileResponse, error) {
		stream, err := c.Profile(ctx, &pb.RunRequest{Executable: exe, Inputs: []uint64{2}, Outputs: []uint64{3}})
		if err != nil {
			return nil, err
		}
		m, err := stream.Recv()
		return m, wire.DecodeError(err)
	}
	m, err := profile(4)
	if err != nil || len(m.Times) != 1 || m.Times[0].Node != "relu" || m.Times[0].Kernel != "none" || m.Times[0].Seconds != 0.25 {
		t.Errorf("got %v, %v", m, err)
	}
	if _, err := profile(5); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("without a profiler: got %v", err)
	}
}

func TestASessionIsOneAndTellsWhenTheHostIsGone(t *testing.T) {
	c, s := connect(t, &fake{})
	ctx, gone := context.WithCancel(limited(t))
	stream, err := c.Session(ctx, &pb.SessionRequest{})
	noErrors(t, err)
	if _, err := stream.Recv(); err != nil {
		t.Fatalf("the first event: %v", err)
	}
	second, err := c.Session(limited(t), &pb.SessionRequest{})
	noErrors(t, err)
	if _, err := second.Recv(); !errors.Is(wire.DecodeError(err), wire.ErrInvalid) {
		t.Errorf("a second session: got %v", err)
	}
	select {
	case <-s.ended:
		t.Fatal("ended while the host is there")
	default:
	}
	gone()
	s.await(patience)
	select {
	case <-s.ended:
	default:
		t.Error("await came back before the session's end")
	}
}

func TestWithoutASessionThePluginEnds(t *testing.T) {
	_, s := connect(t, &fake{})
	s.await(1) // comes back, which is what it must
}

// TestFieldsOfLaterVersionsAreIgnored where a message is not frozen.
func TestFieldsOfLaterVersionsAreIgnored(t *testing.T) {
	ctx, c, _ := opened(t, &fake{})
	later := []byte{0xfa, 0xff, 0x03, 0x02, 'h', 'i'} // field 8191, two bytes
	describe, execute := &pb.DescribeRequest{Capabilities: &pb.HostCapabilities{}}, &pb.ExecuteRequest{Reads: []*pb.Transfer{within(2, nil)}}
	describe.Capabilities.ProtoReflect().SetUnknown(later)
	execute.ProtoReflect().SetUnknown(later)
	if d, err := c.Describe(ctx, describe); err != nil || d.GetName() != "fake" {
		t.Errorf("describe: got %v, %v", d, err)
	}
	if r, err := c.Execute(ctx, execute); err != nil || len(r.GetData()) != 1 {
		t.Errorf("execute: got %v, %v", r, err)
	}
}
