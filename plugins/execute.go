package plugins

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// Execute writes, runs and reads in one call. It has the turns of all buffers from the beginning to the end.
func (s *service) Execute(ctx context.Context, req *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	var ids []uint64
	for what, list := range map[string][]*pb.Transfer{"write": req.GetWrites(), "read": req.GetReads()} {
		seen := map[uint64]bool{}
		for _, t := range list {
			if seen[t.GetBuffer()] {
				return nil, fmt.Errorf("execute: %w: want one %s of a buffer, got two of object %d", wire.ErrInvalid, what, t.GetBuffer())
			}
			seen[t.GetBuffer()] = true
			ids = append(ids, t.GetBuffer())
		}
	}
	ids = append(append(ids, req.GetRun().GetInputs()...), req.GetRun().GetOutputs()...)
	buffers, release, err := s.hold(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("execute: %w", err)
	}
	defer release()
	if err := checkData(buffers, req); err != nil {
		return nil, fmt.Errorf("execute: %w", err)
	}
	for _, t := range req.GetWrites() {
		if err := s.write(ctx, t, buffers[t.GetBuffer()]); err != nil {
			return nil, fmt.Errorf("execute: write: %w", err)
		}
	}
	if req.GetRun() != nil {
		err := s.runWith(buffers, req.GetRun(), func(exe backend.Executable, in, out []backend.Buffer) error { return exe.Run(ctx, in, out) })
		if err != nil {
			return nil, err
		}
	}
	resp := &pb.ExecuteResponse{}
	for _, t := range req.GetReads() {
		b := buffers[t.GetBuffer()]
		if t.GetShared() != nil {
			err = s.readShared(ctx, t.GetShared(), b)
		} else {
			data := make([]byte, b.Type().SizeBytes())
			err = b.Read(ctx, data)
			resp.Data = append(resp.Data, data)
		}
		if err != nil {
			return nil, fmt.Errorf("execute: read: %w", err)
		}
	}
	return resp, nil
}

// checkData checks that what does not go through shared memory fits into a message, either way.
func checkData(buffers map[uint64]backend.Buffer, req *pb.ExecuteRequest) error {
	var in, out int
	for _, t := range req.GetWrites() {
		in += len(t.GetData())
		if t.GetShared() != nil && len(t.GetData()) > 0 {
			return fmt.Errorf("%w: want no data of a write beside a range of shared memory, got %d bytes", wire.ErrInvalid, len(t.GetData()))
		}
	}
	for _, t := range req.GetReads() {
		if len(t.GetData()) > 0 {
			return fmt.Errorf("%w: want no data of a read, got %d bytes", wire.ErrInvalid, len(t.GetData()))
		}
		if t.GetShared() == nil {
			out += min(buffers[t.GetBuffer()].Type().SizeBytes(), wire.MaxChunkBytes+1)
		}
	}
	if in > wire.MaxChunkBytes || out > wire.MaxChunkBytes {
		return fmt.Errorf("%w: want at most %d bytes of data in a message, got %d to write and %d to read", wire.ErrInvalid, wire.MaxChunkBytes, in, out)
	}
	return nil
}

func (s *service) write(ctx context.Context, t *pb.Transfer, b backend.Buffer) error {
	if t.GetShared() != nil {
		return s.writeShared(ctx, t.GetShared(), b)
	}
	if len(t.GetData()) != b.Type().SizeBytes() {
		return sizeError(b, uint64(len(t.GetData())))
	}
	return b.Write(ctx, t.GetData())
}
