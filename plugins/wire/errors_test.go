package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

var sentinels = map[error]codes.Code{
	backend.ErrUnsupported:   codes.Unimplemented,
	backend.ErrOutOfMemory:   codes.ResourceExhausted,
	backend.ErrDeviceLost:    codes.Aborted,
	backend.ErrClosed:        codes.FailedPrecondition,
	backend.ErrNoDevice:      codes.NotFound,
	context.Canceled:         codes.Canceled,
	context.DeadlineExceeded: codes.DeadlineExceeded,
	wire.ErrInvalid:          codes.InvalidArgument,
}

// through is an error after its way through a gRPC status in bytes.
func through(t *testing.T, err error) error {
	t.Helper()
	s, ok := status.FromError(wire.EncodeError(err))
	if !ok {
		t.Fatalf("%v is encoded to no status", err)
	}
	data, merr := proto.Marshal(s.Proto())
	if merr != nil {
		t.Fatal(merr)
	}
	p := status.New(codes.OK, "").Proto()
	if merr := proto.Unmarshal(data, p); merr != nil {
		t.Fatal(merr)
	}
	return wire.DecodeError(status.FromProto(p).Err())
}

func TestEveryKindOfErrorCrosses(t *testing.T) {
	for sent, code := range sentinels {
		err := fmt.Errorf("run %q: %w", "é", sent)
		if got := status.Code(wire.EncodeError(err)); got != code {
			t.Errorf("%v: got code %v, want %v", sent, got, code)
		}
		for what, got := range map[string]error{
			"status": through(t, err), "answer": wire.DecodeMessage(wire.EncodeMessage(err)), "bare code": wire.DecodeError(status.Error(code, err.Error())),
		} {
			if got == nil || got.Error() != err.Error() {
				t.Errorf("%v by %s: got text %v, want %v", sent, what, got, err)
			}
			for other := range sentinels {
				if errors.Is(got, other) != (other == sent) {
					t.Errorf("%v by %s: errors.Is %v is %v", sent, what, other, errors.Is(got, other))
				}
			}
		}
	}
}

func TestSeveralKindsAndShapesCross(t *testing.T) {
	shape := &graph.ShapeError{Node: "n", Op: "conv2d", Attr: "groups", Want: "1", Got: "2"}
	err := fmt.Errorf("compile: %w", errors.Join(backend.ErrUnsupported, backend.ErrDeviceLost, fmt.Errorf("node: %w", shape)))
	got := through(t, err)
	var back *graph.ShapeError
	if !errors.As(got, &back) || *back != *shape {
		t.Errorf("got shape error %+v, want %+v", back, shape)
	}
	if !errors.Is(got, backend.ErrUnsupported) || !errors.Is(got, backend.ErrDeviceLost) || errors.Is(got, backend.ErrClosed) {
		t.Errorf("got the wrong kinds in %#v", got)
	}
	if code := status.Code(wire.EncodeError(shape)); code != codes.InvalidArgument {
		t.Errorf("a bare shape error: got code %v", code)
	}
	if back = nil; !errors.As(through(t, shape), &back) || *back != *shape {
		t.Errorf("got shape error %+v, want %+v", back, shape)
	}
}

func TestErrorsWithoutAKind(t *testing.T) {
	if wire.EncodeError(nil) != nil || wire.DecodeError(nil) != nil || wire.DecodeMessage(wire.EncodeMessage(nil)) != nil {
		t.Error("no error became one")
	}
	plain := errors.New("the fan is dirty")
	if got := status.Code(wire.EncodeError(plain)); got != codes.Internal {
		t.Errorf("got code %v, want Internal", got)
	}
	if got := through(t, plain); got.Error() != plain.Error() || wire.DecodeMessage(wire.EncodeMessage(plain)) == nil {
		t.Errorf("got %v, want %v", got, plain)
	}
	if got := wire.DecodeError(io.EOF); got != io.EOF {
		t.Errorf("got %v, want io.EOF itself", got)
	}
	if got := wire.DecodeError(status.Error(codes.Unavailable, "refused")); !errors.Is(got, wire.ErrDisconnected) {
		t.Errorf("got %v, want ErrDisconnected", got)
	}
	if got := wire.DecodeMessage(wire.EncodeMessage(errors.New(""))); got == nil || got.Error() == "" {
		t.Errorf("an error without text: got %v", got)
	}
	future := &pb.Error{Kinds: []pb.ErrorKind{99, pb.ErrorKind_ERROR_KIND_CLOSED}}
	if got := wire.DecodeMessage(future); !errors.Is(got, backend.ErrClosed) || got.Error() == "" {
		t.Errorf("a kind of the future beside a known one: got %v", got)
	}
}

func TestErrorTextsAreBounded(t *testing.T) {
	long := strings.Repeat("ö\xff", 100_000)
	err := &graph.ShapeError{Node: long, Op: long, Attr: long, Want: long, Got: long}
	m := wire.EncodeMessage(fmt.Errorf("%s: %w", long, err))
	if n := proto.Size(m); n > 3<<10 {
		t.Errorf("the message has %d bytes", n)
	}
	if !utf8.ValidString(m.Message) || !strings.HasSuffix(m.Message, "...") {
		t.Errorf("the text is cut wrongly: %q", m.Message)
	}
	if n := proto.Size(status.Convert(wire.EncodeError(fmt.Errorf("%s: %w", long, err))).Proto()); n > 4<<10 {
		t.Errorf("the status has %d bytes", n)
	}
}

func TestDevicesRoundTrip(t *testing.T) {
	for kind := backend.DiscreteGPU; kind <= backend.Other; kind++ {
		want := backend.DeviceInfo{Backend: "b", ID: "0", Name: "n", Type: kind, Driver: "d 1", API: "a", MemoryBytes: 1 << 40, Properties: map[string]string{"k": "v"}}
		got, err := wire.DecodeDevice(wire.EncodeDevice(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		want.Properties = nil
		if got, err := wire.DecodeDevice(wire.EncodeDevice(want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	good := func() *pb.DeviceInfo { return &pb.DeviceInfo{Id: "0", Name: "n", Type: 5} }
	future := good()
	future.Type = 77
	if got, err := wire.DecodeDevice(future); err != nil || got.Type != backend.Other {
		t.Errorf("a type of the future: got %v, %v", got.Type, err)
	}
	for name, spoil := range map[string]func(*pb.DeviceInfo){
		"no ID": func(p *pb.DeviceInfo) { p.Id = "" }, "no name": func(p *pb.DeviceInfo) { p.Name = "" },
		"no type": func(p *pb.DeviceInfo) { p.Type = 0 }, "negative memory": func(p *pb.DeviceInfo) { p.MemoryBytes = -1 },
	} {
		p := good()
		spoil(p)
		if _, err := wire.DecodeDevice(p); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	bad := wire.EncodeDevice(backend.DeviceInfo{ID: "\xff", Name: "n", Type: backend.CPU, Properties: map[string]string{"\xfe": "\xfd"}})
	if _, err := proto.Marshal(bad); err != nil {
		t.Errorf("text that is no UTF-8: %v", err)
	}
}

func TestTimesRoundTrip(t *testing.T) {
	want := make([]backend.NodeTime, 3000)
	for i := range want {
		want[i] = backend.NodeTime{Node: fmt.Sprint("n", i), Kernel: "k", Seconds: float64(i) / 7, Reason: "r"}
	}
	var got []backend.NodeTime
	messages := wire.EncodeTimes(want)
	for _, m := range messages {
		var err error
		if got, err = wire.DecodeTimes(got, m); err != nil {
			t.Fatal(err)
		}
	}
	if len(messages) < 2 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d times in %d messages came back as %d", len(want), len(messages), len(got))
	}
	for _, s := range []float64{-1, math.Inf(1)} {
		if _, err := wire.DecodeTimes(nil, &pb.ProfileResponse{Times: []*pb.NodeTime{{Seconds: s}}}); err == nil {
			t.Errorf("%v s: want an error", s)
		}
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{"go-naive": true, "a1": true, "": false, "A": false, "a b": false, strings.Repeat("a", 65): false, "a\n": false} {
		if err := wire.CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q): got %v", name, err)
		}
	}
}
