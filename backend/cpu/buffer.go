package cpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// buffer is a float32 tensor in host memory, in the order of the graph.
type buffer struct {
	dev *device
	typ graph.TensorType

	mu     sync.Mutex
	data   []float32
	closed bool
}

func (b *buffer) Type() graph.TensorType { return b.typ }

func (b *buffer) Write(ctx context.Context, src []byte) error {
	return b.transfer(ctx, "write", src, func() {
		for i := range b.data {
			b.data[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	})
}

func (b *buffer) Read(ctx context.Context, dst []byte) error {
	return b.transfer(ctx, "read", dst, func() {
		for i, v := range b.data {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	})
}

// transfer checks the call and then moves the data, under the lock.
func (b *buffer) transfer(ctx context.Context, verb string, data []byte, move func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.dev.closed.Load() {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, backend.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s buffer of %v: %w", verb, b.typ, err)
	}
	if len(data) != b.typ.SizeBytes() {
		return fmt.Errorf("%s buffer: %w", verb, &graph.ShapeError{Attr: "data", Want: fmt.Sprintf("%d bytes for %v", b.typ.SizeBytes(), b.typ), Got: fmt.Sprint(len(data))})
	}
	move()
	return nil
}

// view is what a run uses of a buffer: its memory stays while the run needs it, even when the buffer is closed.
type view struct {
	buf  *buffer
	data []float32
}

func (b *buffer) view() (view, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return view{}, backend.ErrClosed
	}
	return view{b, b.data}, nil
}

func (b *buffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.data = true, nil
	return nil
}
