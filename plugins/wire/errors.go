package wire

import (
	"context"
	"errors"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrInvalid: a request broke the protocol or the contract of package backend.
	ErrInvalid = errors.New("invalid request")
	// ErrDisconnected: the other side is gone or cannot be reached.
	ErrDisconnected = errors.New("disconnected")
)

// kinds are the errors that cross the wire by name, each with the gRPC code that stands for it. The first that holds
// decides the code, so the more telling come first.
var kinds = []struct {
	err  error
	kind pb.ErrorKind
	code codes.Code
}{
	{backend.ErrDeviceLost, pb.ErrorKind_ERROR_KIND_DEVICE_LOST, codes.Aborted},
	{backend.ErrClosed, pb.ErrorKind_ERROR_KIND_CLOSED, codes.FailedPrecondition},
	{backend.ErrOutOfMemory, pb.ErrorKind_ERROR_KIND_OUT_OF_MEMORY, codes.ResourceExhausted},
	{backend.ErrUnsupported, pb.ErrorKind_ERROR_KIND_UNSUPPORTED, codes.Unimplemented},
	{backend.ErrNoDevice, pb.ErrorKind_ERROR_KIND_NO_DEVICE, codes.NotFound},
	{context.Canceled, pb.ErrorKind_ERROR_KIND_CANCELLED, codes.Canceled},
	{context.DeadlineExceeded, pb.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED, codes.DeadlineExceeded},
	{ErrInvalid, pb.ErrorKind_ERROR_KIND_INVALID, codes.InvalidArgument},
}

// RemoteError is an error of the other side. errors.Is finds the sentinels of package backend, of package context and
// [ErrInvalid] in it, errors.As a *[graph.ShapeError].
type RemoteError struct {
	Code    codes.Code // OK for an answer of Supports
	Kinds   []error    // the sentinels that hold
	Shape   *graph.ShapeError
	Message string
}

// Error returns the message of the other side.
func (e *RemoteError) Error() string { return e.Message }

// Unwrap returns the sentinels and the shape error.
func (e *RemoteError) Unwrap() []error {
	all := append([]error(nil), e.Kinds...)
	if e.Shape != nil {
		all = append(all, e.Shape)
	}
	return all
}

// EncodeError makes the status error by which a gRPC handler returns err; nil stays nil. An error of no kind has the
// code Internal; one that is a gRPC status already, as those of streams are, keeps its code.
func EncodeError(err error) error {
	if err == nil {
		return nil
	}
	m := EncodeMessage(err)
	code := codes.Internal
	if s, ok := status.FromError(err); ok {
		code = s.Code()
	}
	for _, k := range kinds {
		if len(m.Kinds) > 0 && m.Kinds[0] == k.kind {
			code = k.code
		}
	}
	if len(m.Kinds) == 0 && m.Shape != nil {
		code = codes.InvalidArgument
	}
	s := status.New(code, m.Message)
	m.Message = "" // it is the status's
	if full, err := s.WithDetails(m); err == nil {
		s = full
	}
	return s.Err()
}

// EncodeMessage is the message form of an error, for [pb.SupportsResponse]; a nil error becomes the empty message.
func EncodeMessage(err error) *pb.Error {
	m := &pb.Error{}
	if err == nil {
		return m
	}
	m.Message = clip(err.Error(), MaxTextBytes)
	if m.Message == "" {
		m.Message = "unknown error"
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			m.Kinds = append(m.Kinds, k.kind)
		}
	}
	var shape *graph.ShapeError
	if errors.As(err, &shape) {
		c := func(s string) string { return clip(s, maxFieldBytes) }
		m.Shape = &pb.ShapeError{Node: c(shape.Node), Op: c(shape.Op), Attribute: c(shape.Attr), Want: c(shape.Want), Got: c(shape.Got)}
	}
	return m
}

// DecodeMessage is the inverse of [EncodeMessage]: nil for the empty message, else a *[RemoteError].
func DecodeMessage(m *pb.Error) error {
	if m == nil || len(m.Kinds) == 0 && m.Message == "" && m.Shape == nil {
		return nil
	}
	return remote(m, codes.OK, m.Message)
}

// DecodeError is the inverse of [EncodeError], for what a gRPC call returned. The result is nil or a *[RemoteError],
// but for errors that are no status, which are returned as they are, io.EOF among them. A status without our
// detail is told by its code, and [ErrDisconnected] is in those that gRPC makes when it cannot reach the other side.
func DecodeError(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, d := range s.Details() {
		if m, ok := d.(*pb.Error); ok {
			text := m.Message
			if text == "" {
				text = s.Message()
			}
			return remote(m, s.Code(), text)
		}
	}
	e := &RemoteError{Code: s.Code(), Message: s.Message()}
	if s.Code() == codes.Unavailable {
		e.Kinds = []error{ErrDisconnected}
	}
	for _, k := range kinds {
		if k.code == s.Code() {
			e.Kinds = []error{k.err}
		}
	}
	if e.Message == "" {
		e.Message = s.Code().String()
	}
	return e
}

func remote(m *pb.Error, code codes.Code, text string) *RemoteError {
	e := &RemoteError{Code: code, Message: text}
	for _, k := range kinds {
		for _, got := range m.Kinds {
			if got == k.kind {
				e.Kinds = append(e.Kinds, k.err)
				break
			}
		}
	}
	if s := m.Shape; s != nil {
		e.Shape = &graph.ShapeError{Node: s.Node, Op: s.Op, Attr: s.Attribute, Want: s.Want, Got: s.Got}
	}
	if e.Message == "" && e.Shape != nil {
		e.Message = e.Shape.Error()
	}
	if e.Message == "" {
		e.Message = "refused without a reason"
	}
	return e
}

// clip makes s valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}
