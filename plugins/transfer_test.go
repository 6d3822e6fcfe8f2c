package plugins

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/plugins/internal/shm"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

func TestTheProtocolsSizesAreThoseOfSharedMemory(t *testing.T) {
	if wire.RegionUnit != shm.Unit || wire.NonceBytes != shm.NonceBytes {
		t.Errorf("got %d and %d, want %d and %d", shm.Unit, shm.NonceBytes, wire.RegionUnit, wire.NonceBytes)
	}
}

func TestWritesThatBreakTheProtocol(t *testing.T) {
	ctx, c, _ := opened(t, &fake{})
	eight := make([]byte, 8)
	for what, c := range map[string]struct {
		got   error
		shape bool
		text  string
	}{
		"nothing":            {write(ctx, c), false, "want the start first"},
		"a chunk first":      {write(ctx, c, chunk(eight)), false, "want the start first"},
		"two starts":         {write(ctx, c, writeStart(2, nil), writeStart(2, nil)), false, "want a chunk"},
		"an empty chunk":     {write(ctx, c, writeStart(2, nil), chunk(nil)), false, "want 1 to"},
		"too much":           {write(ctx, c, writeStart(2, nil), chunk(eight), chunk(eight[:1])), false, "want at most the 0 bytes"},
		"a chunk too large":  {write(ctx, c, writeStart(2, nil), chunk(make([]byte, wire.MaxChunkBytes+1))), false, "want 1 to"},
		"too little":         {write(ctx, c, writeStart(2, nil), chunk(eight[:7])), true, "want 8 bytes"},
		"no chunk":           {write(ctx, c, writeStart(2, nil)), true, "want 8 bytes"},
		"a wrong range":      {write(ctx, c, writeStart(2, &pb.SharedRange{Region: 9, Length: 7})), true, "want 8 bytes"},
		"a chunk and memory": {write(ctx, c, writeStart(2, &pb.SharedRange{Region: 9, Length: 8}), chunk(eight)), false, "want no chunk"},
	} {
		var shape *graph.ShapeError
		if c.got == nil || !strings.Contains(c.got.Error(), c.text) || errors.As(c.got, &shape) != c.shape || !c.shape && !errors.Is(c.got, wire.ErrInvalid) {
			t.Errorf("%s: got %v, want %q, a shape error: %v", what, c.got, c.text, c.shape)
		}
	}
	noErrors(t, write(ctx, c, writeStart(2, nil), chunk(eight[:3]), chunk(eight[3:])))
}

func TestGraphsThatBreakTheProtocol(t *testing.T) {
	ctx, c, _ := opened(t, &fake{})
	start := &pb.CompileRequest{Part: &pb.CompileRequest_Start{Start: &pb.CompileStart{Device: 1, Executable: 5}}}
	structure := func(g *pb.Graph) *pb.CompileRequest {
		return &pb.CompileRequest{Part: &pb.CompileRequest_Graph{Graph: g}}
	}
	later, err := wire.EncodeGraph(relu(t, 2))
	noErrors(t, err)
	later.Nodes[0].Op = &pb.Op{}
	for what, m := range map[string]struct {
		send []*pb.CompileRequest
		want error
	}{
		"nothing":              {nil, wire.ErrInvalid},
		"no start":             {[]*pb.CompileRequest{structure(later)}, wire.ErrInvalid},
		"a start alone":        {[]*pb.CompileRequest{start}, wire.ErrInvalid},
		"no inputs":            {[]*pb.CompileRequest{start, structure(&pb.Graph{Name: "g"})}, wire.ErrInvalid},
		"a part without parts": {[]*pb.CompileRequest{start, {}}, wire.ErrInvalid},
		"an op of later":       {[]*pb.CompileRequest{start, structure(later)}, backend.ErrUnsupported},
	} {
		stream, err := c.Compile(ctx)
		noErrors(t, err)
		for _, part := range m.send {
			if stream.Send(part) != nil { // the reason comes with the answer
				break
			}
		}
		if _, err = stream.CloseAndRecv(); !errors.Is(wire.DecodeError(err), m.want) {
			t.Errorf("%s: got %v, want %v", what, err, m.want)
		}
	}
	if _, err := compileGraph(ctx, c, 1, 5, relu(t, 2)); err != nil { // the id is still free
		t.Error(err)
	}
}

// region makes a region and offers it under that id.
func region(t *testing.T, c pb.BackendClient, id uint64, create func(int) (*shm.Region, error)) (*shm.Region, *pb.OpenRegionResponse) {
	t.Helper()
	r, err := create(2 * shm.Unit)
	if errors.Is(err, shm.ErrUnavailable) {
		t.Skip(err)
	}
	noErrors(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	resp, err := c.OpenRegion(limited(t), &pb.OpenRegionRequest{Region: id, Path: r.Path(), Size: 2 * shm.Unit, Nonce: r.Nonce()})
	noErrors(t, err)
	return r, resp
}

func TestTensorsGoThroughSharedMemory(t *testing.T) {
	for what, create := range map[string]func(int) (*shm.Region, error){
		"memfd": shm.Create,
		"file":  func(size int) (*shm.Region, error) { return shm.CreateFile(t.TempDir(), size) },
	} {
		t.Run(what, func(t *testing.T) {
			ctx, c, _ := opened(t, &fake{})
			r, resp := region(t, c, 6, create)
			if !resp.Accepted || !r.Proved() {
				t.Fatalf("got %v, proved %v", resp, r.Proved())
			}
			noErrors(t, r.Unlink())
			want := []byte("eight by")
			last := int64(2*shm.Unit - 8)
			if _, err := r.WriteAt(want, last); err != nil {
				t.Fatal(err)
			}
			noErrors(t, write(ctx, c, writeStart(2, &pb.SharedRange{Region: 6, Offset: uint64(last), Length: 8})))
			if got, err := read(ctx, c, 2, nil); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
			if got, err := read(ctx, c, 2, &pb.SharedRange{Region: 6, Offset: 1024, Length: 8}); err != nil || len(got) > 0 {
				t.Errorf("read: got %d bytes by the wire, %v", len(got), err)
			}
			got := make([]byte, 24)
			if _, err := r.ReadAt(got, 1016); err != nil || !bytes.Equal(got, append(append(make([]byte, 8), want...), make([]byte, 8)...)) {
				t.Errorf("got %q, %v, want the tensor and nothing beside it", got, err)
			}
			noErrors(t, closeObject(ctx, c, 6))
			if err := write(ctx, c, writeStart(2, &pb.SharedRange{Region: 6, Length: 8})); !errors.Is(err, backend.ErrClosed) {
				t.Errorf("a closed region: got %v", err)
			}
		})
	}
}

func TestRangesOfSharedMemoryAreChecked(t *testing.T) {
	ctx, c, _ := opened(t, &fake{})
	_, resp := region(t, c, 6, shm.Create)
	if !resp.Accepted {
		t.Fatal(resp)
	}
	for _, rng := range []*pb.SharedRange{{Region: 6, Offset: 2*shm.Unit - 7, Length: 8}, {Region: 6, Offset: 1<<64 - 4, Length: 8}, {Region: 2, Length: 8}} {
		if err := write(ctx, c, writeStart(2, rng)); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("write %v: got %v", rng, err)
		}
		if _, err := read(ctx, c, 2, rng); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("read %v: got %v", rng, err)
		}
	}
	var shape *graph.ShapeError
	if _, err := read(ctx, c, 2, &pb.SharedRange{Region: 6, Length: 9}); !errors.As(err, &shape) {
		t.Errorf("a length that is not the tensor's: got %v", err)
	}
}

func TestARegionIsDeclinedWithAReason(t *testing.T) {
	ctx, c, _ := opened(t, &fake{})
	nonce := make([]byte, shm.NonceBytes)
	for _, req := range []*pb.OpenRegionRequest{
		{Region: 6, Path: "/proc/self/exe", Size: shm.Unit, Nonce: nonce}, {Region: 6, Path: "none", Size: shm.Unit, Nonce: nonce},
		{Region: 6, Path: "/dev/zero", Size: shm.Unit, Nonce: nonce}, {Region: 6, Path: "/dev/zero", Size: 1, Nonce: nonce},
	} {
		resp, err := c.OpenRegion(ctx, req)
		if err != nil || resp.Accepted || resp.Reason == "" {
			t.Errorf("%v: got %v, %v, want a refusal with a reason", req, resp, err)
		}
	}
	r, resp := region(t, c, 6, shm.Create) // the id was not used up
	if !resp.Accepted {
		t.Error(resp)
	}
	_, err := c.OpenRegion(ctx, &pb.OpenRegionRequest{Region: 6, Path: r.Path(), Size: 2 * shm.Unit, Nonce: r.Nonce()})
	if !errors.Is(wire.DecodeError(err), wire.ErrInvalid) {
		t.Errorf("an id that is taken: got %v", err)
	}
}
