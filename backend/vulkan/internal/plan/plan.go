package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/internal/arena"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// Plan is everything that a run of a graph does, and the memory that it needs. It refers to the graph's parameter
// data only through Weights.
type Plan struct {
	Batch, Chunk int // pictures of a run, and how many of them go through the graph at once
	Commands     []Command
	Steps        []*Step  // the dispatches of the first pass; Dispatch.Set indexes them
	Choices      []string // by node of the graph: the candidate that computes it, "" where none is needed
	HasCopies    bool
	Precisions   map[string]backend.Precision // of the nodes that are not float32 throughout
	ArenaBytes   uint64
	LiveBytes    uint64 // the least that ArenaBytes could be
	Fences       []Fence
	Weights      []Weight
	Transforms   map[string]backend.Winograd // by node: the convolutions that are computed through transforms
	PageBytes    []uint64                    // sizes of the buffers that hold the weights
}

// Weight is the place of one node's packed weights.
type Weight struct {
	*Packed
	Page   int
	Offset uint64
}

// Build makes the plan of a graph.
//
// Errors: backend.ErrUnsupported for a node that the device cannot run (with the node's name), backend.ErrOutOfMemory
// when a single picture needs more memory than one allocation may have, or the batch has too many parts.
func Build(lim Limits, opt Options, g *graph.Graph) (*Plan, error) {
	for _, n := range g.Nodes {
		if err := Supports(lim, opt, n); err != nil {
			return nil, fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), err)
		}
	}
	batch := batchOf(g)
	chunk := batch
	if opt.MaxChunk > 0 && chunk > opt.MaxChunk {
		chunk = opt.MaxChunk
	}
	for {
		p, err := buildChunked(lim, opt, g, batch, chunk)
		if err == nil || chunk <= 1 || errors.Is(err, errParts) || !errors.Is(err, backend.ErrUnsupported) && !errors.Is(err, backend.ErrOutOfMemory) {
			return p, err
		}
		// Halve and even out: 10 pictures of which 7 fit become 5 + 5, not 7 + 3.
		parts := ceilDiv(batch, chunk) * 2
		chunk = min(chunk-1, ceilDiv(batch, parts))
	}
}

// batchOf is the number of pictures that can be dealt with one by one: the common first dimension of the inputs
// and of every result, or 1 when there is none.
func batchOf(g *graph.Graph) int {
	batch := -1
	same := func(v *graph.Value) bool {
		if v.Type.Shape.Rank() < 2 || batch >= 0 && v.Type.Shape.Dim(0) != batch {
			return false
		}
		batch = v.Type.Shape.Dim(0)
		return true
	}
	for _, v := range g.Inputs {
		if !same(v) {
			return 1
		}
	}
	for _, n := range g.Nodes {
		if !same(n.Output) {
			return 1
		}
	}
	return batch
}

func buildChunked(lim Limits, opt Options, g *graph.Graph, batch, chunk int) (*Plan, error) {
	if batch == 0 || emptyGraph(g) {
		return &Plan{Batch: batch, Chunk: chunk}, nil
	}
	whole := chunk == batch
	part := g
	if !whole {
		var err error
		if part, err = g.WithBatch(chunk); err != nil {
			return nil, err
		}
	}
	p := &Plan{Batch: batch, Chunk: chunk, Transforms: map[string]backend.Winograd{}}
	choices, err := choose(lim, opt, part)
	if err != nil {
		return nil, err
	}
	p.Precisions = precisions(part, choices)
	prog, err := assemble(lim, part, choices)
	if err != nil {
		return nil, err
	}
	for i, c := range choices {
		if c != nil && c.Class == Transformed {
			p.Transforms[part.Nodes[i].Name] = backend.Winograd{Rows: c.points, Columns: c.points}
		}
	}
	p.Choices = prog.choice
	l := place(prog, lim, whole, opt.Fence)
	p.ArenaBytes, p.LiveBytes, p.Fences = l.arena, l.live, l.fences
	if p.ArenaBytes > lim.MaxMemoryAllocationSize {
		return nil, fmt.Errorf("plan %q with batch %d: %w: intermediate tensors need %d bytes, want at most %d (maxMemoryAllocationSize)",
			g.Name, chunk, backend.ErrOutOfMemory, p.ArenaBytes, lim.MaxMemoryAllocationSize)
	}
	p.Steps = p.steps(lim, prog, l)
	cmds, err := p.passes(lim, opt, g, prog, l)
	if err != nil {
		return nil, err
	}
	p.Commands = track(lim, cmds)
	for _, c := range p.Commands {
		if _, ok := c.(Copy); ok {
			p.HasCopies = true
		}
	}
	return p, nil
}

// emptyGraph reports whether nothing has elements (a batch of none in an input without other dimensions).
func emptyGraph(g *graph.Graph) bool {
	for _, v := range g.Outputs {
		if v.Type.SizeBytes() > 0 {
			return false
		}
	}
	return true
}

// steps makes the dispatches of a program, and gives packed weights their places when they have none yet, in the order in which they are met.
func (p *Plan) steps(lim Limits, prog *program, l *layout) []*Step {
	first := len(p.Weights) == 0
	var steps []*Step
	met := map[*Packed]int{}
	for _, c := range prog.calls {
		s := &Step{Node: c.node, Variant: c.variant, Spec: c.spec, Push: c.push, Groups: c.groups, Reason: c.reason, Parts: c.windows != nil}
		for i, t := range c.tensors {
			if t != nil {
				s.Bindings = append(s.Bindings, c.window(i).of(l.place[t]))
				continue
			}
			at, known := met[c.weights]
			if !known {
				if at = len(met); first {
					p.addWeights(lim, c.weights)
				}
				met[c.weights] = at
			}
			w := p.Weights[at]
			s.Bindings = append(s.Bindings, c.window(i).of(Ref{WeightSpace, w.Page, w.Offset, w.sizeBytes()}))
		}
		steps = append(steps, s)
	}
	return steps
}

// pageBytes is about how large a buffer of weights is; a node's weights lie in one page.
const pageBytes = 256 << 20

func (p *Plan) addWeights(lim Limits, w *Packed) {
	size, limit := w.sizeBytes(), min(pageBytes, lim.MaxMemoryAllocationSize)
	last := len(p.PageBytes) - 1
	var at uint64
	if last >= 0 {
		at = arena.Align(p.PageBytes[last], lim.alignment())
	}
	if last < 0 || at+size > limit {
		p.PageBytes = append(p.PageBytes, 0)
		last, at = last+1, 0
	}
	p.PageBytes[last] = at + size
	p.Weights = append(p.Weights, Weight{w, last, at})
}

// maxCommands bounds a plan: a batch of more parts than that should be given in several runs.
const maxCommands = 1 << 20

// errParts: smaller parts would only be more.
var errParts = fmt.Errorf("%w: the batch has too many parts", backend.ErrOutOfMemory)

// passes lists the commands of all parts of the batch, without barriers.
func (p *Plan) passes(lim Limits, opt Options, g *graph.Graph, prog *program, l *layout) ([]Command, error) {
	part := prog.g
	if each := len(p.Steps) + len(g.Inputs) + len(g.Outputs); ceilDiv(p.Batch, p.Chunk) > maxCommands/each {
		return nil, fmt.Errorf("plan %q with batch %d: %w: want at most %d commands, got %d for each %d pictures",
			g.Name, p.Batch, errParts, maxCommands, each, p.Chunk)
	}
	var cmds []Command
	for at := 0; at < p.Batch; at += p.Chunk {
		n, steps := min(p.Chunk, p.Batch-at), p.Steps
		if n < p.Chunk { // the last part: the same places, smaller extents
			rest, err := part.WithBatch(n)
			if err != nil {
				return nil, err
			}
			if steps, err = p.rest(lim, opt, prog, rest, l); err != nil {
				return nil, err
			}
		}
		if p.Chunk < p.Batch {
			for i, v := range part.Inputs {
				cmds = appendCopy(cmds, l.place[prog.tensor(v, Dense)], slice(InputSpace, i, v, p.Chunk, at, n))
			}
		}
		for i, s := range steps {
			cmds = append(cmds, Dispatch{Set: i, Step: s})
		}
		for i, v := range part.Outputs {
			dst := slice(OutputSpace, i, v, p.Chunk, at, n)
			if src := l.place[prog.tensor(v, Dense)]; src.Space != OutputSpace || src.Index != i {
				cmds = appendCopy(cmds, dst, src)
			}
		}
	}
	return cmds, nil
}

// slice is the part of the caller's buffer that holds pictures at..at+n; v is the value for a whole chunk.
func slice(space Space, i int, v *graph.Value, chunk, at, n int) Ref {
	one := uint64(v.Type.SizeBytes() / chunk)
	return Ref{space, i, one * uint64(at), one * uint64(n)}
}

// appendCopy copies as much as the smaller of the two holds: the last part of a batch fills its place only in part.
func appendCopy(cmds []Command, dst, src Ref) []Command {
	size := min(dst.Size, src.Size)
	dst.Size, src.Size = size, size
	if size == 0 {
		return cmds
	}
	return append(cmds, Copy{Dst: dst, Src: src})
}

// rest makes the steps of the last, smaller part of a batch: the same kernels over tensors in the same places.
func (p *Plan) rest(lim Limits, opt Options, whole *program, g *graph.Graph, l *layout) ([]*Step, error) {
	choices := make([]*Candidate, len(g.Nodes))
	for i, n := range g.Nodes {
		if whole.choice[i] == "" {
			continue
		}
		list, err := Candidates(lim, opt, n)
		if err != nil {
			return nil, fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), err)
		}
		j := slices.IndexFunc(list, func(c Candidate) bool { return c.Name == whole.choice[i] })
		if j < 0 {
			return nil, fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), backend.Unsupported("batch", "one that "+whole.choice[i]+" computes", fmt.Sprint(n.Output.Type)))
		}
		choices[i] = &list[j]
		choices[i].Why = whole.why[i]
	}
	prog, err := assemble(lim, g, choices)
	if err != nil {
		return nil, err
	}
	same := &layout{place: map[*tensor]Ref{}}
	for i, t := range whole.tensors { // both programs make their tensors in the same order
		same.place[prog.tensors[i]] = l.place[t]
	}
	return p.steps(lim, prog, same), nil
}

// Conversions are the kernels of the plan that change the type of packed vectors, each once. No proof of a node runs them, since inputs and outputs
// are dense float32.
func (p *Plan) Conversions() (list []*shaders.Variant) {
	for _, s := range p.Steps {
		if isConversion(s.Variant) && !slices.Contains(list, s.Variant) {
			list = append(list, s.Variant)
		}
	}
	return list
}

// Dump lists the plan, for people and for tests.
func (p *Plan) Dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "batch %d chunk %d arena %d live %d weights %v\n", p.Batch, p.Chunk, p.ArenaBytes, p.LiveBytes, p.PageBytes)
	for _, c := range p.Commands {
		fmt.Fprintln(&b, c)
	}
	return b.String()
}
