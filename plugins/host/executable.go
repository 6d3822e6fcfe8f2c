package host

import (
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

// Run runs the graph in the plugin.
func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	err := e.call(ctx, in, out, "Run", func(r *pb.RunRequest) error {
		_, err := e.dev.p.client.Run(ctx, r)
		return err
	})
	if err != nil {
		return fmt.Errorf("run graph %q: %w", e.name, err)
	}
	return nil
}

// Profile runs the graph in the plugin, which tells its times.
func (e *profiler) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	var times []backend.NodeTime
	err := e.call(ctx, in, out, "Profile", func(r *pb.RunRequest) error {
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
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("profile graph %q: %w", e.name, err)
	}
	return times, nil
}

// call checks the buffers, calls, and sees to it that the plugin comes to an end with a call that is given up.
func (e *executable) call(ctx context.Context, in, out []backend.Buffer, what string, call func(*pb.RunRequest) error) error {
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
	request := &pb.RunRequest{Executable: e.id}
	for i, b := range bound {
		if i < len(in) {
			request.Inputs = append(request.Inputs, b.id)
		} else {
			request.Outputs = append(request.Outputs, b.id)
		}
	}
	p := e.dev.p
	err = call(request)
	if !p.answered(ctx, err) {
		smallest := slices.MinFunc(bound, func(a, b *buffer) int { return a.typ.SizeBytes() - b.typ.SizeBytes() })
		p.later("the end of a "+what+" that was given up", smallest.touch, func() {})
	}
	return p.result(ctx, err)
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
func (e *executable) Close() error { return e.dev.p.closeOnce(&e.object, "Close of an executable") }
