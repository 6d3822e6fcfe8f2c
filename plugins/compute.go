package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
)

func (s *service) Compile(stream grpc.ClientStreamingServer[pb.CompileRequest, pb.CompileResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return missing("compile", err)
	}
	start := first.GetStart()
	if start == nil {
		return fmt.Errorf("compile: %w: want the start first, got another part", wire.ErrInvalid)
	}
	o, dev, err := use[backend.Device](&s.objects, start.GetDevice())
	if err != nil {
		return err
	}
	defer s.objects.release(o)
	resp := &pb.CompileResponse{}
	err = s.make(start.GetExecutable(), o, func() (io.Closer, error) {
		exe, err := compile(stream, dev)
		if err != nil {
			return nil, err
		}
		sig := exe.Signature()
		resp.Inputs, resp.Outputs = wire.EncodePorts(sig.Inputs), wire.EncodePorts(sig.Outputs)
		_, resp.Profiler = exe.(backend.Profiler)
		if t, ok := exe.(backend.Transformer); ok {
			resp.Transforms = wire.EncodeTransforms(t.Transforms())
		}
		if m, ok := exe.(backend.MixedPrecision); ok {
			resp.Precisions = wire.EncodePrecisions(m.Precisions())
		}
		return exe, nil
	})
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

func compile(stream grpc.ClientStreamingServer[pb.CompileRequest, pb.CompileResponse], dev backend.Device) (backend.Executable, error) {
	var broken error // of the stream, as it is
	g, err := wire.ReceiveGraph(func() (*pb.CompileRequest, error) {
		m, err := stream.Recv()
		if err != nil && !errors.Is(err, io.EOF) {
			broken = err
		}
		return m, err
	}, 0)
	switch {
	case broken != nil:
		return nil, broken
	case err != nil && backend.IsUnsupported(err): // an operation or type of a later version
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", wire.ErrInvalid, err)
	}
	return dev.Compile(stream.Context(), g)
}

// missing is the error for a stream that ended before its first message.
func missing(call string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w: want the start first, got nothing", call, wire.ErrInvalid)
	}
	return err
}

func (s *service) Run(ctx context.Context, req *pb.RunRequest) (*pb.RunResponse, error) {
	return &pb.RunResponse{}, s.run(ctx, req, func(exe backend.Executable, in, out []backend.Buffer) error {
		return exe.Run(ctx, in, out)
	})
}

func (s *service) Profile(req *pb.RunRequest, stream grpc.ServerStreamingServer[pb.ProfileResponse]) error {
	var times []backend.NodeTime
	err := s.run(stream.Context(), req, func(exe backend.Executable, in, out []backend.Buffer) (err error) {
		p, ok := exe.(backend.Profiler)
		if !ok {
			return fmt.Errorf("profile: %w", backend.Unsupported("executable", "one with a profiler", "one without"))
		}
		times, err = p.Profile(stream.Context(), in, out)
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range wire.EncodeTimes(times) {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// run does a run when it has the turn of each buffer.
func (s *service) run(ctx context.Context, req *pb.RunRequest, do func(exe backend.Executable, in, out []backend.Buffer) error) error {
	buffers, release, err := s.hold(ctx, slices.Concat(req.GetInputs(), req.GetOutputs()))
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	defer release()
	return s.runWith(buffers, req, do)
}

// runWith does a run with buffers whose turn the call has.
func (s *service) runWith(buffers map[uint64]backend.Buffer, req *pb.RunRequest, do func(exe backend.Executable, in, out []backend.Buffer) error) error {
	o, exe, err := use[backend.Executable](&s.objects, req.GetExecutable())
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	defer s.objects.release(o)
	given := map[uint64]bool{}
	for _, id := range req.GetInputs() {
		given[id] = true
	}
	for i, id := range req.GetOutputs() {
		if given[id] {
			return fmt.Errorf("run: %w: output %d: want a buffer that is given once, got object %d again", wire.ErrInvalid, i, id)
		}
		given[id] = true
	}
	pick := func(ids []uint64) []backend.Buffer {
		list := make([]backend.Buffer, len(ids))
		for i, id := range ids {
			list[i] = buffers[id]
		}
		return list
	}
	return do(exe, pick(req.GetInputs()), pick(req.GetOutputs()))
}

// hold finds buffers, keeps them from being closed and waits for the turn of each, until release is called. An id may be
// given several times.
func (s *service) hold(ctx context.Context, ids []uint64) (buffers map[uint64]backend.Buffer, release func(), err error) {
	ids = slices.Clone(ids)
	slices.Sort(ids) // everybody takes turns in the same order, so that none waits for one who waits for him
	buffers = map[uint64]backend.Buffer{}
	var held []*object
	release = func() {
		for _, o := range held {
			o.give()
			s.objects.release(o)
		}
	}
	for _, id := range slices.Compact(ids) {
		o, b, err := use[backend.Buffer](&s.objects, id)
		if err == nil {
			if err = o.take(ctx); err != nil {
				s.objects.release(o)
				err = fmt.Errorf("wait for buffer %d: %w", id, err)
			}
		}
		if err != nil {
			release()
			return nil, nil, err
		}
		held = append(held, o)
		buffers[id] = b
	}
	return buffers, release, nil
}
