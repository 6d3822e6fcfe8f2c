// Package toy is a stranger's backend, held against the suite. It has ReLU alone, borrowed from the reference.
package toy

import (
	"context"
	"errors"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

type device struct {
	backend.Device
	wrong bool
}

func (d device) Supports(n *graph.Node) error {
	if n.Op.Name() != "relu" {
		return backend.Unsupported("op", "relu", n.Op.Name())
	}
	return d.Device.Supports(n)
}

func (d device) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	for i := 0; err == nil && i < len(g.Nodes); i++ {
		err = d.Supports(g.Nodes[i])
	}
	return executable{e, d.wrong}, err
}

type executable struct {
	backend.Executable
	wrong bool
}

func (e executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.Executable.Run(ctx, in, out); err != nil || !e.wrong {
		return err
	}
	data := make([]byte, out[0].Type().SizeBytes())
	err := out[0].Read(ctx, data)
	clear(data[len(data)&^15:]) // what lies beyond the last full vector of four
	return errors.Join(err, out[0].Write(ctx, data))
}

func open(wrong bool) func(*testing.T) backend.Device {
	return func(t *testing.T) backend.Device {
		d, err := reference.New().Open(context.Background(), "cpu")
		if err != nil {
			t.Fatal(err)
		}
		return device{d, wrong}
	}
}

func TestRight(t *testing.T) { conformance.Run(t, open(false), conformance.Options{}) }
func TestWrong(t *testing.T) { conformance.Run(t, open(true), conformance.Options{}) }
