package graph

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
)

// Source is where the elements of a lazy tensor come from, for example a mapped file. It may be asked by several
// goroutines at once, and answers the same as long as the tensor lives, or an error.
type Source interface {
	// ReadFloat32s fills dst, whose length is the number of elements, row-major.
	ReadFloat32s(dst []float32) error
	// Bound is a number that no element's magnitude exceeds, and finite only when every element is.
	Bound() float64
	// Key tells sources apart: two with the same key have the same elements for ever. It is comparable, and keeps no
	// memory of the source alive. nil means that nothing is known.
	Key() any
}

// lazy is what a tensor has in place of its data.
type lazy struct {
	src Source
	err atomic.Pointer[error] // the first of ReadFloat32s
}

// NewLazy makes a float32 tensor of the given shape whose elements are read from src whenever they are asked for, and
// kept nowhere: its Data is nil. So a network's weights need not be in memory a second time while a backend packs them.
func NewLazy(s Shape, src Source) *Tensor {
	return &Tensor{Type: TensorType{Float32, s}, lazy: &lazy{src: src}}
}

// IsLazy reports whether the tensor was made by [NewLazy].
func (t *Tensor) IsLazy() bool { return t.lazy != nil }

// ReadFloat32s copies the elements of a float32 tensor to dst, which must have room for all of them and nothing more.
//
// Errors: those of the source of a lazy tensor; dst is zero then.
func (t *Tensor) ReadFloat32s(dst []float32) error {
	if t.Type.DType != Float32 || len(dst) != t.Type.Shape.Elems() {
		panic(fmt.Sprintf("graph: bug: ReadFloat32s of a %v tensor into %d elements", t.Type, len(dst)))
	}
	if t.lazy == nil {
		copy(dst, t.Float32s())
		return nil
	}
	err := t.lazy.src.ReadFloat32s(dst)
	if err != nil {
		clear(dst)
		t.lazy.err.CompareAndSwap(nil, &err)
	}
	return err
}

// Bytes returns the elements as Data has them: Data itself, or what a lazy tensor reads.
//
// Errors: those of the source of a lazy tensor.
func (t *Tensor) Bytes() ([]byte, error) {
	if t.lazy == nil {
		return t.Data, nil
	}
	f := make([]float32, t.Type.Shape.Elems())
	if err := t.ReadFloat32s(f); err != nil {
		return nil, err
	}
	b := bytesOf(f)
	if !hostIsLittleEndian {
		swap32(b)
	}
	return b, nil
}

// Err returns the first error that a read of a lazy tensor met, nil for other tensors. After it the elements that
// [Tensor.Float32s] returned are zeros.
func (t *Tensor) Err() error {
	if t.lazy == nil {
		return nil
	}
	if err := t.lazy.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Bound returns a number that no element's magnitude of a float32 tensor exceeds; it is infinite when an element is
// not finite. Lazy tensors know it without reading.
func (t *Tensor) Bound() float64 {
	if t.lazy != nil {
		return t.lazy.src.Bound()
	}
	bound := float32(0)
	for _, v := range t.Float32s() {
		if v-v != 0 {
			return math.Inf(1)
		}
		bound = max(bound, v, -v)
	}
	return float64(bound)
}

// Key is that of a lazy tensor's source (see [Source]) and nil for other tensors, since their Data may change.
func (t *Tensor) Key() any {
	if t.lazy == nil {
		return nil
	}
	return t.lazy.src.Key()
}

// complete reports whether t has data of the given type.
func (t *Tensor) complete(want TensorType) bool {
	return t.Type == want && (t.lazy != nil || len(t.Data) == want.SizeBytes())
}

// DataErr returns what went wrong while lazy parameters were read: whoever compiles a graph asks after the last read and
// gives up when it is not nil.
func (g *Graph) DataErr() error {
	var errs []error
	for _, p := range g.Params {
		if p.Data == nil {
			continue
		}
		if err := p.Data.Err(); err != nil {
			errs = append(errs, fmt.Errorf("read parameter %q: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// sourceIDs counts the keys that NewSourceKey gave.
var sourceIDs atomic.Uint64

type sourceKey uint64

// NewSourceKey returns a key for [Source.Key] that no other source has.
func NewSourceKey() any { return sourceKey(sourceIDs.Add(1)) }

// fixed is a source over memory that nobody changes.
type fixed struct {
	data  []float32
	bound float64
	key   any
}

// Freeze makes a lazy tensor of a float32 tensor whose Data the caller promises to leave alone for ever: so backends may
// know it again. It takes no copy.
func Freeze(t *Tensor) *Tensor {
	if t.lazy != nil {
		return t
	}
	return NewLazy(t.Type.Shape, &fixed{t.Float32s(), t.Bound(), NewSourceKey()})
}

func (f *fixed) ReadFloat32s(dst []float32) error { copy(dst, f.data); return nil }
func (f *fixed) Bound() float64                   { return f.bound }
func (f *fixed) Key() any                         { return f.key }
