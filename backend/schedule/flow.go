package schedule

import "github.com/resnet-run/resnet-run/graph"

// flow is what a lane does for one chunk, as data: which device buffers there are, and the steps in their order.
type flow struct {
	bufs    []bufPlan
	staging []graph.TensorType // host memory for values that only pass through
	parts   []partFlow
	steps   []flowStep
	copies  []hostCopy // at the end: outputs that are inputs, or that are given twice
}

// bufPlan is a buffer on a member for a value that parts pass on. A value has one on each member that reads it, whichever parts.
type bufPlan struct {
	member int
	value  *graph.Value
}

// partFlow is the buffers of a part, by number, in the order of its inputs and outputs.
type partFlow struct{ in, out []int }

type stepKind uint8

const (
	upload   stepKind = iota // a buffer from host memory
	runPart                  // a part
	download                 // a buffer to host memory
)

type flowStep struct {
	kind stepKind
	part int // that runs, that wants the upload, or that made what is downloaded
	buf  int
	host hostPlace
}

// hostPlace is a tensor in host memory: an input or output of the graph, or staging memory, by number.
type hostPlace struct {
	kind hostKind
	i    int
}

type hostKind uint8

const (
	inInput hostKind = iota
	inOutput
	inStaging
)

type hostCopy struct{ from, to hostPlace }

// newFlow works out the steps of parts that run one after the other.
func newFlow(g *graph.Graph, parts []*partPlan) flow {
	f := &flow{}
	at := map[*graph.Value]hostPlace{} // where a value is in host memory, or will be
	for i, v := range g.Inputs {
		at[v] = hostPlace{inInput, i}
	}
	for i, v := range g.Outputs {
		if to := (hostPlace{inOutput, i}); v.Kind == graph.InputValue || at[v].kind == inOutput {
			f.copies = append(f.copies, hostCopy{at[v], to})
		} else {
			at[v] = to
		}
	}
	maker := map[*graph.Value]int{}
	travels := map[*graph.Value]bool{} // from one member to another
	for i, p := range parts {
		for _, v := range p.in {
			if from, ok := maker[v]; ok && parts[from].member != p.member {
				travels[v] = true
			}
		}
		for _, v := range p.out {
			maker[v] = i
		}
	}
	known := map[bufPlan]int{}
	buffer := func(member int, v *graph.Value) (int, bool) {
		b := bufPlan{member, v}
		i, ok := known[b]
		if !ok {
			i = len(f.bufs)
			known[b], f.bufs = i, append(f.bufs, b)
		}
		return i, ok
	}
	for i, p := range parts {
		var pf partFlow
		for _, v := range p.in {
			buf, there := buffer(p.member, v)
			if !there {
				f.steps = append(f.steps, flowStep{upload, i, buf, at[v]})
			}
			pf.in = append(pf.in, buf)
		}
		f.steps = append(f.steps, flowStep{kind: runPart, part: i})
		for _, v := range p.out {
			buf, _ := buffer(p.member, v)
			pf.out = append(pf.out, buf)
			to, isOutput := at[v]
			if !isOutput && travels[v] {
				to = hostPlace{inStaging, len(f.staging)}
				at[v], f.staging = to, append(f.staging, v.Type)
			}
			if isOutput || travels[v] {
				f.steps = append(f.steps, flowStep{download, i, buf, to})
			}
		}
		f.parts = append(f.parts, pf)
	}
	return *f
}
