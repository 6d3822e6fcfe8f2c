package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/plugins/internal/shm"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/grpc"
)

func (s *service) CreateBuffer(ctx context.Context, req *pb.CreateBufferRequest) (*pb.CreateBufferResponse, error) {
	t, err := wire.DecodeType(req.GetType())
	if err != nil {
		if backend.IsUnsupported(err) {
			return nil, err
		}
		return nil, fmt.Errorf("create buffer: %w: %w", wire.ErrInvalid, err)
	}
	o, dev, err := use[backend.Device](&s.objects, req.GetDevice())
	if err != nil {
		return nil, err
	}
	defer s.objects.release(o)
	err = s.make(req.GetBuffer(), o, func() (io.Closer, error) { return dev.NewBuffer(ctx, t) })
	return &pb.CreateBufferResponse{}, err
}

// withBuffer calls do when it is the call's turn to use the buffer.
func (s *service) withBuffer(ctx context.Context, id uint64, do func(b backend.Buffer) error) error {
	buffers, release, err := s.hold(ctx, []uint64{id})
	if err != nil {
		return err
	}
	defer release()
	return do(buffers[id])
}

func (s *service) WriteBuffer(stream grpc.ClientStreamingServer[pb.WriteBufferRequest, pb.WriteBufferResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return missing("write buffer", err)
	}
	start := first.GetStart()
	if start == nil {
		return fmt.Errorf("write buffer: %w: want the start first, got another part", wire.ErrInvalid)
	}
	ctx := stream.Context()
	err = s.withBuffer(ctx, start.GetBuffer(), func(b backend.Buffer) error {
		if start.GetShared() == nil {
			return receive(stream, b)
		}
		if err := expectEnd(stream); err != nil {
			return err
		}
		return s.writeShared(ctx, start.GetShared(), b)
	})
	if err != nil {
		return err
	}
	return stream.SendAndClose(&pb.WriteBufferResponse{})
}

// receive writes the chunks of a stream to a buffer.
func receive(stream grpc.ClientStreamingServer[pb.WriteBufferRequest, pb.WriteBufferResponse], b backend.Buffer) error {
	size := b.Type().SizeBytes()
	old := scratch.Get().(*[]byte)
	data := (*old)[:0]
	defer func() {
		*old = data
		scratch.Put(old)
	}()
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		part, ok := m.GetPart().(*pb.WriteBufferRequest_Chunk)
		if !ok {
			return fmt.Errorf("write buffer: %w: want a chunk, got another part", wire.ErrInvalid)
		}
		next, err := wire.Gather(data, part.Chunk, size)
		if err != nil {
			return fmt.Errorf("write buffer: %w: %w", wire.ErrInvalid, err)
		}
		data = next
	}
	if len(data) != size {
		return fmt.Errorf("write buffer: %w", sizeError(b, uint64(len(data))))
	}
	return b.Write(stream.Context(), data)
}

func expectEnd(stream grpc.ClientStreamingServer[pb.WriteBufferRequest, pb.WriteBufferResponse]) error {
	_, err := stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("write buffer: %w: want no chunk after a range of shared memory, got one", wire.ErrInvalid)
}

func (s *service) ReadBuffer(req *pb.ReadBufferRequest, stream grpc.ServerStreamingServer[pb.ReadBufferResponse]) error {
	ctx := stream.Context()
	if req.GetShared() != nil {
		return s.withBuffer(ctx, req.GetBuffer(), func(b backend.Buffer) error {
			return s.readShared(ctx, req.GetShared(), b)
		})
	}
	old := scratch.Get().(*[]byte)
	defer scratch.Put(old)
	err := s.withBuffer(ctx, req.GetBuffer(), func(b backend.Buffer) error {
		*old = resize(*old, b.Type().SizeBytes())
		return b.Read(ctx, *old)
	})
	if err != nil {
		return err
	}
	// The buffer is free while the data is on its way.
	return wire.Chunks(*old, func(chunk []byte) error { return stream.Send(&pb.ReadBufferResponse{Chunk: chunk}) })
}

// writeShared writes what lies in a range of shared memory to a buffer.
func (s *service) writeShared(ctx context.Context, rng *pb.SharedRange, b backend.Buffer) error {
	return s.withRange(rng, b, func(r *shm.Region, mem []byte) error {
		if r.Sealed() {
			return b.Write(ctx, mem)
		}
		return viaScratch(len(mem), func(data []byte) error {
			if _, err := r.ReadAt(data, int64(rng.GetOffset())); err != nil {
				return err
			}
			return b.Write(ctx, data)
		})
	})
}

// readShared reads a buffer into a range of shared memory.
func (s *service) readShared(ctx context.Context, rng *pb.SharedRange, b backend.Buffer) error {
	return s.withRange(rng, b, func(r *shm.Region, mem []byte) error {
		if r.Sealed() {
			return b.Read(ctx, mem)
		}
		return viaScratch(len(mem), func(data []byte) error {
			if err := b.Read(ctx, data); err != nil {
				return err
			}
			_, err := r.WriteAt(data, int64(rng.GetOffset()))
			return err
		})
	})
}

// withRange finds the range of shared memory that a tensor lies in, or is to be laid in.
func (s *service) withRange(rng *pb.SharedRange, b backend.Buffer, do func(r *shm.Region, mem []byte) error) error {
	if rng.GetLength() != uint64(b.Type().SizeBytes()) {
		return fmt.Errorf("shared memory: %w", sizeError(b, rng.GetLength()))
	}
	o, r, err := use[*shm.Region](&s.objects, rng.GetRegion())
	if err != nil {
		return err
	}
	defer s.objects.release(o)
	size := uint64(r.Size())
	if rng.GetOffset() > size || rng.GetLength() > size-rng.GetOffset() {
		return fmt.Errorf("shared memory: %w: want a range within %d bytes, got %d at %d", wire.ErrInvalid, size, rng.GetLength(), rng.GetOffset())
	}
	end := rng.GetOffset() + rng.GetLength()
	return do(r, r.Bytes()[rng.GetOffset():end:end])
}

func sizeError(b backend.Buffer, got uint64) error {
	return &graph.ShapeError{Attr: "data", Want: fmt.Sprintf("%d bytes for %v", b.Type().SizeBytes(), b.Type()), Got: fmt.Sprint(got)}
}

// scratch holds memory for tensors that are put together from chunks, or copied from memory that may go away.
var scratch = sync.Pool{New: func() any { return &[]byte{} }}

func resize(data []byte, size int) []byte {
	if cap(data) < size {
		return make([]byte, size)
	}
	return data[:size]
}

func viaScratch(size int, do func(data []byte) error) error {
	old := scratch.Get().(*[]byte)
	defer scratch.Put(old)
	*old = resize(*old, size)
	return do(*old)
}
