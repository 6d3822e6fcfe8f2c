package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// fenceElems is the size of the buffers that stand between the others.
const fenceElems = 33

// tray is a set of buffers for an executable, with fences between them.
type tray struct {
	in, out, fences []backend.Buffer
	inputs          [][]byte // what in holds
	outPorts        []graph.Port
}

// newTray makes the buffers, writes the inputs and poisons the outputs.
func newTray(ctx context.Context, dev backend.Device, s graph.Signature, inputs [][]float32) (t *tray, err error) {
	t = &tray{outPorts: s.Outputs}
	defer func() {
		if err != nil {
			_ = t.close() // the first error counts
		}
	}()
	if err := t.fence(ctx, dev); err != nil {
		return t, err
	}
	for i, p := range s.Inputs {
		data := bytesOf(inputs[i])
		buf, err := newBuffer(ctx, dev, p, data)
		if err != nil {
			return t, fmt.Errorf("input %q: %w", p.Name, err)
		}
		t.in, t.inputs = append(t.in, buf), append(t.inputs, data)
		if err := t.fence(ctx, dev); err != nil {
			return t, err
		}
	}
	for _, p := range s.Outputs {
		buf, err := newBuffer(ctx, dev, p, poison(p.Type))
		if err != nil {
			return t, fmt.Errorf("output %q: %w", p.Name, err)
		}
		t.out = append(t.out, buf)
		if err := t.fence(ctx, dev); err != nil {
			return t, err
		}
	}
	return t, nil
}

func newBuffer(ctx context.Context, dev backend.Device, p graph.Port, data []byte) (backend.Buffer, error) {
	buf, err := dev.NewBuffer(ctx, p.Type)
	if err != nil {
		return nil, fmt.Errorf("make buffer of %v: %w", p.Type, err)
	}
	if got := buf.Type(); got != p.Type {
		return nil, errors.Join(fmt.Errorf("make buffer: got type %v, want %v", got, p.Type), buf.Close())
	}
	if err := buf.Write(ctx, data); err != nil {
		return nil, errors.Join(fmt.Errorf("write buffer of %v: %w", p.Type, err), buf.Close())
	}
	return buf, nil
}

// fenceBytes is the contents of fence number i: numbers that tell one fence from another.
func fenceBytes(i int) []byte {
	v := make([]float32, fenceElems)
	for j := range v {
		v[j] = float32(-1000*(i+1) - j)
	}
	return bytesOf(v)
}

func (t *tray) fence(ctx context.Context, dev backend.Device) error {
	buf, err := newBuffer(ctx, dev, graph.Port{Type: graph.F32(fenceElems)}, fenceBytes(len(t.fences)))
	if err == nil {
		t.fences = append(t.fences, buf)
	}
	return err
}

// poisonOutputs fills the outputs with the marker again.
func (t *tray) poisonOutputs(ctx context.Context) error {
	for i, buf := range t.out {
		if err := buf.Write(ctx, poison(t.outPorts[i].Type)); err != nil {
			return fmt.Errorf("write output %q: %w", t.outPorts[i].Name, err)
		}
	}
	return nil
}

// read returns the outputs, all of which must have been written.
func (t *tray) read(ctx context.Context) ([][]float32, error) {
	out := make([][]float32, len(t.out))
	for i, buf := range t.out {
		p := t.outPorts[i]
		data := make([]byte, p.Type.SizeBytes())
		if err := buf.Read(ctx, data); err != nil {
			return nil, fmt.Errorf("read output %q: %w", p.Name, err)
		}
		out[i] = floats(data)
		missing, first := 0, -1
		for j, v := range out[i] {
			if math.Float32bits(v) == poisonBits {
				if missing++; first < 0 {
					first = j
				}
			}
		}
		if missing > 0 {
			return nil, fmt.Errorf("output %q: %d of %d elements are not written, the first at %v", p.Name, missing, len(out[i]), place(p.Type.Shape, first))
		}
	}
	return out, nil
}

// unwritten holds inputs, outputs and fences against what was written to them: a run that was refused changes nothing.
func (t *tray) unwritten(ctx context.Context) error {
	for i, buf := range t.out {
		at, err := differs(ctx, buf, poison(t.outPorts[i].Type))
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		if at >= 0 {
			return fmt.Errorf("output %d was written to by a run that was refused: byte %d has changed", i, at)
		}
	}
	return t.intact(ctx)
}

// intact holds inputs and fences against what was written to them.
func (t *tray) intact(ctx context.Context) error {
	for i, buf := range t.in {
		at, err := differs(ctx, buf, t.inputs[i])
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if at >= 0 {
			return fmt.Errorf("input %d was written to, in place or out of bounds: byte %d has changed", i, at)
		}
	}
	for i, buf := range t.fences {
		at, err := differs(ctx, buf, fenceBytes(i))
		if err != nil {
			return fmt.Errorf("fence %d: %w", i, err)
		}
		if at >= 0 {
			return fmt.Errorf("a buffer that is none of the run's was written to, out of bounds: fence %d, byte %d has changed", i, at)
		}
	}
	return nil
}

// differs returns the first byte of a buffer that is not as in want, -1 when all are.
func differs(ctx context.Context, buf backend.Buffer, want []byte) (int, error) {
	got := make([]byte, len(want))
	if err := buf.Read(ctx, got); err != nil {
		return -1, fmt.Errorf("read buffer: %w", err)
	}
	if bytes.Equal(got, want) {
		return -1, nil
	}
	for i := range got {
		if got[i] != want[i] {
			return i, nil
		}
	}
	return -1, nil
}

func (t *tray) close() error {
	var errs []error
	for _, list := range [][]backend.Buffer{t.in, t.out, t.fences} {
		for _, b := range list {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}

// once compiles a graph and runs it once, with poisoned outputs and fences.
func (b *bench) once(ctx context.Context, g *graph.Graph, inputs [][]float32) (out [][]float32, how transforms, err error) {
	e, err := b.compile(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, closing("executable", e.Close())) }()
	if how, err = transformsOf(e, g); err != nil {
		return nil, nil, err
	}
	if b.stored, err = precisionsOf(e, g); err != nil {
		return nil, nil, err
	}
	t, err := newTray(ctx, b.dev, g.Signature(), inputs)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, closing("buffers", t.close())) }()
	if err := e.Run(ctx, t.in, t.out); err != nil {
		return nil, nil, fmt.Errorf("run: %w", err)
	}
	if err := t.intact(ctx); err != nil {
		return nil, nil, err
	}
	out, err = t.read(ctx)
	return out, how, err
}

func closing(what string, err error) error {
	if err != nil {
		return fmt.Errorf("close %s: %w", what, err)
	}
	return nil
}

func poison(t graph.TensorType) []byte {
	return bytesOf(fillWith(t.Shape.Elems(), math.Float32frombits(poisonBits)))
}

func bytesOf(v []float32) []byte {
	out := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(x))
	}
	return out
}

func floats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}
