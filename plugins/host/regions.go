package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/resnet-run/resnet-run/plugins/internal/shm"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

// The limits of a process's shared memory.
const (
	maxRegions     = 8
	maxRegionBytes = 1 << 30
	minShared      = 32 << 10 // tensors of fewer bytes go in a chunk, which costs no more
	minRegion      = 1 << 20
)

// region is memory that the plugin has mapped too. It holds one tensor at a time, at its beginning.
type region struct {
	id     uint64
	memory *shm.Region
}

// shared is the range of a tensor of n bytes; nil for a nil region.
func (r *region) shared(n int) *pb.SharedRange {
	if r == nil {
		return nil
	}
	return &pb.SharedRange{Region: r.id, Length: uint64(n)}
}

// regions are those of a process. They are made when they are needed and used again.
type regions struct {
	p       *process
	offered bool // by both sides; set before the first use
	makers  []maker

	mu    sync.Mutex
	free  []*region
	count int // with those in use
	bytes int64
	off   bool // it was tried and cannot be had, or no more of it
	done  bool // the process is gone

	staged  int             // those that hold tensors that wait
	holders map[*buffer]int // of whom, and how many each
}

// maker is a way to make memory that can be shared.
type maker struct {
	name string
	make func(size int) (*shm.Region, error)
}

func newRegions(p *process) *regions {
	rs := &regions{p: p, holders: map[*buffer]int{}, makers: []maker{{"memfd", shm.Create}}}
	for _, dir := range shm.Dirs() {
		rs.makers = append(rs.makers, maker{dir, func(size int) (*shm.Region, error) {
			if _, err := shm.Sweep(dir); err != nil {
				p.log.Debug("what hosts left that were killed could not be removed", "error", err)
			}
			return shm.CreateFile(dir, size)
		}})
	}
	return rs
}

// take returns a region for a tensor of n bytes; nil when it has to go in chunks.
func (rs *regions) take(ctx context.Context, n int) *region {
	if !rs.offered || n < minShared {
		return nil
	}
	rs.mu.Lock()
	if rs.done {
		rs.mu.Unlock()
		return nil
	}
	best := -1
	for i, r := range rs.free {
		if r.memory.Size() >= n && (best < 0 || r.memory.Size() < rs.free[best].memory.Size()) {
			best = i
		}
	}
	if best >= 0 {
		r := rs.free[best]
		rs.free = slices.Delete(rs.free, best, best+1)
		rs.mu.Unlock()
		return r
	}
	if rs.off {
		rs.mu.Unlock()
		return nil
	}
	size := (max(n, minRegion) + shm.Unit - 1) / shm.Unit * shm.Unit
	var small *region
	if len(rs.free) > 0 && (rs.count >= maxRegions || rs.bytes+int64(size) > maxRegionBytes) { // make room
		small = rs.free[0]
		rs.free = rs.free[1:]
		rs.drop(small)
	}
	full := rs.count >= maxRegions || rs.bytes+int64(size) > maxRegionBytes
	if !full {
		rs.count, rs.bytes = rs.count+1, rs.bytes+int64(size)
	}
	rs.mu.Unlock()
	if small != nil {
		rs.closeLater(small)
	}
	if full {
		return nil
	}
	return rs.open(ctx, size)
}

// stage is take for a tensor of b that waits for a run, or for its reader. Whoever takes it has the turn of b.
func (rs *regions) stage(ctx context.Context, b *buffer, n int) *region {
	rs.mu.Lock()
	if rs.done || rs.staged >= maxStagedRegions {
		rs.mu.Unlock()
		return nil
	}
	rs.staged++
	rs.holders[b]++ // before the region is there: close waits for the turn of b, and then finds it
	rs.mu.Unlock()
	r := rs.take(ctx, n)
	if r == nil {
		rs.unstage(b)
	}
	return r
}

func (rs *regions) unstage(b *buffer) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.staged--
	if rs.holders[b]--; rs.holders[b] == 0 {
		delete(rs.holders, b)
	}
}

// dropStaged gives up what waits for the buffers of a device, or of all when it is nil.
func (rs *regions) dropStaged(d *device) {
	rs.mu.Lock()
	all := slices.Collect(maps.Keys(rs.holders))
	rs.mu.Unlock()
	for _, b := range all {
		if d == nil || b.dev == d {
			b.drop()
		}
	}
}

// drop takes a region out of the account; the lock is held.
func (rs *regions) drop(r *region) { rs.count, rs.bytes = rs.count-1, rs.bytes-int64(r.memory.Size()) }

// open makes a region in the first way that the plugin accepts, and tries those before it never again. When the memory is
// full, those that there are must do.
func (rs *regions) open(ctx context.Context, size int) *region {
	var errs []error
	for {
		rs.mu.Lock()
		if len(rs.makers) == 0 {
			rs.off = true
			rs.count, rs.bytes = rs.count-1, rs.bytes-int64(size)
			message := "no shared memory: tensors go in chunks"
			if rs.count > 0 {
				message = "no more shared memory: some tensors go in chunks"
			}
			rs.mu.Unlock()
			rs.p.log.Info(message, "reason", errors.Join(errs...))
			return nil
		}
		way := rs.makers[0]
		rs.mu.Unlock()
		r, err := rs.offer(ctx, way, size)
		if err == nil {
			return r
		}
		rs.mu.Lock()
		if ctx.Err() != nil || rs.p.isEnding() {
			rs.count, rs.bytes = rs.count-1, rs.bytes-int64(size)
			rs.mu.Unlock()
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", way.name, err))
		if len(rs.makers) > 0 && rs.makers[0].name == way.name { // nobody else has found out
			rs.makers = rs.makers[1:]
		}
		rs.mu.Unlock()
	}
}

// offer makes a region and offers it to the plugin.
func (rs *regions) offer(ctx context.Context, way maker, size int) (*region, error) {
	memory, err := way.make(size)
	if err != nil {
		return nil, err
	}
	r := &region{rs.p.newID(), memory}
	var answer *pb.OpenRegionResponse
	err = rs.p.due(ctx, "OpenRegion", func(ctx context.Context) (err error) {
		answer, err = rs.p.client.OpenRegion(ctx, &pb.OpenRegionRequest{Region: r.id, Path: memory.Path(), Size: uint64(size), Nonce: memory.Nonce()})
		return err
	})
	unlinked := memory.Unlink()
	switch {
	case err != nil && !rs.p.answered(ctx, err):
		rs.closeLater(r)
		return nil, err
	case err != nil:
	case !answer.GetAccepted():
		err = fmt.Errorf("the plugin declined: %q", printable(cut(answer.GetReason(), 200)))
	case !memory.Proved():
		rs.closeLater(r)
		return nil, errors.New("the plugin has mapped other memory")
	default:
		err = unlinked
	}
	if err != nil {
		return nil, errors.Join(err, memory.Close())
	}
	return r, nil
}

// give takes a region back that nobody uses any more.
func (rs *regions) give(r *region) {
	rs.mu.Lock()
	done := rs.done
	if !done {
		rs.free = append(rs.free, r)
	}
	rs.mu.Unlock()
	if done {
		rs.release(r)
	}
}

// abandon gives a region up that the plugin may still use: its memory is freed when the plugin has closed it.
func (rs *regions) abandon(r *region) {
	rs.mu.Lock()
	rs.drop(r)
	rs.mu.Unlock()
	rs.closeLater(r)
}

func (rs *regions) closeLater(r *region) {
	rs.p.later("the end of a transfer that was given up", rs.p.closeObject(r.id), func() { rs.release(r) })
}

func (rs *regions) release(r *region) {
	if err := r.memory.Close(); err != nil {
		rs.p.log.Warn("shared memory could not be freed", "error", err)
	}
}

// close frees what is not in use when the process is gone; the rest is freed when it is given back.
func (rs *regions) close() {
	rs.mu.Lock()
	free := rs.free
	rs.free, rs.done = nil, true
	rs.mu.Unlock()
	for _, r := range free {
		rs.release(r)
	}
	rs.dropStaged(nil)
}
