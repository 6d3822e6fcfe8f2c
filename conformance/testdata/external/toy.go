// Package toy is a backend with one kernel of its own, ReLU; memory and checks are borrowed from the reference.
package toy

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// device runs ReLU by a kernel that writes y.
type device struct {
	backend.Device
	relu func(x, y []float32)
}

func (d device) Info() backend.DeviceInfo {
	return backend.DeviceInfo{Backend: "toy", ID: "0", Name: "toy", Type: backend.CPU}
}

func (d device) Supports(n *graph.Node) error {
	if _, ok := n.Op.(graph.ReLU); !ok {
		return backend.Unsupported("op", "relu", n.Op.Name())
	}
	return d.Device.Supports(n)
}

func (d device) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	for i := 0; err == nil && i < len(g.Nodes); i++ {
		err = d.Supports(g.Nodes[i])
	}
	return executable{e, d, g}, err
}

type executable struct {
	backend.Executable
	d device
	g *graph.Graph
}

func (e executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.Executable.Run(ctx, in, out); err != nil || len(e.g.Nodes) != 1 || len(out) != 1 {
		return err // buffers that do not fit, a closed executable, or more than the one kernel
	}
	from := in[slices.Index(e.g.Inputs, e.g.Nodes[0].Inputs[0])]
	data := make([]byte, from.Type().SizeBytes())
	x, y := make([]float32, len(data)/4), make([]float32, len(data)/4)
	if err := from.Read(ctx, data); err != nil {
		return err
	}
	binary.Decode(data, binary.LittleEndian, x)
	e.d.relu(x, y)
	binary.Encode(data, binary.LittleEndian, y)
	return out[0].Write(ctx, data)
}
