package host

import (
	"context"
	"fmt"
	"slices"

	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// maxStaged is the size in bytes up to which a tensor waits for the run that reads it, and comes with the answer of the
// run that made it: a call takes as long as the copy of some 1 MiB.
const maxStaged = 4 << 20

// maxStagedRegions is how many regions such tensors may hold, so that some are left for others.
const maxStagedRegions = maxRegions / 2

// staged is a tensor that waits on this side of the wire: in shared memory, or in data where there is no region.
type staged struct {
	r      *region
	data   []byte
	unsure bool // a call with it had no answer: the plugin may still use it
}

// transfer is the wire's form of a tensor of n bytes in it.
func (s *staged) transfer(b *buffer) *pb.Transfer {
	return &pb.Transfer{Buffer: b.id, Shared: s.r.shared(b.typ.SizeBytes()), Data: s.data}
}

// read copies the tensor out.
func (s *staged) read(dst []byte) error {
	if s.r == nil {
		copy(dst, s.data)
		return nil
	}
	_, err := s.r.memory.ReadAt(dst, 0)
	return err
}

// stage keeps a tensor for the plugin; false when there is no room for it.
func (b *buffer) stage(ctx context.Context, src []byte) (bool, error) {
	s := b.pending
	if s != nil && s.unsure {
		b.unstage(&b.pending)
		s = nil
	}
	if s == nil {
		if s = b.room(ctx, len(src)); s == nil {
			return false, nil
		}
		b.pending = s
	}
	if s.r == nil {
		s.data = append(s.data[:0], src...)
		return true, nil
	}
	if _, err := s.r.memory.WriteAt(src, 0); err != nil {
		b.unstage(&b.pending)
		return false, err
	}
	return true, nil
}

// room is memory for a tensor of n bytes that is to wait; nil when there is none, or it is too large to wait.
func (b *buffer) room(ctx context.Context, n int) *staged {
	switch {
	case !b.dev.p.executes || n > maxStaged:
		return nil
	case n < minShared:
		return &staged{}
	}
	if r := b.dev.p.regions.stage(ctx, b, n); r != nil {
		return &staged{r: r}
	}
	return nil
}

// unstage gives up what waits.
func (b *buffer) unstage(which **staged) {
	s := *which
	*which = nil
	if s == nil || s.r == nil {
		return
	}
	rs := b.dev.p.regions
	rs.unstage(b)
	if s.unsure {
		rs.abandon(s.r)
	} else {
		rs.give(s.r)
	}
}

// drop gives up all that waits, when it is the caller's turn.
func (b *buffer) drop() {
	b.turn <- struct{}{}
	defer b.leaveTurn()
	b.unstage(&b.pending)
	b.unstage(&b.fetched)
}

// execution is one call of Execute with the tensors that go with it. The caller has the turns of all buffers.
type execution struct {
	p        *process
	request  pb.ExecuteRequest
	sent     []*buffer // whose pending tensors are in the request
	expected []*buffer // whose fetched tensors are to come with the answer
	in, out  int       // bytes within the messages
}

// send adds the tensor that waits for the plugin; false when the message is full.
func (x *execution) send(b *buffer) bool {
	n := len(b.pending.data)
	if x.in+n > wire.MaxChunkBytes {
		return false
	}
	x.in += n
	x.sent = append(x.sent, b)
	x.request.Writes = append(x.request.Writes, b.pending.transfer(b))
	return true
}

// expect adds a tensor that is to come with the answer, if there is room.
func (x *execution) expect(ctx context.Context, b *buffer) bool {
	b.unstage(&b.fetched)
	n := b.typ.SizeBytes()
	if n < minShared && x.out+n > wire.MaxChunkBytes {
		return false
	}
	s := b.room(ctx, n)
	if s == nil {
		return false
	}
	if s.r == nil {
		x.out += n
	}
	b.fetched = s
	x.expected = append(x.expected, b)
	x.request.Reads = append(x.request.Reads, s.transfer(b))
	return true
}

// do calls. When it fails, what was to be sent waits on, and what was to come is given up.
func (x *execution) do(ctx context.Context, what string) error {
	resp, err := x.p.client.Execute(ctx, &x.request)
	answered := x.p.answered(ctx, err)
	if err == nil {
		if err = x.take(resp); err != nil {
			x.p.violated(fmt.Errorf("ExecuteResponse: %w", err))
			err = x.p.gone()
		}
	}
	for _, b := range x.sent {
		if err == nil {
			b.unstage(&b.pending)
		} else if !answered {
			b.pending.unsure = true
		}
	}
	if err == nil {
		return nil
	}
	for _, b := range x.expected {
		b.fetched.unsure = !answered
		b.unstage(&b.fetched)
	}
	if !answered {
		x.p.later("the end of a "+what+" that was given up", x.smallest().touch, func() {})
	}
	return x.p.result(ctx, err)
}

// take takes the tensors that came within the answer.
func (x *execution) take(resp *pb.ExecuteResponse) error {
	data := resp.GetData()
	for _, b := range x.expected {
		if b.fetched.r != nil {
			continue
		}
		if len(data) == 0 || len(data[0]) != b.typ.SizeBytes() {
			return fmt.Errorf("want a tensor of %d bytes, got %s", b.typ.SizeBytes(), sizes(data))
		}
		b.fetched.data, data = data[0], data[1:]
	}
	if len(data) > 0 {
		return fmt.Errorf("want no further tensor, got %s", sizes(data))
	}
	return nil
}

func sizes(data [][]byte) string {
	if len(data) == 0 {
		return "none"
	}
	return fmt.Sprintf("one of %d bytes", len(data[0]))
}

// smallest is a buffer of the call whose turn tells when the call has ended.
func (x *execution) smallest() *buffer {
	return smallest(slices.Concat(x.sent, x.expected))
}

func smallest(list []*buffer) *buffer {
	return slices.MinFunc(list, func(a, b *buffer) int { return a.typ.SizeBytes() - b.typ.SizeBytes() })
}

// flush sends what waits for the plugin.
func (b *buffer) flush(ctx context.Context, what string) error {
	if b.pending == nil {
		return nil
	}
	x := &execution{p: b.dev.p}
	x.send(b)
	return x.do(ctx, what)
}

// fetch reads the tensor with one call, after it has written what waits; false when there is no room for it.
func (b *buffer) fetch(ctx context.Context, dst []byte) (bool, error) {
	x := &execution{p: b.dev.p}
	if !x.expect(ctx, b) {
		return false, b.flush(ctx, "read")
	}
	if b.pending != nil {
		x.send(b)
	}
	if err := x.do(ctx, "read"); err != nil {
		return false, err
	}
	err := b.fetched.read(dst)
	b.unstage(&b.fetched)
	return err == nil, err
}
