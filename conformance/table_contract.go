package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// contractGraph has two inputs of different types and two outputs, and only what nearly every backend has.
var contractGraph = parse(
	"input %a : float32[2,3,5,4]", "input %b : float32[2,3]", "%r = relu(%a)", "%s = relu(%b)", "output %r", "output %s")

func (t *table) contract() {
	add := func(name, reason string, check func(context.Context, *bench) error) {
		t.add(Case{Name: "contract/" + name, Reason: reason, Class: Behaviour, build: contractGraph, check: check})
	}
	add("info", "a device tells its backend, ID, name and kind, and the same each time", checkInfo)
	for _, c := range otherDevices {
		t.add(Case{Name: "contract/run/" + c.name, Reason: "a buffer that another device of the backend made: an error, nothing is written, and the next run of either device is right",
			Class: Behaviour, OpensDevice: true, build: contractGraph, check: func(ctx context.Context, b *bench) error { return checkOtherDevice(ctx, b, c) }})
	}
	for _, c := range badRuns {
		add("run/"+c.name, "a run with buffers that do not fit: an error of the promised kind, and the next run is right", func(ctx context.Context, b *bench) error { return checkBadRun(ctx, b, c) })
	}
	add("buffer/size", "writes and reads of another size: a *graph.ShapeError, and the contents stay", checkBufferSizes)
	add("buffer/round-trip", "what was written is read, every bit pattern alike", checkRoundTrip)
	add("buffer/source-reused", "the source of a write may be reused on return", checkSourceReused)
	add("buffer/empty", "a tensor without elements", checkEmptyBuffer)
	add("closed/executable", "a closed executable: ErrClosed; a second close does nothing", checkClosedExecutable)
	add("closed/buffer", "a closed buffer: ErrClosed; a second close does nothing", checkClosedBuffer)
	add("compile/unbound", "a graph whose parameters have no data: an error", checkUnbound)
	add("compile/nil", "no graph: an error", checkNilGraph)
	add("closed/output", "a run with a closed output: ErrClosed, and the other outputs stay as they were", checkClosedOutput)
	add("compile/float16", "an element type that the device may not have: refused by Supports and Compile alike, or run", checkHalf)
	add("compile/later-op", "an op that comes with a later version: ErrUnsupported from Supports, and an error from Compile, which may take the graph for an invalid one", checkLaterOp)
	add("compile/data-dropped", "parameter data may be overwritten after compile", checkDataDropped)
	t.add(Case{Name: "contract/closed/device", Reason: "everything on a closed device: ErrClosed; a second close does nothing", Class: Behaviour,
		ClosesDevice: true, build: contractGraph, check: checkClosedDevice})
}

func checkInfo(_ context.Context, b *bench) error {
	i := b.dev.Info()
	if i.Backend == "" || i.ID == "" || i.Name == "" || i.Type == backend.InvalidDevice {
		return fmt.Errorf("info: want backend, ID, name and type, got %+v", i)
	}
	if j := b.dev.Info(); j.Backend != i.Backend || j.ID != i.ID || j.Name != i.Name || j.Type != i.Type {
		return fmt.Errorf("info: want the same each time, got %+v, then %+v", i, j)
	}
	return nil
}

// badRun spoils the buffers of a right run.
type badRun struct {
	name  string
	shape bool // the error must be a *graph.ShapeError
	spoil func(in, out []backend.Buffer, other backend.Buffer) ([]backend.Buffer, []backend.Buffer)
}

type buffers = []backend.Buffer

var badRuns = []badRun{
	{"no-inputs", true, func(_, out buffers, _ backend.Buffer) (buffers, buffers) { return nil, out }},
	{"too-few-inputs", true, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return in[:1], out }},
	{"too-many-inputs", true, func(in, out buffers, o backend.Buffer) (buffers, buffers) { return append(slices.Clone(in), o), out }},
	{"no-outputs", true, func(in, _ buffers, _ backend.Buffer) (buffers, buffers) { return in, nil }},
	{"too-many-outputs", true, func(in, out buffers, o backend.Buffer) (buffers, buffers) { return in, append(slices.Clone(out), o) }},
	{"inputs-swapped", true, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return buffers{in[1], in[0]}, out }},
	{"outputs-swapped", true, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return in, buffers{out[1], out[0]} }},
	{"input-of-another-shape", true, func(in, out buffers, o backend.Buffer) (buffers, buffers) { return buffers{o, in[1]}, out }},
	{"output-of-another-shape", true, func(in, out buffers, o backend.Buffer) (buffers, buffers) { return in, buffers{o, out[1]} }},
	{"nil-input", false, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return buffers{nil, in[1]}, out }},
	{"nil-output", false, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return in, buffers{nil, out[1]} }},
	{"foreign-input", false, func(in, out buffers, _ backend.Buffer) (buffers, buffers) {
		return buffers{foreign{in[0].Type()}, in[1]}, out
	}},
	{"foreign-output", false, func(in, out buffers, _ backend.Buffer) (buffers, buffers) {
		return in, buffers{out[0], foreign{out[1].Type()}}
	}},
}

// foreign is a buffer of nobody's device.
type foreign struct{ t graph.TensorType }

func (f foreign) Type() graph.TensorType            { return f.t }
func (foreign) Write(context.Context, []byte) error { return nil }
func (foreign) Read(context.Context, []byte) error  { return nil }
func (foreign) Close() error                        { return nil }

func checkBadRun(ctx context.Context, b *bench, c badRun) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	want, err := again(ctx, e, t)
	if err != nil {
		return err
	}
	other, err := b.dev.NewBuffer(ctx, graph.F32(2, 3, 4, 5)) // as many elements as the first, in another shape
	if err != nil {
		return fmt.Errorf("make buffer: %w", err)
	}
	defer func() { err = errors.Join(err, other.Close()) }()
	in, out := c.spoil(t.in, t.out, other)
	if err := t.poisonOutputs(ctx); err != nil {
		return err
	}
	err = e.Run(ctx, in, out)
	var shape *graph.ShapeError
	if err == nil {
		return fmt.Errorf("contract: run with %s: want an error, got none", c.name)
	}
	if c.shape && !errors.As(err, &shape) {
		return fmt.Errorf("contract: run with %s: want a *graph.ShapeError, got: %w", c.name, err)
	}
	if err := t.unwritten(ctx); err != nil {
		return fmt.Errorf("contract: run with %s: %w", c.name, err)
	}
	return b.rightAfterwards(ctx, e, t, want)
}

func checkBufferSizes(ctx context.Context, b *bench) (err error) {
	data := bytesOf([]float32{1, 2, 3, 4, 5, 6})
	buf, err := newBuffer(ctx, b.dev, graph.Port{Type: graph.F32(2, 3)}, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, buf.Close()) }()
	for _, n := range []int{0, 1, 23, 25, 48} {
		var shape *graph.ShapeError
		if err := buf.Write(ctx, make([]byte, n)); !errors.As(err, &shape) {
			return fmt.Errorf("contract: write of %d bytes to a buffer of 24: want a *graph.ShapeError, got %v", n, err)
		}
		if err := buf.Read(ctx, make([]byte, n)); !errors.As(err, &shape) {
			return fmt.Errorf("contract: read of %d bytes from a buffer of 24: want a *graph.ShapeError, got %v", n, err)
		}
	}
	at, err := differs(ctx, buf, data)
	if err == nil && at >= 0 {
		return fmt.Errorf("contract: a refused write changed byte %d", at)
	}
	return err
}

// patterns has every byte in every place of a word.
func patterns(n int) []byte {
	data := make([]byte, 4*n)
	for i := range data {
		data[i] = byte(i*167 + i>>8*31)
	}
	return data
}

func checkRoundTrip(ctx context.Context, b *bench) error {
	for _, n := range []int{1, 2, 3, 255, 257, 65537} {
		data := patterns(n)
		buf, err := newBuffer(ctx, b.dev, graph.Port{Type: graph.F32(n)}, data)
		if err != nil {
			return err
		}
		at, err := differs(ctx, buf, data)
		if err = errors.Join(err, buf.Close()); err != nil {
			return err
		}
		// Signalling NaN may lose its signal where memory is read as float32; the suite's own patterns have none at
		// the first element, so a difference is a fault.
		if at >= 0 && !signalling(data[at/4*4:]) {
			return fmt.Errorf("contract: buffer of %d elements: byte %d is not read as it was written", n, at)
		}
	}
	return nil
}

// signalling reports whether a word is a signalling NaN.
func signalling(word []byte) bool {
	v := uint32(word[0]) | uint32(word[1])<<8 | uint32(word[2])<<16 | uint32(word[3])<<24
	return v&0x7fc00000 == 0x7f800000 && v&0x3fffff != 0
}

func checkSourceReused(ctx context.Context, b *bench) (err error) {
	data := patterns(5000)
	for i := 3; i < len(data); i += 4 {
		data[i] &= 0x3f // no NaN
	}
	given := slices.Clone(data)
	buf, err := newBuffer(ctx, b.dev, graph.Port{Type: graph.F32(5000)}, given)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, buf.Close()) }()
	clear(given)
	at, err := differs(ctx, buf, data)
	if err == nil && at >= 0 {
		return fmt.Errorf("contract: byte %d follows the source that was changed after the write", at)
	}
	return err
}

func checkEmptyBuffer(ctx context.Context, b *bench) error {
	buf, err := newBuffer(ctx, b.dev, graph.Port{Type: graph.F32(0, 3, 4, 5)}, nil)
	if err != nil {
		return fmt.Errorf("contract: %w", err)
	}
	return errors.Join(buf.Read(ctx, nil), buf.Close())
}

func wantClosed(what string, err error) error {
	if !errors.Is(err, backend.ErrClosed) {
		return fmt.Errorf("contract: %s: want backend.ErrClosed, got %v", what, err)
	}
	return nil
}

func wantNil(what string, err error) error {
	if err != nil {
		return fmt.Errorf("contract: %s: want no error, got: %w", what, err)
	}
	return nil
}

func checkClosedExecutable(ctx context.Context, b *bench) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	return errors.Join(
		wantNil("close", e.Close()),
		wantClosed("run of a closed executable", e.Run(ctx, t.in, t.out)),
		wantNil("second close", e.Close()),
		t.intact(ctx),
	)
}

func checkClosedBuffer(ctx context.Context, b *bench) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	data := make([]byte, t.in[1].Type().SizeBytes())
	errs := []error{
		wantNil("close", t.in[1].Close()),
		wantClosed("run with a closed input", e.Run(ctx, t.in, t.out)),
		wantClosed("write to a closed buffer", t.in[1].Write(ctx, data)),
		wantClosed("read of a closed buffer", t.in[1].Read(ctx, data)),
		wantNil("second close", t.in[1].Close()),
	}
	if t.in[1].Type() != graph.F32(2, 3) {
		errs = append(errs, fmt.Errorf("contract: type of a closed buffer: got %v", t.in[1].Type()))
	}
	return errors.Join(errs...)
}

// checkClosedOutput runs with an output that was closed, once the only one and once the other.
func checkClosedOutput(ctx context.Context, b *bench) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	before := bytesOf(make([]float32, t.out[0].Type().Shape.Elems()))
	if err := errors.Join(t.out[0].Write(ctx, before), wantNil("close", t.out[1].Close()), wantClosed("run with a closed output", e.Run(ctx, t.in, t.out))); err != nil {
		return err
	}
	at, err := differs(ctx, t.out[0], before)
	if err == nil && at >= 0 {
		return fmt.Errorf("contract: a run with a closed output wrote byte %d of another one", at)
	}
	return err
}

func checkClosedDevice(ctx context.Context, b *bench) error {
	g, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	if err := wantNil("close", b.dev.Close()); err != nil {
		return err
	}
	_, compileErr := b.dev.Compile(ctx, g)
	_, bufferErr := b.dev.NewBuffer(ctx, graph.F32(1))
	data := make([]byte, t.in[1].Type().SizeBytes())
	return errors.Join(
		wantClosed("compile on a closed device", compileErr),
		wantClosed("buffer on a closed device", bufferErr),
		wantClosed("run on a closed device", e.Run(ctx, t.in, t.out)),
		wantClosed("write on a closed device", t.in[1].Write(ctx, data)),
		wantClosed("read on a closed device", t.in[1].Read(ctx, data)),
		wantNil("close of the buffers after their device", t.close()),
		wantNil("close of an executable after its device", e.Close()),
		wantNil("second close of the device", b.dev.Close()),
	)
}
