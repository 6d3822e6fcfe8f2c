package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// device is a device of one process: when the process is gone, so is the device.
type device struct {
	object
	p    *process
	info backend.DeviceInfo
}

// Info returns facts about the device.
func (d *device) Info() backend.DeviceInfo { return d.info }

// begin begins a call on the device.
func (d *device) begin() error {
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.p.alive(); err != nil {
		d.leave()
		return err
	}
	return nil
}

// Supports asks the plugin about a node. An answer that does not come within the host's patience ends the plugin.
func (d *device) Supports(n *graph.Node) error {
	q, err := wire.EncodeNode(n)
	if err != nil {
		return err
	}
	if err := d.begin(); err != nil {
		return err
	}
	defer d.leave()
	var r *pb.SupportsResponse
	err = d.p.due(context.Background(), "Supports", func(ctx context.Context) (err error) {
		r, err = d.p.client.Supports(ctx, &pb.SupportsRequest{Device: d.id, Nodes: []*pb.NodeQuery{q}})
		return err
	})
	if err != nil {
		return err
	}
	if len(r.GetAnswers()) != 1 {
		d.p.violated(fmt.Errorf("Supports: want 1 answer, got %d", len(r.GetAnswers())))
		return d.p.gone()
	}
	refusal := wire.DecodeMessage(r.Answers[0])
	if refusal != nil && !errors.Is(refusal, backend.ErrUnsupported) {
		return fmt.Errorf("%w: %w", backend.ErrUnsupported, refusal)
	}
	return refusal
}

// Compile sends a graph and its parameters.
func (d *device) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if g == nil {
		return nil, errors.New("compile: want a graph, got nil")
	}
	e, err := d.compile(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("compile graph %q: %w", g.Name, err)
	}
	return e, nil
}

func (d *device) compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	defer d.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e := &executable{dev: d, name: g.Name, sig: g.Signature()}
	e.id = d.p.newID()
	r, own, err := d.send(ctx, e.id, g)
	if own != nil {
		return nil, own
	}
	if err != nil {
		if !d.p.answered(ctx, err) {
			d.p.forget("Compile", e.id)
		}
		return nil, d.p.result(ctx, err)
	}
	err = e.checkPorts(r)
	if err == nil {
		e.transforms, err = wire.DecodeTransforms(r.GetTransforms(), g)
	}
	if err == nil {
		e.precisions, err = wire.DecodePrecisions(r.GetPrecisions(), g)
	}
	if err != nil {
		d.p.violated(fmt.Errorf("Compile: %w", err))
		return nil, d.p.gone()
	}
	if r.GetProfiler() {
		return &profiler{e}, nil
	}
	return e, nil
}

// send sends a graph. The error own is about the graph itself and not about the call, which it ends.
func (d *device) send(ctx context.Context, id uint64, g *graph.Graph) (r *pb.CompileResponse, own, err error) {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.p.client.Compile(call)
	if err != nil {
		return nil, nil, err
	}
	sent := stream.Send(&pb.CompileRequest{Part: &pb.CompileRequest_Start{Start: &pb.CompileStart{Device: d.id, Executable: id}}})
	if sent == nil {
		var failed error // of the stream
		sent = wire.SendGraph(g, func(m *pb.CompileRequest) error {
			failed = stream.Send(m)
			return failed
		})
		if sent != nil && failed == nil {
			cancel()
			d.p.forget("Compile", id)
			return nil, sent, nil
		}
	}
	if sent != nil && !errors.Is(sent, io.EOF) { // EOF: the plugin has answered already
		return nil, nil, sent
	}
	r, err = stream.CloseAndRecv()
	return r, nil, err
}

// checkPorts checks that the plugin has understood the graph.
func (e *executable) checkPorts(r *pb.CompileResponse) error {
	for _, c := range []struct {
		what string
		want []graph.Port
		got  []*pb.Value
	}{{"inputs", e.sig.Inputs, r.GetInputs()}, {"outputs", e.sig.Outputs, r.GetOutputs()}} {
		got, err := wire.DecodePorts(c.got)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		if !slices.Equal(got, c.want) {
			return fmt.Errorf("%s: want %v, got %.400s", c.what, c.want, fmt.Sprint(got))
		}
	}
	return nil
}

// NewBuffer makes a tensor in the memory of the plugin's device.
func (d *device) NewBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	b, err := d.newBuffer(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("new buffer of %v: %w", t, err)
	}
	return b, nil
}

func (d *device) newBuffer(ctx context.Context, t graph.TensorType) (backend.Buffer, error) {
	if err := d.begin(); err != nil {
		return nil, err
	}
	defer d.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &buffer{dev: d, typ: t, turn: make(chan struct{}, 1)}
	b.id = d.p.newID()
	if _, err := d.p.client.CreateBuffer(ctx, &pb.CreateBufferRequest{Device: d.id, Buffer: b.id, Type: wire.EncodeType(t)}); err != nil {
		if !d.p.answered(ctx, err) {
			d.p.forget("CreateBuffer", b.id)
		}
		return nil, d.p.result(ctx, err)
	}
	return b, nil
}

// Close closes the device in the plugin, after the calls in progress. It does nothing when the process is gone.
func (d *device) Close() error {
	return d.p.closeOnce(&d.object, "Close of the device", func() { d.p.regions.dropStaged(d) })
}

// closeOnce closes an object of the process. What it has on this side is released first.
func (p *process) closeOnce(o *object, what string, release func()) error {
	if !o.shut() {
		return nil
	}
	release()
	if p.alive() != nil {
		return nil
	}
	return p.due(context.Background(), what, p.closeObject(o.id))
}
