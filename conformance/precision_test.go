package conformance_test

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

// halfDevice is a device of the reference whose results are rounded to float16.
type halfDevice struct {
	backend.Device
	claim func(n *graph.Node) (string, backend.Precision) // nil: nothing is told
	off   float32                                         // further error of a result, relative
}

func (d *halfDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	if err != nil {
		return nil, err
	}
	return &halfExecutable{e, d, g}, nil
}

type halfExecutable struct {
	backend.Executable
	d *halfDevice
	g *graph.Graph
}

func (e *halfExecutable) Precisions() map[string]backend.Precision {
	all := map[string]backend.Precision{}
	for _, n := range e.g.Nodes {
		if e.d.claim != nil {
			name, p := e.d.claim(n)
			all[name] = p
		}
	}
	return all
}

func (e *halfExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.Executable.Run(ctx, in, out); err != nil {
		return err
	}
	for _, b := range out {
		data := make([]byte, b.Type().SizeBytes())
		if err := b.Read(ctx, data); err != nil {
			return err
		}
		for i := 0; i < len(data); i += 4 {
			v := math.Float32frombits(binary.LittleEndian.Uint32(data[i:]))
			binary.LittleEndian.PutUint32(data[i:], math.Float32bits(graph.RoundFloat16(v*(1+e.d.off))))
		}
		if err := b.Write(ctx, data); err != nil {
			return err
		}
	}
	return nil
}

func TestFloat16IsJudgedByItsRoundings(t *testing.T) {
	result := backend.Precision{Operands: graph.Float32, Parameters: graph.Float32, Result: graph.Float16}
	honest := func(n *graph.Node) (string, backend.Precision) { return n.Name, result }
	const filter = `^(conv2d/n2-c17-h9-w7-k19-g1/r3-s3-stride1,1-pad1,1,1,1-dil1,1|relu/n2-c5-h7-w9|add/n2-c5-h7-w9|group_norm/n2-c10-h7-w9-g5|split_attention/n2-c5-h7-w9-r2-g1|concat/n2-h7-w9|spatial_pad/n2-c5-h7-w9)/`
	for _, c := range []struct {
		name  string
		d     halfDevice
		fails string // what an error says
	}{
		{"told", halfDevice{claim: honest}, ""},
		{"silent", halfDevice{}, "out of bounds"},
		{"told, but worse", halfDevice{claim: honest, off: 0x1p-8}, "out of bounds"},
		{"of another node", halfDevice{claim: func(*graph.Node) (string, backend.Precision) { return "nobody", result }}, "want nodes of the graph"},
		{"of a type that there is not", halfDevice{claim: func(n *graph.Node) (string, backend.Precision) {
			p := result
			p.Operands = graph.Int8
			return n.Name, p
		}}, "want float32 or float16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := func(ctx context.Context) (backend.Device, error) {
				d, err := reference.New().Open(ctx, "cpu")
				if err != nil {
					return nil, err
				}
				x := c.d
				x.Device = d
				return &x, nil
			}
			failed := 0
			s, err := conformance.Execute(t.Context(), open, conformance.Options{Filter: filter}, func(r conformance.Result) error {
				if r.Err != nil {
					failed++
					if c.fails == "" || !strings.Contains(r.Err.Error(), c.fails) {
						t.Errorf("%s: got %v, want %q", r.Case.Name, r.Err, c.fails)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if s.Run < 10 || (c.fails != "") != (failed > 0) {
				t.Errorf("%d of %d cases failed, want failures %v", failed, s.Run, c.fails != "")
			}
		})
	}
}
