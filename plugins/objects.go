package plugins

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// objects are what the host knows by id: section "Objects and ids" of docs/plugin-protocol.md.
type objects struct {
	mu  sync.Mutex
	all map[uint64]*object
	// early are ids that were closed before they were made, order those and former ones as they came. They come from
	// cancelled calls, so there are few; what a host closes without need must not fill the memory.
	early map[uint64]bool
	order []uint64
}

const maxEarly = 1 << 16

// object is a device, executable, buffer or region. Its fields but turn are guarded by objects.mu until it is made or
// idle, and do not change after.
type object struct {
	id     uint64
	device *object       // that it belongs to; nil for devices and regions
	value  io.Closer     // nil while it is being made
	turn   chan struct{} // full while a call uses the buffer

	users   int // calls that use it, the one that makes it among them
	closing bool
	idle    chan struct{} // closed when it is closing and nobody uses it
	closed  chan struct{} // closed when it is gone
	err     error         // of closing it
}

// reserve takes an id for an object that is being made on a device, or on none. done must be called with the new value,
// or with nil when there is none.
//
// Errors: the id is 0 or taken ([wire.ErrInvalid]), or was closed already (backend.ErrClosed).
func (t *objects) reserve(id uint64, device *object) (done func(io.Closer), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == 0 || t.all[id] != nil {
		return nil, fmt.Errorf("object %d: %w: want a new id that is not 0", id, wire.ErrInvalid)
	}
	if t.early[id] {
		return nil, fmt.Errorf("object %d: %w before it was made", id, backend.ErrClosed)
	}
	o := &object{id: id, device: device, turn: make(chan struct{}, 1), users: 1, idle: make(chan struct{}), closed: make(chan struct{})}
	if t.all == nil {
		t.all = map[uint64]*object{}
	}
	t.all[id] = o
	return func(value io.Closer) {
		t.mu.Lock()
		if o.value = value; value == nil && !o.closing {
			delete(t.all, id)
		}
		t.mu.Unlock()
		t.release(o)
	}, nil
}

// use finds an object and keeps it from being closed until it is released.
//
// Errors: it is not there (backend.ErrClosed), it is of another kind ([wire.ErrInvalid]).
func use[T io.Closer](t *objects, id uint64) (*object, T, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var value T
	o := t.all[id]
	if o == nil || o.closing || o.value == nil {
		return nil, value, fmt.Errorf("object %d: %w or never made", id, backend.ErrClosed)
	}
	value, ok := o.value.(T)
	if !ok {
		return nil, value, fmt.Errorf("object %d: %w: it is of another kind than wanted", id, wire.ErrInvalid)
	}
	o.users++
	return o, value, nil
}

func (t *objects) release(o *object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.users--; o.users == 0 && o.closing {
		close(o.idle)
	}
}

// take takes turns: it waits until no other call uses the buffer. A call that was cancelled meanwhile gets no turn, or it
// would do its work after that of a later call.
func (o *object) take(ctx context.Context) error {
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		o.give()
		return err
	}
	return nil
}

func (o *object) give() { <-o.turn }

// close closes an object and what was made on it when the calls that use them have ended. When the context ends
// before, the work goes on.
func (t *objects) close(ctx context.Context, id uint64) error {
	t.mu.Lock()
	o := t.all[id]
	if o == nil {
		t.remember(id)
		t.mu.Unlock()
		return nil
	}
	if !o.closing {
		if o.closing = true; o.users == 0 {
			close(o.idle)
		}
		go t.end(o)
	}
	t.mu.Unlock()
	select {
	case <-o.closed:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *objects) remember(id uint64) {
	if t.early[id] {
		return
	}
	if t.early == nil {
		t.early = map[uint64]bool{}
	}
	t.early[id] = true
	if t.order = append(t.order, id); len(t.order) > maxEarly {
		delete(t.early, t.order[0])
		t.order = t.order[1:]
	}
}

// end does the closing of one object.
func (t *objects) end(o *object) {
	<-o.idle // from here on nothing new can be made on it
	for _, id := range t.list(o) {
		_ = t.close(context.Background(), id) // the host hears of it when it closes that object
	}
	if o.value != nil {
		o.err = guard("close", o.value.Close)
	}
	t.mu.Lock()
	delete(t.all, o.id)
	t.mu.Unlock()
	close(o.closed)
}

// list returns the ids of what was made on a device, or of devices and regions when it is nil.
func (t *objects) list(device *object) []uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []uint64
	for id, o := range t.all {
		if o.device == device {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// closeAll closes everything, or gives up when the context ends.
func (t *objects) closeAll(ctx context.Context) error {
	var wait sync.WaitGroup
	for _, id := range t.list(nil) {
		wait.Go(func() { _ = t.close(ctx, id) }) // nobody is left to hear of it
	}
	wait.Wait()
	return ctx.Err()
}
