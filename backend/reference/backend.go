package reference

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/hostmem"
	"github.com/resnet-run/resnet-run/graph"
)

const (
	backendName = "reference"
	deviceID    = "cpu"
	// maxTensorBytes bounds one tensor, measured as float32; in the judge's hands it takes twice as much.
	maxTensorBytes = 1 << 31
)

var (
	_ backend.Backend    = refBackend{}
	_ backend.Device     = (*device)(nil)
	_ backend.Executable = (*executable)(nil)
)

// New returns the backend "reference". Its one device, "cpu", runs every op of the IR on float32 tensors of up to 2
// GiB each, computing in float64 between inputs and outputs. It needs nothing of the machine.
func New() backend.Backend { return refBackend{} }

type refBackend struct{}

func (refBackend) Name() string { return backendName }

func (refBackend) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return []backend.DeviceInfo{deviceInfo()}, nil
}

func (refBackend) Open(ctx context.Context, id string) (backend.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open device %q: %w", id, err)
	}
	if id != deviceID {
		return nil, fmt.Errorf("open device %q: %w of that ID, want %q", id, backend.ErrNoDevice, deviceID)
	}
	return &device{hostmem.Owner{MaxBytes: maxTensorBytes}}, nil
}

func deviceInfo() backend.DeviceInfo {
	return backend.DeviceInfo{
		Backend: backendName,
		ID:      deviceID,
		Name:    "float64 reference",
		Type:    backend.CPU,
		Driver:  runtime.Version(),
		API:     runtime.GOOS + "/" + runtime.GOARCH,
		Properties: map[string]string{
			"arithmetic": "float64",
			"processors": fmt.Sprint(runtime.GOMAXPROCS(0)),
		},
	}
}

type device struct{ hostmem.Owner }

func (d *device) Info() backend.DeviceInfo { return deviceInfo() }

func (d *device) Supports(n *graph.Node) error {
	if err := d.Check(); err != nil {
		return fmt.Errorf("ask device %q: %w", deviceID, err)
	}
	return supports(n)
}

func (d *device) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("compile graph: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("compile graph: %w", err)
	}
	if err := check(g); err != nil {
		return nil, fmt.Errorf("compile graph: %w", err)
	}
	return newExecutable(d, g)
}

// check holds a graph against what Compile and Eval need.
func check(g *graph.Graph) error {
	if g == nil {
		return fmt.Errorf("want a graph, got nil")
	}
	if err := g.Validate(); err != nil {
		return err
	}
	for _, p := range g.Params {
		if p.Data == nil {
			return fmt.Errorf("graph %q: parameter %q is not bound", g.Name, p.Name)
		}
	}
	for _, v := range slices.Concat(g.Inputs, g.Params) {
		if err := supportsType(v.Name, v.Type); err != nil {
			return fmt.Errorf("graph %q: %v %q: %w", g.Name, v.Kind, v.Name, err)
		}
	}
	for _, n := range g.Nodes {
		if err := supports(n); err != nil {
			return fmt.Errorf("graph %q: %w", g.Name, err)
		}
	}
	return nil
}

// supports holds a node that may come from anywhere against what compute relies on.
func supports(n *graph.Node) error {
	if n == nil || n.Op == nil || n.Output == nil || slices.Contains(n.Inputs, nil) {
		return backend.Unsupported("node", "an op, inputs and a result", "nil")
	}
	types := make([]graph.TensorType, len(n.Inputs))
	for i, v := range n.Inputs {
		types[i] = v.Type
		if err := supportsType(fmt.Sprintf("input %d", i), v.Type); err != nil {
			return fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), err)
		}
	}
	t, err := graph.Infer(n.Op, types...)
	if err != nil {
		return fmt.Errorf("node %q: %w: %w", n.Name, backend.ErrUnsupported, err)
	}
	if n.Output.Type != t {
		return fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), backend.Unsupported("result", t.String(), n.Output.Type.String()))
	}
	if err := supportsType("result", t); err != nil {
		return fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), err)
	}
	return nil
}

func supportsType(what string, t graph.TensorType) error {
	if t.DType != graph.Float32 {
		return backend.Unsupported(what+" dtype", graph.Float32.String(), t.DType.String())
	}
	if t.Shape.Elems() > maxTensorBytes/4 {
		return backend.Unsupported(what+" size", fmt.Sprintf("at most %d bytes", maxTensorBytes), t.String())
	}
	return nil
}
