package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// executable is a graph compiled in a plugin.
type executable struct {
	object
	dev  *device
	name string
	sig  graph.Signature

	transforms map[string]backend.Winograd
	precisions map[string]backend.Precision
}

var (
	_ backend.Transformer    = (*executable)(nil)
	_ backend.MixedPrecision = (*executable)(nil)
)

// profiler is an executable that can tell its times.
type profiler struct{ *executable }

var _ backend.Profiler = (*profiler)(nil)

// Signature tells the inputs and outputs of the graph that was compiled.
func (e *executable) Signature() graph.Signature {
	return graph.Signature{Inputs: slices.Clone(e.sig.Inputs), Outputs: slices.Clone(e.sig.Outputs)}
}

// Transforms returns what the plugin said of the graph's convolutions.
func (e *executable) Transforms() map[string]backend.Winograd { return maps.Clone(e.transforms) }

// Precisions returns what the plugin said of how tensors are stored.
func (e *executable) Precisions() map[string]backend.Precision { return maps.Clone(e.precisions) }

// Run runs the graph in the plugin. Tensors that wait go with the call, and come with its answer.
func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	err := e.call(ctx, in, out, func(bound []*buffer, r *pb.RunRequest) error {
		x := &execution{p: e.dev.p, request: pb.ExecuteRequest{Run: r}}
		if err := x.gather(ctx, bound, len(in)); err != nil {
			return err
		}
		if len(x.sent)+len(x.expected) > 0 {
			return x.do(ctx, "Run")
		}
		return e.alone(ctx, bound, "Run", func() error {
			_, err := e.dev.p.client.Run(ctx, r)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("run graph %q: %w", e.name, err)
	}
	return nil
}

// gather adds the inputs that wait, and the outputs that were read the last time.
func (x *execution) gather(ctx context.Context, bound []*buffer, inputs int) error {
	for _, b := range bound[:inputs] {
		if b.pending == nil || slices.Contains(x.sent, b) || x.send(b) {
			continue
		}
		if err := b.flush(ctx, "write"); err != nil {
			return err
		}
	}
	for _, b := range bound[inputs:] {
		b.unstage(&b.fetched)
		if b.wanted {
			x.expect(ctx, b)
		}
		b.wanted = false
	}
	return nil
}

// Profile runs the graph in the plugin, which tells its times.
func (e *profiler) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	var times []backend.NodeTime
	err := e.call(ctx, in, out, func(bound []*buffer, r *pb.RunRequest) error {
		for i, b := range bound {
			b.unstage(&b.fetched)
			if i < len(in) {
				if err := b.flush(ctx, "write"); err != nil {
					return err
				}
			}
		}
		return e.alone(ctx, bound, "Profile", func() (err error) {
			times, err = e.profile(ctx, r)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("profile graph %q: %w", e.name, err)
	}
	return times, nil
}

func (e *profiler) profile(ctx context.Context, r *pb.RunRequest) (times []backend.NodeTime, err error) {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := e.dev.p.client.Profile(call, r)
	for err == nil {
		var part *pb.ProfileResponse
		if part, err = stream.Recv(); err != nil {
			break
		}
		if times, err = wire.DecodeTimes(times, part); err != nil {
			e.dev.p.violated(fmt.Errorf("Profile: %w", err))
		}
	}
	if errors.Is(err, io.EOF) {
		return times, nil
	}
	return nil, err
}

// alone makes a call without tensors, and sees to it that the plugin comes to an end with one that is given up.
func (e *executable) alone(ctx context.Context, bound []*buffer, what string, call func() error) error {
	p := e.dev.p
	err := call()
	if !p.answered(ctx, err) {
		p.later("the end of a "+what+" that was given up", smallest(bound).touch, func() {})
	}
	return p.result(ctx, err)
}

// call checks the buffers, and runs when it has the turn of each.
func (e *executable) call(ctx context.Context, in, out []backend.Buffer, run func(bound []*buffer, r *pb.RunRequest) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	if err := e.dev.begin(); err != nil {
		return err
	}
	defer e.dev.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	bound, err := e.bind(in, out)
	defer func() {
		for _, b := range bound {
			b.leave()
		}
	}()
	if err != nil {
		return err
	}
	leave, err := takeTurns(ctx, bound)
	if err != nil {
		return err
	}
	defer leave()
	request := &pb.RunRequest{Executable: e.id}
	for i, b := range bound {
		if i < len(in) {
			request.Inputs = append(request.Inputs, b.id)
		} else {
			request.Outputs = append(request.Outputs, b.id)
		}
	}
	if err := run(bound, request); err != nil {
		return err
	}
	for _, b := range bound[len(in):] {
		b.unstage(&b.pending) // the run has written over it
	}
	return nil
}

// takeTurns waits for the turn of each buffer, everybody in the same order.
func takeTurns(ctx context.Context, bound []*buffer) (leave func(), err error) {
	all := slices.Clone(bound)
	slices.SortFunc(all, func(a, b *buffer) int { return cmp.Compare(a.id, b.id) })
	all = slices.Compact(all)
	for i, b := range all {
		if err := b.takeTurn(ctx); err != nil {
			for _, b := range all[:i] {
				b.leaveTurn()
			}
			return nil, err
		}
	}
	return func() {
		for _, b := range all {
			b.leaveTurn()
		}
	}, nil
}

// bind checks the buffers against the signature and enters them.
func (e *executable) bind(in, out []backend.Buffer) ([]*buffer, error) {
	bound, err := e.take(nil, "input", in, e.sig.Inputs)
	if err == nil {
		bound, err = e.take(bound, "output", out, e.sig.Outputs)
	}
	for i := len(in); err == nil && i < len(bound); i++ {
		if slices.Contains(bound[:i], bound[i]) {
			err = fmt.Errorf("output %d (%q): the buffer is given twice", i-len(in), e.sig.Outputs[i-len(in)].Name)
		}
	}
	return bound, err
}

// take appends the buffers of one side to those that were entered.
func (e *executable) take(bound []*buffer, what string, given []backend.Buffer, ports []graph.Port) ([]*buffer, error) {
	if len(given) != len(ports) {
		return bound, &graph.ShapeError{Attr: what + "s", Want: fmt.Sprint(len(ports)), Got: fmt.Sprint(len(given))}
	}
	for i, g := range given {
		attr := fmt.Sprintf("%s %d", what, i)
		b, ok := g.(*buffer)
		if !ok || b == nil || b.dev != e.dev {
			return bound, &graph.ShapeError{Node: ports[i].Name, Attr: attr, Want: "a buffer of the device that compiled the graph", Got: fmt.Sprintf("%T of another", g)}
		}
		if b.typ != ports[i].Type {
			return bound, &graph.ShapeError{Node: ports[i].Name, Attr: attr, Want: ports[i].Type.String(), Got: b.typ.String()}
		}
		if err := b.enter(); err != nil {
			return bound, fmt.Errorf("%s (%q): buffer: %w", attr, ports[i].Name, err)
		}
		bound = append(bound, b)
	}
	return bound, nil
}

// Close closes the executable in the plugin, after the runs in progress.
func (e *executable) Close() error {
	return e.dev.p.closeOnce(&e.object, "Close of an executable", func() {})
}
