package vulkan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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
	data   [][]float32 // by operand of the node
	exe    *executable
	in     []backend.Buffer
	inputs []int // the operand behind each of in
	out    *buffer
	shares bool // the buffers are another trial's
}

// guardBytes is the memory behind a trial's result that must stay as it was.
const guardBytes = 4096

// newTrial compiles the node with data for its parameters, and makes buffers; what data has of the other operands is not looked at.
func (d *device) newTrial(ctx context.Context, n *graph.Node, candidate string, data [][]float32) (t *trial, err error) {
	if t, err = d.compileTrial(ctx, n, candidate, data); err != nil {
		return nil, err
	}
	if err := t.makeBuffers(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// makeBuffers makes buffers for the node. With an error the trial is closed.
func (t *trial) makeBuffers(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	for _, i := range t.inputs {
		buf, err := t.dev.NewBuffer(ctx, t.node.Inputs[i].Type)
		if err != nil {
			return err
		}
		t.in = append(t.in, buf)
	}
	t.out, err = t.dev.guardedBuffer(t.node.Output.Type)
	return err
}

// beside is another trial of the same node, with the same data and buffers.
func (t *trial) beside(ctx context.Context, candidate string) (*trial, error) {
	o, err := t.dev.compileTrial(ctx, t.node, candidate, t.data)
	if err != nil {
		return nil, err
	}
	o.in, o.out, o.shares = t.in, t.out, true
	return o, nil
}

// compileTrial is a trial without buffers. The graph and its values are new: nothing is shared with the graph that the
// node is from.
func (d *device) compileTrial(ctx context.Context, n *graph.Node, candidate string, data [][]float32) (t *trial, err error) {
	t = &trial{dev: d, data: slices.Clone(data)}
	for i, v := range n.Inputs {
		if v.Kind != graph.ParamValue {
			t.inputs = append(t.inputs, i)
		}
	}
	g, err := graphOf(n, data)
	if err != nil {
		return nil, err
	}
	t.node = g.Nodes[0]
	p, err := d.planTrial(g, candidate)
	if err != nil {
		return nil, err
	}
	t.exe, err = d.make(ctx, g, p)
	return t, err
}

// planTrial is the plan of a graph of one node for one candidate, of the batch as a whole.
func (d *device) planTrial(g *graph.Graph, candidate string) (*plan.Plan, error) {
	opt := d.planOptions()
	opt.Judge, opt.MaxChunk = only(candidate), 0
	p, err := plan.Build(d.limits, opt, g)
	if backend.IsUnsupported(err) && opt.Half { // a node that is kept in float32
		opt.Half = false
		p, err = plan.Build(d.limits, opt, g)
	}
	if err == nil && p.Chunk < p.Batch {
		err = fmt.Errorf("%w: batch %d of %q", backend.ErrOutOfMemory, p.Batch, g.Nodes[0].Name)
	}
	return p, err
}

// graphOf is a graph of one node, with data for its parameters by operand; without any when data is nil.
func graphOf(n *graph.Node, data [][]float32) (*graph.Graph, error) {
	b := graph.NewBuilder("trial")
	var operands []*graph.Value
	for i, v := range n.Inputs {
		name := fmt.Sprint("operand", i)
		switch {
		case v.Kind != graph.ParamValue:
			operands = append(operands, b.Input(name, v.Type))
		case data == nil:
			operands = append(operands, b.Param(name, v.Type, nil))
		default:
			p, err := graph.FromFloat32s(v.Type.Shape, data[i])
			if err != nil {
				return nil, err
			}
			operands = append(operands, b.Param(name, v.Type, p))
		}
	}
	b.Output(b.Node("result", n.Op, operands...))
	return b.Build()
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
	t.exe.Close()
	if t.shares {
		return
	}
	for _, b := range t.in {
		b.Close()
	}
	if t.out != nil {
		t.out.Close()
	}
}

// set writes data for the operands that are no parameters.
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

// piece is how many bytes of a result are compared or filled at once: results may be large, and one copy of them is enough.
const piece = 4 << 20

// run fills the result and the guard behind it with a byte, and runs once. The byte must make a number that no kernel makes.
func (t *trial) run(ctx context.Context, poison byte) error {
	fill := bytes.Repeat([]byte{poison}, min(piece, t.out.typ.SizeBytes()+guardBytes))
	err := t.pieces(ctx, t.out.typ.SizeBytes()+guardBytes, func(at, n int) error {
		return t.dev.staging.write(t.out.mem, uint64(at), fill[:n])
	})
	if err != nil {
		return err
	}
	if err := t.exe.Run(ctx, t.in, []backend.Buffer{t.out}); err != nil {
		return err
	}
	got := make([]byte, guardBytes)
	err = t.pieces(ctx, guardBytes, func(_, n int) error {
		return t.dev.staging.read(t.out.mem, uint64(t.out.typ.SizeBytes()), got)
	})
	if err == nil && len(bytes.Trim(got, string([]byte{poison}))) > 0 {
		err = fmt.Errorf("%w: behind the %d bytes of the result", errWrote, t.out.typ.SizeBytes())
	}
	return err
}

// pieces calls f for the bytes of the result's memory from 0 to n, piece by piece, while nothing else uses it.
func (t *trial) pieces(ctx context.Context, n int, f func(at, n int) error) error {
	if err := t.dev.enter(); err != nil {
		return err
	}
	defer t.dev.leave()
	if err := t.out.acquire(ctx); err != nil {
		return err
	}
	defer t.out.release()
	if t.out.mem.buf == 0 {
		return backend.ErrClosed
	}
	for at := 0; at < n; at += piece {
		if err := f(at, min(piece, n-at)); err != nil {
			return t.dev.fail(err)
		}
	}
	return nil
}

// once runs and returns the result.
//
// Errors: errWrote when an element was not written, or the memory behind the result was.
func (t *trial) once(ctx context.Context) ([]float32, error) {
	const poison = 0xfe
	if err := t.run(ctx, poison); err != nil {
		return nil, err
	}
	result := make([]float32, t.out.typ.Shape.Elems())
	if err := t.out.Read(ctx, bytesOf(result)); err != nil {
		return nil, err
	}
	for i, v := range result {
		if math.Float32bits(v) == poison*0x01010101 {
			return nil, fmt.Errorf("%w: element %d of %d was not", errWrote, i, len(result))
		}
	}
	return result, nil
}

// errUnsteady: two runs with the same inputs gave different bits.
var errUnsteady = errors.New("a second run gave other bits")

// replayed runs twice, over different old contents of the result.
func (t *trial) replayed(ctx context.Context) ([]float32, error) {
	first, err := t.once(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.run(ctx, 0xfd); err != nil {
		return nil, err
	}
	want := bytesOf(first)
	second := make([]byte, min(piece, len(want)))
	return first, t.pieces(ctx, len(want), func(at, n int) error {
		if err := t.dev.staging.read(t.out.mem, uint64(at), second[:n]); err != nil || bytes.Equal(second[:n], want[at:at+n]) {
			return err
		}
		i := 0
		for second[i] == want[at+i] {
			i++
		}
		return fmt.Errorf("%w: byte %d of %d is another", errUnsteady, at+i, len(want))
	})
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
