package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/plugins/internal/shm"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/protobuf/proto"
)

func execute(ctx context.Context, c pb.BackendClient, req *pb.ExecuteRequest) ([][]byte, error) {
	resp, err := c.Execute(ctx, req)
	return resp.GetData(), wire.DecodeError(err)
}

func inShared(id, region, offset uint64) *pb.Transfer {
	return &pb.Transfer{Buffer: id, Shared: &pb.SharedRange{Region: region, Offset: offset, Length: 8}}
}

func within(id uint64, data []byte) *pb.Transfer { return &pb.Transfer{Buffer: id, Data: data} }

// Float32 tensors of two elements.
var minusOneAndTwo, zeroAndTwo = []byte{0, 0, 0x80, 0xbf, 0, 0, 0, 0x40}, []byte{0, 0, 0, 0, 0, 0, 0, 0x40}

// TestExecuteWritesRunsAndReads in one call, with each way for the tensors.
func TestExecuteWritesRunsAndReads(t *testing.T) {
	ctx := limited(t)
	c, _ := connect(t, reference.New())
	noErrors(t, open(ctx, c, 1, "cpu"), buffer(ctx, c, 1, 2, graph.F32(2)), buffer(ctx, c, 1, 3, graph.F32(2)))
	if _, err := compileGraph(ctx, c, 1, 4, relu(t, 2)); err != nil {
		t.Fatal(err)
	}
	relu := &pb.RunRequest{Executable: 4, Inputs: []uint64{2}, Outputs: []uint64{3}}
	got, err := execute(ctx, c, &pb.ExecuteRequest{Writes: []*pb.Transfer{within(2, minusOneAndTwo)}, Run: relu, Reads: []*pb.Transfer{within(3, nil), within(2, nil)}})
	if err != nil || len(got) != 2 || !bytes.Equal(got[0], zeroAndTwo) || !bytes.Equal(got[1], minusOneAndTwo) {
		t.Errorf("within the messages: got %x, %v", got, err)
	}
	r, resp := region(t, c, 6, shm.Create)
	if !resp.Accepted {
		t.Fatal(resp)
	}
	if _, err := r.WriteAt(minusOneAndTwo, 1024); err != nil {
		t.Fatal(err)
	}
	if got, err = execute(ctx, c, &pb.ExecuteRequest{Writes: []*pb.Transfer{inShared(2, 6, 1024)}, Run: relu, Reads: []*pb.Transfer{inShared(3, 6, 64)}}); err != nil || len(got) > 0 {
		t.Errorf("shared memory: got %x, %v", got, err)
	}
	if !bytes.Equal(r.Bytes()[64:72], zeroAndTwo) {
		t.Errorf("shared memory: got %x", r.Bytes()[64:72])
	}
	if got, err = execute(ctx, c, &pb.ExecuteRequest{Writes: []*pb.Transfer{within(3, minusOneAndTwo)}}); err != nil || len(got) > 0 {
		t.Errorf("a write alone: got %x, %v", got, err)
	}
	if got, err = execute(ctx, c, &pb.ExecuteRequest{Reads: []*pb.Transfer{within(3, nil)}}); err != nil || len(got) != 1 || !bytes.Equal(got[0], minusOneAndTwo) {
		t.Errorf("a read alone: got %x, %v", got, err)
	}
	if got, err = execute(ctx, c, &pb.ExecuteRequest{}); err != nil || len(got) > 0 {
		t.Errorf("nothing: got %x, %v", got, err)
	}
}

func TestExecutesThatBreakTheProtocol(t *testing.T) {
	ran := false
	ctx, c, _ := opened(t, &fake{run: func(context.Context) error {
		ran = true
		return nil
	}})
	large := wire.MaxChunkBytes/4 + 1
	noErrors(t, buffer(ctx, c, 1, 7, graph.F32(large)))
	eight, run := make([]byte, 8), &pb.RunRequest{Executable: 4, Inputs: []uint64{2}, Outputs: []uint64{3}}
	both := within(2, eight)
	both.Shared = &pb.SharedRange{Region: 9, Length: 8}
	type transfers []*pb.Transfer
	for what, e := range map[string]struct {
		writes, reads transfers
		run           *pb.RunRequest
		want          error
		text          string
	}{
		"two writes of a buffer":    {writes: transfers{within(2, eight), within(2, eight)}, run: run, want: wire.ErrInvalid, text: "want one write of a buffer"},
		"two reads of a buffer":     {reads: transfers{within(2, nil), within(2, nil)}, run: run, want: wire.ErrInvalid, text: "want one read of a buffer"},
		"data beside shared memory": {writes: transfers{both}, run: run, want: wire.ErrInvalid, text: "want no data of a write"},
		"data of a read":            {reads: transfers{within(2, eight)}, run: run, want: wire.ErrInvalid, text: "want no data of a read"},
		"too much to write":         {writes: transfers{within(7, make([]byte, 4*large))}, run: run, want: wire.ErrInvalid, text: "want at most"},
		"too much to read":          {reads: transfers{within(7, nil)}, run: run, want: wire.ErrInvalid, text: "want at most"},
		"a write of the wrong size": {writes: transfers{within(2, eight[:7])}, run: run, text: "want 8 bytes"},
		"a range of no region":      {writes: transfers{inShared(2, 9, 0)}, run: run, want: backend.ErrClosed},
		"a write of no buffer":      {writes: transfers{within(9, eight)}, run: run, want: backend.ErrClosed},
		"a read of an executable":   {reads: transfers{within(4, nil)}, run: run, want: wire.ErrInvalid},
		"a run of nothing":          {run: &pb.RunRequest{Executable: 9}, want: backend.ErrClosed},
		"a run in place":            {run: &pb.RunRequest{Executable: 4, Inputs: []uint64{2}, Outputs: []uint64{2}}, want: wire.ErrInvalid},
	} {
		_, err := execute(ctx, c, &pb.ExecuteRequest{Writes: e.writes, Run: e.run, Reads: e.reads})
		var shape *graph.ShapeError
		if err == nil || e.want != nil && !errors.Is(err, e.want) || e.want == nil && !errors.As(err, &shape) || !strings.Contains(err.Error(), e.text) {
			t.Errorf("%s: got %v, want %v, %q", what, err, e.want, e.text)
		}
		if ran {
			t.Fatalf("%s: it ran", what)
		}
	}
}

// TestExecuteThatFails returns what failed, and nothing else.
func TestExecuteThatFails(t *testing.T) {
	f := &fake{run: func(context.Context) error { return fmt.Errorf("fan: %w", backend.ErrDeviceLost) }}
	ctx, c, _ := opened(t, f)
	run := &pb.RunRequest{Executable: 4, Inputs: []uint64{2}, Outputs: []uint64{3}}
	got, err := execute(ctx, c, &pb.ExecuteRequest{Run: run, Reads: []*pb.Transfer{within(3, nil)}})
	if !errors.Is(err, backend.ErrDeviceLost) || len(got) > 0 {
		t.Errorf("got %x, %v", got, err)
	}
	f.run, f.err = nil, backend.ErrOutOfMemory
	if _, err := execute(ctx, c, &pb.ExecuteRequest{Writes: []*pb.Transfer{within(2, make([]byte, 8))}}); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("a write that fails: got %v", err)
	}
	if _, err := execute(ctx, c, &pb.ExecuteRequest{Reads: []*pb.Transfer{within(2, nil)}}); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("a read that fails: got %v", err)
	}
}

// FuzzExecute: whatever the request, an answer or an error, and data for exactly the reads without shared memory.
func FuzzExecute(f *testing.F) {
	for _, req := range []*pb.ExecuteRequest{
		{Writes: []*pb.Transfer{within(2, minusOneAndTwo)}, Run: &pb.RunRequest{Executable: 4, Inputs: []uint64{2}, Outputs: []uint64{3}}, Reads: []*pb.Transfer{within(3, nil)}},
		{Writes: []*pb.Transfer{inShared(2, 6, 1<<63)}, Reads: []*pb.Transfer{within(2, nil), within(3, nil)}},
	} {
		data, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	s := newService(&fake{}, "")
	dev := &fakeDevice{&fake{}}
	noFail := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	_, err := s.OpenDevice(context.Background(), &pb.OpenDeviceRequest{Device: 1})
	noFail(err)
	for _, id := range []uint64{2, 3} {
		_, err := s.CreateBuffer(context.Background(), &pb.CreateBufferRequest{Device: 1, Buffer: id, Type: wire.EncodeType(graph.F32(2))})
		noFail(err)
	}
	done, err := s.objects.reserve(4, s.objects.all[1])
	noFail(err)
	done(&fakeExecutable{fake: dev.fake})
	f.Fuzz(func(t *testing.T, data []byte) {
		req := &pb.ExecuteRequest{}
		if proto.Unmarshal(data, req) != nil {
			return
		}
		resp, err := s.Execute(t.Context(), req)
		if err != nil {
			return
		}
		want := 0
		for _, r := range req.Reads {
			if r.Shared == nil {
				want++
			}
		}
		if len(resp.Data) != want {
			t.Errorf("%v: got %d tensors, want %d", req, len(resp.Data), want)
		}
	})
}
