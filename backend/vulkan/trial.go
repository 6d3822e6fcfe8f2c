package vulkan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
)

// trial is one node as a graph of its own, compiled for one candidate, with buffers for it.
type trial struct {
	dev    *device
	node   *graph.Node
	data   [][]float32 // by operand of the node; those of parameters are what was compiled
	exe    *executable
	in     []backend.Buffer
	inputs []int // the operand behind each of in
	out    *buffer
}

// guardBytes is the memory behind a trial's result that must stay as it was.
const guardBytes = 4096

// newTrial compiles the node, which is given data for all its operands. The graph and its values are new: nothing is
// shared with the graph that the node is from.
func (d *device) newTrial(ctx context.Context, n *graph.Node, candidate string, data [][]float32) (t *trial, err error) {
	b := graph.NewBuilder("trial")
	t = &trial{dev: d, data: data}
	var operands []*graph.Value
	for i, v := range n.Inputs {
		name := fmt.Sprint("operand", i)
		if v.Kind != graph.ParamValue {
			operands, t.inputs = append(operands, b.Input(name, v.Type)), append(t.inputs, i)
			continue
		}
		p, err := graph.FromFloat32s(v.Type.Shape, data[i])
		if err != nil {
			return nil, err
		}
		operands = append(operands, b.Param(name, v.Type, p))
	}
	b.Output(b.Node("result", n.Op, operands...))
	g, err := b.Build()
	if err != nil {
		return nil, err
	}
	t.node = g.Nodes[0]
	opt := d.planOptions()
	opt.Judge, opt.MaxChunk = only(candidate), 0
	p, err := plan.Build(d.limits, opt, g)
	if err != nil {
		return nil, err
	}
	if p.Chunk < p.Batch {
		return nil, fmt.Errorf("%w: batch %d of %q", backend.ErrOutOfMemory, p.Batch, n.Name)
	}
	if t.exe, err = d.make(ctx, g, p); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	for _, i := range t.inputs {
		buf, err := d.NewBuffer(ctx, n.Inputs[i].Type)
		if err != nil {
			return nil, err
		}
		t.in = append(t.in, buf)
	}
	t.out, err = d.guardedBuffer(n.Output.Type)
	return t, err
}

// only lets the planner choose one candidate alone.
func only(candidate string) func(*graph.Node, string) plan.Verdict {
	return func(_ *graph.Node, name string) plan.Verdict { return plan.Verdict{Struck: name != candidate} }
}

// guardedBuffer is a buffer with memory behind it.
func (d *device) guardedBuffer(typ graph.TensorType) (*buffer, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	m, err := d.allocate(uint64(typ.SizeBytes())+guardBytes, deviceMemory)
	if err != nil {
		return nil, d.fail(err)
	}
	b := &buffer{dev: d, typ: typ, id: d.nextID.Add(1), mem: m, use: make(chan struct{}, 1)}
	d.adopt(b)
	return b, nil
}

func (t *trial) close() {
	for _, b := range t.in {
		b.Close()
	}
	if t.out != nil {
		t.out.Close()
	}
	t.exe.Close()
}

// set writes new data for an operand that is no parameter.
func (t *trial) set(ctx context.Context, data [][]float32) error {
	for i, operand := range t.inputs {
		t.data[operand] = data[operand]
		if err := t.in[i].Write(ctx, bytesOf(data[operand])); err != nil {
			return err
		}
	}
	return nil
}

func bytesOf(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
}

// errWrote: a kernel wrote where it must not, or not where it must. What it computes at other places is worth nothing then.
var errWrote = errors.New("wrong memory was written")

// run fills the result with a byte, runs once and returns the result. The byte must make a NaN that no kernel makes.
//
// Errors: errWrote when an element still has the byte, or the memory behind the result has not.
func (t *trial) run(ctx context.Context, poison byte) ([]float32, error) {
	whole := bytes.Repeat([]byte{poison}, t.out.typ.SizeBytes())
	if err := t.out.Write(ctx, whole); err != nil {
		return nil, err
	}
	size := uint64(len(whole))
	guard, err := t.guard(ctx, size, bytes.Repeat([]byte{poison}, guardBytes))
	if err != nil {
		return nil, err
	}
	if err := t.exe.Run(ctx, t.in, []backend.Buffer{t.out}); err != nil {
		return nil, err
	}
	result := make([]float32, len(whole)/4)
	if err := t.out.Read(ctx, bytesOf(result)); err != nil {
		return nil, err
	}
	after, err := t.guard(ctx, size, nil)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(guard, after) {
		return nil, fmt.Errorf("%w: behind the %d bytes of the result", errWrote, size)
	}
	mark := uint32(poison) * 0x01010101
	for i, v := range unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(result))), len(result)) {
		if v == mark {
			return nil, fmt.Errorf("%w: element %d of %d was not", errWrote, i, len(result))
		}
	}
	return result, nil
}

// guard writes what stands behind the result, unless it is nil, and returns it.
func (t *trial) guard(ctx context.Context, at uint64, fill []byte) ([]byte, error) {
	if err := t.dev.enter(); err != nil {
		return nil, err
	}
	defer t.dev.leave()
	if err := t.out.acquire(ctx); err != nil {
		return nil, err
	}
	defer t.out.release()
	if t.out.mem.buf == 0 {
		return nil, backend.ErrClosed
	}
	if fill != nil {
		return fill, t.dev.fail(t.dev.staging.write(t.out.mem, at, fill))
	}
	got := make([]byte, guardBytes)
	return got, t.dev.fail(t.dev.staging.read(t.out.mem, at, got))
}

// shapeOf is a node without its name: the operation with its attributes, and the types of its operands.
func shapeOf(n *graph.Node) string {
	var b strings.Builder
	b.WriteString(graph.OpText(n.Op))
	for _, v := range n.Inputs {
		b.WriteByte(' ')
		b.WriteString(v.Type.String())
	}
	return b.String()
}

// pools are numbers that data of trials is cut from; their lengths are primes, so that no row of a tensor is as the next.
// Cutting is as fast as copying, where drawing would take longer than the kernels.
var pools = sync.OnceValue(func() (p struct{ bell, whole []float32 }) {
	rng := rand.New(rand.NewPCG(0x7265736e, 0x6574)) // fixed: a proof must not depend on luck
	p.bell, p.whole = make([]float32, 65521), make([]float32, 65519)
	for i := range p.bell {
		p.bell[i] = float32(rng.NormFloat64())
	}
	for i := range p.whole {
		p.whole[i] = float32(rng.IntN(5))
	}
	return p
})

// cutFrom is n numbers of a pool, from a place on that depends on salt.
func cutFrom(pool []float32, n int, salt int) []float32 {
	out := make([]float32, n)
	at := (salt*7919 + 13) % len(pool)
	for done := 0; done < n; at = 0 {
		done += copy(out[done:], pool[at:])
	}
	return out
}
