package host

import (
	"sync"

	"github.com/resnet-run/resnet-run/backend"
)

// object is what devices, executables and buffers have in common: an id, and an end that waits for the calls in
// progress.
type object struct {
	id uint64

	mu     sync.Mutex
	users  int
	closed bool
	idle   chan struct{} // closed when closed and without users; nil before
}

// enter begins a call.
//
// Errors: ErrClosed.
func (o *object) enter() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return backend.ErrClosed
	}
	o.users++
	return nil
}

// leave ends a call.
func (o *object) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users--
	if o.users == 0 && o.closed {
		close(o.idle)
	}
}

// shut lets no more calls in and waits for those in progress; false when another has done so before.
func (o *object) shut() bool {
	o.mu.Lock()
	first := !o.closed
	if first {
		o.closed, o.idle = true, make(chan struct{})
		if o.users == 0 {
			close(o.idle)
		}
	}
	idle := o.idle
	o.mu.Unlock()
	<-idle
	return first
}
