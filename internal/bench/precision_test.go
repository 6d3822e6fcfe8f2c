package bench

import (
	"context"
	"maps"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// narrow is a device whose results are rounded to float16, which it tells or not.
type narrow struct {
	backend.Device
	tells bool
}

func (d narrow) Info() backend.DeviceInfo {
	info := d.Device.Info()
	info.Properties = maps.Clone(info.Properties)
	if info.Properties == nil {
		info.Properties = map[string]string{}
	}
	info.Properties["precision"] = F16
	return info
}

func (d narrow) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	if err != nil || !d.tells {
		return e, err
	}
	return narrowExecutable{e, g.Nodes[0].Name}, nil
}

type narrowExecutable struct {
	backend.Executable
	node string
}

func (e narrowExecutable) Precisions() map[string]backend.Precision {
	return map[string]backend.Precision{e.node: {Operands: graph.Float32, Parameters: graph.Float32, Result: graph.Float16}}
}

func TestFloat16HasItsOwnTolerance(t *testing.T) {
	for _, tells := range []bool{true, false} {
		s := suite(t, nil)
		inner := open(t, func(_ int, out []float32) {
			for i, v := range out {
				out[i] = graph.RoundFloat16(v)
			}
		})
		s.Targets = []Target{{Open: func(ctx context.Context) (backend.Device, error) {
			d, err := inner.Open(ctx)
			return narrow{d, tells}, err
		}}}
		r, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Results {
			if want := map[bool]Status{true: OK, false: Wrong}[tells]; x.Status != want || x.Precision != F16 {
				t.Errorf("told %v: got %s in %s, want %s in %s", tells, x.Status, x.Precision, want, F16)
			}
		}
	}
}
