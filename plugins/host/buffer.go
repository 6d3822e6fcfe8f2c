package host

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// buffer is a tensor in the memory of a plugin's device. The calls that use it take turns on this side too.
type buffer struct {
	object
	dev *device
	typ graph.TensorType

	turn    chan struct{} // full while a call uses the fields below
	pending *staged       // written, and not yet sent
	fetched *staged       // what the last run left, which came with its answer
	wanted  bool          // what the run before left was read
}

var _ backend.Buffer = (*buffer)(nil)

// Type is the element type and shape.
func (b *buffer) Type() graph.TensorType { return b.typ }

// Write sends the tensor, or keeps it to be sent with the run that reads it.
func (b *buffer) Write(ctx context.Context, src []byte) error {
	return b.use(ctx, "write", src, func() error {
		b.unstage(&b.fetched)
		if kept, err := b.stage(ctx, src); kept || err != nil {
			return err
		}
		b.unstage(&b.pending)
		return b.move(ctx, "write", len(src), func(call context.Context, r *region) error {
			if r != nil {
				if _, err := r.memory.WriteAt(src, 0); err != nil {
					return err
				}
			}
			return b.send(call, src, r)
		})
	})
}

// Read receives the tensor, if it has not come with the answer of the run that made it.
func (b *buffer) Read(ctx context.Context, dst []byte) error {
	return b.use(ctx, "read", dst, func() error {
		b.wanted = true
		if b.fetched != nil {
			err := b.fetched.read(dst)
			b.unstage(&b.fetched)
			return err
		}
		if b.dev.p.executes {
			if done, err := b.fetch(ctx, dst); done || err != nil {
				return err
			}
		}
		return b.move(ctx, "read", len(dst), func(call context.Context, r *region) error {
			if err := b.receive(call, dst, r); err != nil || r == nil {
				return err
			}
			_, err := r.memory.ReadAt(dst, 0)
			return err
		})
	})
}

// use checks the call and does it when it is its turn.
func (b *buffer) use(ctx context.Context, verb string, data []byte, do func() error) error {
	if err := b.used(ctx, data, do); err != nil {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, err)
	}
	return nil
}

func (b *buffer) used(ctx context.Context, data []byte, do func() error) error {
	if err := b.enter(); err != nil {
		return err
	}
	defer b.leave()
	if err := b.dev.begin(); err != nil {
		return err
	}
	defer b.dev.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(data) != b.typ.SizeBytes() {
		return &graph.ShapeError{Attr: "data", Want: fmt.Sprintf("%d bytes for %v", b.typ.SizeBytes(), b.typ), Got: fmt.Sprint(len(data))}
	}
	if err := b.takeTurn(ctx); err != nil {
		return err
	}
	defer b.leaveTurn()
	return do()
}

// takeTurn waits until no other call uses the buffer.
func (b *buffer) takeTurn(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *buffer) leaveTurn() { <-b.turn }

// move moves n bytes in a call of their own, through a region where there is one.
func (b *buffer) move(ctx context.Context, verb string, n int, do func(context.Context, *region) error) error {
	p := b.dev.p
	r := p.regions.take(ctx, n)
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	err := do(call, r)
	answered := p.answered(ctx, err)
	switch {
	case r == nil && !answered:
		p.later("the end of a "+verb+" that was given up", b.touch, func() {})
	case r != nil && answered:
		p.regions.give(r)
	case r != nil:
		p.regions.abandon(r)
	}
	return p.result(ctx, err)
}

// send writes the tensor, which lies in r already unless that is nil.
func (b *buffer) send(ctx context.Context, src []byte, r *region) error {
	stream, err := b.dev.p.client.WriteBuffer(ctx)
	if err != nil {
		return err
	}
	start := &pb.WriteBufferStart{Buffer: b.id, Shared: r.shared(len(src))}
	err = stream.Send(&pb.WriteBufferRequest{Part: &pb.WriteBufferRequest_Start{Start: start}})
	if err == nil && r == nil {
		err = wire.Chunks(src, func(chunk []byte) error {
			return stream.Send(&pb.WriteBufferRequest{Part: &pb.WriteBufferRequest_Chunk{Chunk: chunk}})
		})
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the plugin has answered already
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}

// receive reads the tensor into dst, or into r unless that is nil.
func (b *buffer) receive(ctx context.Context, dst []byte, r *region) error {
	size := len(dst)
	stream, err := b.dev.p.client.ReadBuffer(ctx, &pb.ReadBufferRequest{Buffer: b.id, Shared: r.shared(size)})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) && (len(dst) == 0 || r != nil) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("ReadBuffer: want %d bytes, got %d", size, size-len(dst))
			b.dev.p.violated(err)
			return err
		}
		if err != nil {
			return err
		}
		chunk := m.GetChunk()
		if r != nil || len(chunk) == 0 || len(chunk) > min(len(dst), wire.MaxChunkBytes) {
			err = fmt.Errorf("ReadBuffer: got a chunk of %d bytes where %d are missing", len(chunk), len(dst))
			b.dev.p.violated(err)
			return err
		}
		dst = dst[copy(dst, chunk):]
	}
}

// touch waits for the call that uses the buffer, since such calls take turns: it reads the buffer and drops what it reads.
func (b *buffer) touch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.dev.p.client.ReadBuffer(ctx, &pb.ReadBufferRequest{Buffer: b.id})
	if err != nil {
		return err
	}
	_, err = stream.Recv() // the first answer is enough
	return err
}

// Close frees the memory in the plugin, after the calls in progress.
func (b *buffer) Close() error { return b.dev.p.closeOnce(&b.object, "Close of a buffer", b.drop) }
