// Command resnet-run-backend-go-naive is the smallest backend that runs a whole ResNet, as a plugin of resnet-run. This
// file is all that the contract asks for, kernels.go the numbers. README.md says how to go on from a copy.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/plugins"
)

func main() { plugins.Serve(naive{}) }

var info = backend.DeviceInfo{Backend: "go-naive", ID: "0", Name: "plain Go loops", Type: backend.CPU}

type naive struct{}

func (naive) Name() string { return info.Backend }
func (naive) Devices(context.Context) ([]backend.DeviceInfo, error) {
	return []backend.DeviceInfo{info}, nil
}

func (naive) Open(_ context.Context, id string) (backend.Device, error) {
	if id != info.ID {
		return nil, backend.ErrNoDevice
	}
	return &device{}, nil
}

type object struct { // what can be closed: alone or with its device
	dev    *device
	closed atomic.Bool
}

func (o *object) Close() error { o.closed.Store(true); return nil }

func (o *object) check() error {
	if o.closed.Load() || o.dev != nil && o.dev.closed.Load() {
		return backend.ErrClosed
	}
	return nil
}

type device struct{ object }

func (d *device) Info() backend.DeviceInfo { return info }

// Supports binds: what it accepts must compile, run and be right; what it refuses, Compile must refuse.
func (d *device) Supports(n *graph.Node) error {
	if kernels[n.Op.Name()] == nil || n.Output.Type.DType != graph.Float32 {
		return backend.Unsupported("op", "float32 and one of "+fmt.Sprint(slices.Sorted(maps.Keys(kernels))), n.Op.Name()+" of "+n.Output.Type.String())
	}
	return d.check()
}

func (d *device) Compile(_ context.Context, g *graph.Graph) (backend.Executable, error) {
	if g == nil {
		return nil, errors.New("compile: want a graph, got nil")
	}
	errs := []error{d.check(), g.Validate()}
	for _, n := range g.Nodes {
		errs = append(errs, d.Supports(n))
	}
	weights := tensors{}
	for _, p := range g.Params {
		if p.Data == nil || p.Type.DType != graph.Float32 {
			return nil, backend.Unsupported(p.Name, "float32 data", p.Type.String())
		}
		weights[p] = slices.Clone(p.Data.Float32s()) // the caller's may be gone after the call
	}
	errs = append(errs, g.DataErr())
	return &executable{object{dev: d}, g, weights}, errors.Join(errs...)
}

func (d *device) NewBuffer(_ context.Context, t graph.TensorType) (backend.Buffer, error) {
	if t.DType != graph.Float32 {
		return nil, backend.Unsupported("dtype", "float32", t.DType.String())
	}
	return &buffer{object{dev: d}, t, make([]float32, t.Shape.Elems())}, d.check()
}

type buffer struct {
	object
	typ  graph.TensorType
	data []float32
}

func (b *buffer) Type() graph.TensorType                    { return b.typ }
func (b *buffer) Write(_ context.Context, src []byte) error { return b.move(src, binary.Decode) }
func (b *buffer) Read(_ context.Context, dst []byte) error  { return b.move(dst, binary.Encode) }

func (b *buffer) move(raw []byte, to func([]byte, binary.ByteOrder, any) (int, error)) error {
	if len(raw) != b.typ.SizeBytes() {
		return &graph.ShapeError{Attr: "bytes", Want: fmt.Sprint(b.typ.SizeBytes()), Got: fmt.Sprint(len(raw))}
	}
	_, err := to(raw, binary.LittleEndian, b.data)
	return errors.Join(err, b.check())
}

type executable struct {
	object
	*graph.Graph // has the Signature
	weights      tensors
}

func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	given, ports := slices.Concat(in, out), slices.Concat(e.Signature().Inputs, e.Signature().Outputs)
	if len(in) != len(e.Inputs) || len(given) != len(ports) {
		return &graph.ShapeError{Attr: "buffers", Want: fmt.Sprint(len(e.Inputs), len(e.Outputs)), Got: fmt.Sprint(len(in), len(out))}
	}
	for i, p := range ports {
		b, ok := given[i].(*buffer)
		if !ok || b.dev != e.dev || b.typ != p.Type || i >= len(in) && slices.Contains(given[:i], given[i]) {
			return &graph.ShapeError{Node: p.Name, Attr: "buffer", Want: p.Type.String(), Got: "another, or one given twice"}
		}
		if err := errors.Join(e.check(), b.check()); err != nil {
			return err
		}
	}
	values := maps.Clone(e.weights)
	for i, v := range e.Inputs {
		values[v] = in[i].(*buffer).data
	}
	for _, n := range e.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		values[n.Output] = make([]float32, n.Output.Type.Shape.Elems())
		kernels[n.Op.Name()](n, values, values[n.Output])
	}
	for i, v := range e.Outputs {
		copy(out[i].(*buffer).data, values[v])
	}
	return nil
}
