package schedule

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// buffer is a tensor in host memory. It is there and not on a member so that a run can be done again when one is lost.
type buffer struct {
	dev *Device
	typ graph.TensorType
	id  uint64

	use    chan struct{} // full while a call uses the fields below
	data   []byte
	closed bool
}

func (b *buffer) Type() graph.TensorType { return b.typ }

func (b *buffer) Write(ctx context.Context, src []byte) error {
	return b.transfer(ctx, "write", src, func() { copy(b.data, src) })
}

func (b *buffer) Read(ctx context.Context, dst []byte) error {
	return b.transfer(ctx, "read", dst, func() { copy(dst, b.data) })
}

// transfer checks the call and then moves the data.
func (b *buffer) transfer(ctx context.Context, verb string, data []byte, move func()) error {
	if b.dev.closed.Load() {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, backend.ErrClosed)
	}
	if err := b.acquire(ctx); err != nil {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, err)
	}
	defer b.release()
	if b.closed {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, backend.ErrClosed)
	}
	if len(data) != b.typ.SizeBytes() {
		return fmt.Errorf("%s buffer: %w", verb, &graph.ShapeError{Attr: "data", Want: fmt.Sprintf("%d bytes for %v", b.typ.SizeBytes(), b.typ), Got: fmt.Sprint(len(data))})
	}
	move()
	return nil
}

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
	b.use <- struct{}{}
	b.closed, b.data = true, nil
	<-b.use
	return nil
}
