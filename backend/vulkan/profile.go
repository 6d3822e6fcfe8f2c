package vulkan

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

var _ backend.Profiler = (*executable)(nil)

// profile is one recording of the plan with timestamps.
type profile struct {
	run     *run
	queries vk.QueryPool
	cmd     vk.CommandBuffer
	times   []backend.NodeTime // without the seconds
}

// Profile runs once with a timestamp behind each command. A barrier stands before each timestamp, so that commands which a
// run may overlap are timed one by one: the sum can exceed the time of a run.
//
// Errors: as Run, and backend.ErrUnsupported when the device's queue has no timestamps.
func (e *executable) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	wrap := func(err error) error { return fmt.Errorf("profile %q: %w", e.name, err) }
	r, err := e.begin(ctx, in, out)
	if err != nil {
		return nil, wrap(err)
	}
	if err := acquire(ctx, e.turn); err != nil { // kept to the end: the commands are of the pool that runs record into
		r.done()
		return nil, wrap(err)
	}
	done := func() {
		<-e.turn
		r.done()
	}
	var p *profile
	if e.closed {
		err = backend.ErrClosed
	}
	if err == nil && e.dev.timestampMask() == 0 {
		err = backend.Unsupported("timestamps", "a queue family with timestamps", "timestampValidBits = 0")
	}
	if err == nil && len(e.plan.Commands) > 0 {
		p, err = r.startProfile(in, out)
	}
	if err != nil || p == nil {
		done()
		if err != nil {
			return nil, wrap(e.dev.fail(err))
		}
		return nil, nil
	}
	type result struct {
		times []backend.NodeTime
		err   error
	}
	ended := make(chan result, 1)
	go func() { // the device cannot be stopped: what it uses is kept until it is done, whether or not anyone still waits
		times, err := p.finish()
		if err == nil {
			err = e.checkFences(in, out)
		}
		ended <- result{times, err}
		done()
	}()
	select {
	case r := <-ended:
		if r.err != nil {
			return nil, wrap(r.err)
		}
		return r.times, nil
	case <-ctx.Done():
		return nil, wrap(ctx.Err())
	}
}

// timestampMask has the bits of a timestamp that count, none when the queue has no timestamps.
func (d *device) timestampMask() uint64 {
	bits := d.facts.QueueFamilies[d.dev.QueueFamily()].TimestampBits
	if bits >= 64 {
		return ^uint64(0)
	}
	return 1<<bits - 1
}

// startProfile records and submits.
func (r *run) startProfile(in, out []backend.Buffer) (p *profile, err error) {
	e, d := r.e, r.e.dev.dev
	b, err := e.bind(in, out)
	if err == nil {
		err = e.raiseFences(in, out)
	}
	if err != nil {
		return nil, err
	}
	r.binding = b
	b.busy.Store(true)
	marks := 1
	for _, c := range e.plan.Commands {
		if _, ok := c.(plan.Barrier); !ok {
			marks++
		}
	}
	p = &profile{run: r}
	defer func() {
		if err != nil {
			p.destroy()
		}
	}()
	if p.queries, err = d.CreateTimestampPool(marks); err != nil {
		return nil, err
	}
	if p.cmd, err = d.AllocateCommandBuffer(e.pool); err != nil {
		return nil, err
	}
	if err = e.dev.begin(p.cmd, true); err != nil {
		return nil, err
	}
	work, access := e.hazards()
	d.CmdResetQueries(p.cmd, p.queries, 0, marks)
	d.CmdWriteTimestamp(p.cmd, vk.StageBottomOfPipe, p.queries, 0)
	e.encode(b, p.cmd, e.plan.Commands, func(c plan.Command) {
		t := backend.NodeTime{Kernel: "copy"}
		if s, ok := c.(plan.Dispatch); ok {
			t = backend.NodeTime{Node: s.Step.Node, Kernel: s.Step.Variant.Name, Reason: s.Step.Reason}
		}
		p.times = append(p.times, t)
		d.CmdBarrier(p.cmd, work, work, access, access)
		d.CmdWriteTimestamp(p.cmd, vk.StageBottomOfPipe, p.queries, len(p.times))
	})
	if err = d.EndCommandBuffer(p.cmd); err != nil {
		return nil, err
	}
	if err = e.dev.submit(e.dev.compute, r.fences[0], p.cmd); err == nil {
		r.submitted++
	}
	return p, err
}

// finish waits for the device and reads the times.
func (p *profile) finish() ([]backend.NodeTime, error) {
	dev := p.run.e.dev
	defer p.destroy()
	if err := p.run.wait(context.Background(), 0); err != nil {
		return nil, err
	}
	ticks := make([]uint64, len(p.times)+1)
	if err := dev.dev.Timestamps(p.queries, 0, ticks); err != nil {
		return nil, dev.fail(err)
	}
	mask, period := dev.timestampMask(), dev.facts.Limits.TimestampPeriod*1e-9
	for i := range p.times {
		p.times[i].Seconds = float64((ticks[i+1]-ticks[i])&mask) * period
	}
	return p.times, nil
}

func (p *profile) destroy() {
	d := p.run.e.dev.dev
	d.FreeCommandBuffer(p.run.e.pool, p.cmd)
	if p.queries != 0 {
		d.DestroyQueryPool(p.queries)
	}
}
