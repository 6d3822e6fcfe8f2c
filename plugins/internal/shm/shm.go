// Package shm makes and maps the regions of memory through which a host and a plugin pass tensors: section 5 of
// docs/plugin-protocol.md, both sides of it.
//
// # What it promises
//
// The side that opens a region maps nothing but a private file of its own user, of the size that was said, that
// begins with the nonce that was said. The side that makes one can tell whether the other really sees its memory
// ([Region.Proved]). Nothing is left behind by a process that is killed, but for a named file between its making and
// [Region.Unlink], which [Sweep] removes.
//
// A memfd is sealed: neither side can shrink it under the other's hands, which would end the other with SIGBUS. A
// named file cannot be sealed; [Region.ReadAt] and [Region.WriteAt] turn such a fault into an error on both.
//
// # What it does not do
//
// It hands out no ranges and counts no users: who closes a region knows that nobody uses its bytes.
package shm

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Sizes that the protocol fixes.
const (
	Unit       = 1 << 16 // a region's size is a multiple of it, in bytes
	NonceBytes = 32
)

// ErrUnavailable: this system has no memory that can be shared so. Tensors go in chunks then.
var ErrUnavailable = errors.New("shared memory is unavailable on this system")

// Region is mapped memory. Its methods, but for Close, are safe for concurrent use.
type Region struct {
	data   []byte
	path   string // for the other side; empty on that side
	nonce  [NonceBytes]byte
	sealed bool

	mu       sync.Mutex
	keep     func() error // closes what must stay open while the region lives
	unlink   func() error // removes the name; nil when there is none (any more)
	isClosed bool
}

// Path is what the other side opens: an absolute path, valid until [Region.Unlink] or Close.
func (r *Region) Path() string { return r.path }

// Nonce is what lies at the beginning of a new region, until the other side replaces it. The caller owns the slice.
func (r *Region) Nonce() []byte { return bytes.Clone(r.nonce[:]) }

// Size is the size of the region in bytes.
func (r *Region) Size() int { return len(r.data) }

// Sealed reports whether the memory can neither shrink nor grow, so that no access to Bytes can fault.
func (r *Region) Sealed() bool { return r.sealed }

// Bytes is the memory itself, until Close. Access to a region that is not sealed may end the process: see [Region.ReadAt].
func (r *Region) Bytes() []byte { return r.data }

// Proved reports whether the nonce has been replaced by its complement: the proof that the other side has mapped the
// same memory. It must be asked before the memory is used.
func (r *Region) Proved() bool {
	var got [NonceBytes]byte
	if _, err := r.ReadAt(got[:], 0); err != nil {
		return false
	}
	return got == complement(r.nonce)
}

func complement(nonce [NonceBytes]byte) [NonceBytes]byte {
	for i := range nonce {
		nonce[i] = ^nonce[i]
	}
	return nonce
}

// ReadAt copies len(p) bytes from the offset on.
//
// Errors: a range that is not in the region, memory that is no longer there. p may be partly written then.
func (r *Region) ReadAt(p []byte, offset int64) (int, error) {
	return r.copy("read", p, offset, func(mem []byte) { copy(p, mem) })
}

// WriteAt copies p to the offset. Errors: as [Region.ReadAt].
func (r *Region) WriteAt(p []byte, offset int64) (int, error) {
	return r.copy("write", p, offset, func(mem []byte) { copy(mem, p) })
}

func (r *Region) copy(verb string, p []byte, offset int64, do func(mem []byte)) (n int, err error) {
	if offset < 0 || offset > int64(len(r.data)) || int64(len(p)) > int64(len(r.data))-offset {
		return 0, fmt.Errorf("%s shared memory: want a range within %d bytes, got %d at %d", verb, len(r.data), len(p), offset)
	}
	// A page that is gone – the other side has cut the file off, or no memory is left for a hole – raises SIGBUS.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if _, ok := fault.(interface{ Addr() uintptr }); !ok {
			panic(fault)
		}
		n, err = 0, fmt.Errorf("%s shared memory: %d bytes at %d are no longer there", verb, len(p), offset)
	}()
	do(r.data[offset : offset+int64(len(p))])
	return len(p), nil
}

// Unlink removes the name of the file, if it has one. The memory stays. A second call does nothing.
func (r *Region) Unlink() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.removeName()
}

func (r *Region) removeName() error {
	if r.unlink == nil {
		return nil
	}
	err := r.unlink()
	r.unlink = nil
	return err
}

// Close unmaps the memory and removes the file's name. Nobody may use Bytes any more. A second call does nothing.
func (r *Region) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed {
		return nil
	}
	r.isClosed = true
	errs := []error{r.removeName(), unmap(r.data)}
	r.data = nil
	if r.keep != nil {
		errs = append(errs, r.keep())
	}
	return errors.Join(errs...)
}

// checkSize checks the size of a region.
func checkSize(size uint64) error {
	if size == 0 || size%Unit != 0 || int64(size) < 0 || uint64(int(size)) != size {
		return fmt.Errorf("size of a region: want a multiple of %d that the address space can hold, got %d", Unit, size)
	}
	return nil
}
