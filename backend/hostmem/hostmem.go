// Package hostmem has the buffers of backends whose device memory is the host's: float32 in the order of the graph. A
// device that embeds an Owner has the methods NewBuffer and Close of backend.Device, and Bind for its Run.
package hostmem

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// defaultMaxBytes is the limit of an Owner that sets none.
const defaultMaxBytes = 1 << 31

// Owner is what buffers know of the device that made them. The zero value is an open device.
type Owner struct {
	MaxBytes int64 // limit of one buffer; 0 stands for 2 GiB
	closed   atomic.Bool
}

// Close ends the transfers of all buffers. It always returns nil.
func (o *Owner) Close() error {
	o.closed.Store(true)
	return nil
}

// Check returns backend.ErrClosed once Close was called.
func (o *Owner) Check() error {
	if o.closed.Load() {
		return fmt.Errorf("device: %w", backend.ErrClosed)
	}
	return nil
}

// NewBuffer makes a buffer of zeros.
//
// Errors: backend.ErrClosed, the context's, backend.ErrUnsupported for a type other than float32, backend.ErrOutOfMemory
// above the limit.
func (o *Owner) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("make buffer of %v: %w", t, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("make buffer of %v: %w", t, err)
	}
	if t.DType != graph.Float32 {
		return nil, fmt.Errorf("make buffer: %w", backend.Unsupported("dtype", graph.Float32.String(), t.DType.String()))
	}
	limit := o.MaxBytes
	if limit == 0 {
		limit = defaultMaxBytes
	}
	if int64(t.Shape.Elems()) > limit/4 {
		return nil, fmt.Errorf("make buffer of %v: %w: want at most %d bytes", t, backend.ErrOutOfMemory, limit)
	}
	return &Buffer{owner: o, typ: t, data: make([]float32, t.Shape.Elems())}, nil
}

// View is a buffer in a run, with its memory: that stays while the run needs it, even when the buffer is closed.
type View struct {
	Buffer *Buffer
	Data   []float32
}

// Bind holds the buffers of a run against the signature of a graph and takes their memory. It allocates nothing. The
// lengths of in and out are those of the signature's inputs and outputs.
//
// Errors: *graph.ShapeError for a wrong number or type and for a buffer of another device; backend.ErrClosed; a buffer
// that is given twice, unless as two inputs.
func (o *Owner) Bind(sig graph.Signature, in, out []View, givenIn, givenOut []backend.Buffer) error {
	if err := o.take("input", in, givenIn, sig.Inputs); err != nil {
		return err
	}
	if err := o.take("output", out, givenOut, sig.Outputs); err != nil {
		return err
	}
	for i, v := range out {
		same := func(w View) bool { return w.Buffer == v.Buffer }
		if slices.ContainsFunc(in, same) || slices.ContainsFunc(out[:i], same) {
			return fmt.Errorf("output %d (%q): the buffer is given twice", i, sig.Outputs[i].Name)
		}
	}
	return nil
}

func (o *Owner) take(what string, into []View, given []backend.Buffer, ports []graph.Port) error {
	if len(given) != len(ports) {
		return &graph.ShapeError{Attr: what + "s", Want: fmt.Sprintf("%d buffers", len(ports)), Got: fmt.Sprint(len(given))}
	}
	for i, g := range given {
		b, ok := g.(*Buffer)
		if !ok || b == nil || b.owner != o {
			return &graph.ShapeError{Node: ports[i].Name, Attr: fmt.Sprintf("%s %d", what, i), Want: "a buffer of the device that compiled the graph", Got: fmt.Sprintf("%T of another", g)}
		}
		if b.typ != ports[i].Type {
			return &graph.ShapeError{Node: ports[i].Name, Attr: fmt.Sprintf("%s %d", what, i), Want: ports[i].Type.String(), Got: b.typ.String()}
		}
		into[i].Buffer = b
		if err := b.Use(func(data []float32) { into[i].Data = data }); err != nil {
			return fmt.Errorf("%s %d (%q): buffer: %w", what, i, ports[i].Name, err)
		}
	}
	return nil
}

// Buffer is a float32 tensor in host memory.
type Buffer struct {
	owner *Owner
	typ   graph.TensorType

	mu     sync.Mutex
	data   []float32
	closed bool
}

var _ backend.Buffer = (*Buffer)(nil)

// Type is the type that the buffer was made with.
func (b *Buffer) Type() graph.TensorType { return b.typ }

// Write copies little-endian float32s into the buffer.
func (b *Buffer) Write(ctx context.Context, src []byte) error {
	return b.transfer(ctx, "write", src, func() { load(b.data, src, native) })
}

// Read copies the buffer to little-endian float32s.
func (b *Buffer) Read(ctx context.Context, dst []byte) error {
	return b.transfer(ctx, "read", dst, func() { store(dst, b.data, native) })
}

// native says that this machine keeps numbers in the order of tensors, so that the bytes can be copied: some ten times as fast.
var native = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func load(to []float32, from []byte, native bool) {
	if native {
		copy(bytesOf(to), from)
		return
	}
	for i := range to {
		to[i] = math.Float32frombits(binary.LittleEndian.Uint32(from[4*i:]))
	}
}

func store(to []byte, from []float32, native bool) {
	if native {
		copy(to, bytesOf(from))
		return
	}
	for i, v := range from {
		binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(v))
	}
}

// bytesOf is the memory of v.
func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// transfer checks the call and then moves the data, under the lock.
func (b *Buffer) transfer(ctx context.Context, verb string, data []byte, move func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.owner.Check() != nil {
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

// Use calls f with the buffer's memory, under the lock. The only error is backend.ErrClosed.
func (b *Buffer) Use(f func(data []float32)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return backend.ErrClosed
	}
	f(b.data)
	return nil
}

// Close lets go of the memory.
func (b *Buffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.data = true, nil
	return nil
}
