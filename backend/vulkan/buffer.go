package vulkan

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// buffer is a tensor in device memory.
type buffer struct {
	dev *device
	typ graph.TensorType
	id  uint64
	mem *memory
	// use is full while a call uses the buffer. A run that was given up on keeps it until the device is done, so that
	// memory is neither read, written nor freed under it.
	use chan struct{}
}

var _ backend.Buffer = (*buffer)(nil)

// Type returns the tensor's type.
func (b *buffer) Type() graph.TensorType { return b.typ }

// Write copies the tensor to the device.
func (b *buffer) Write(ctx context.Context, src []byte) error {
	return b.transfer(ctx, "write", len(src), func() error { return b.dev.staging.write(b.mem, 0, src) })
}

// Read copies the tensor from the device.
func (b *buffer) Read(ctx context.Context, dst []byte) error {
	return b.transfer(ctx, "read", len(dst), func() error { return b.dev.staging.read(b.mem, 0, dst) })
}

func (b *buffer) transfer(ctx context.Context, verb string, n int, f func() error) error {
	if n != b.typ.SizeBytes() {
		return fmt.Errorf("%s buffer: %w", verb, &graph.ShapeError{
			Attr: "bytes", Want: fmt.Sprintf("%d for %v", b.typ.SizeBytes(), b.typ), Got: fmt.Sprint(n),
		})
	}
	if err := b.dev.enter(); err != nil {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, err)
	}
	defer b.dev.leave()
	if err := b.acquire(ctx); err != nil {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, err)
	}
	defer b.release()
	if b.mem.buf == 0 {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, backend.ErrClosed)
	}
	if err := f(); err != nil {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, b.dev.fail(err))
	}
	return nil
}

// acquire waits until no other call uses the buffer.
func (b *buffer) acquire(ctx context.Context) error { return acquire(ctx, b.use) }

func (b *buffer) release() { <-b.use }

// acquire takes a semaphore of one, or gives up when the context is done. A done context never takes it.
func acquire(ctx context.Context, sem chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case sem <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close frees the memory, after a run that still uses it.
func (b *buffer) Close() error {
	b.dev.closeChild(b)
	return nil
}

func (b *buffer) destroy() {
	b.use <- struct{}{}
	b.dev.free(b.mem)
	b.release()
}
