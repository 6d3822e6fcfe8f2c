package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/shaders"
)

// Space is the kind of buffer that a Ref points into. The zero value is invalid.
type Space uint8

// The spaces.
const (
	InvalidSpace Space = iota
	InputSpace         // buffers that the caller gives to a run, by position
	OutputSpace        // likewise
	ArenaSpace         // the executable's own memory for intermediate tensors; Index is 0
	WeightSpace        // packed weights; Index is the page
)

func (s Space) String() string {
	switch s {
	case InputSpace:
		return "in"
	case OutputSpace:
		return "out"
	case ArenaSpace:
		return "arena"
	case WeightSpace:
		return "weights"
	}
	return fmt.Sprintf("space(%d)", uint8(s))
}

// Ref is a range of bytes in a buffer.
type Ref struct {
	Space        Space
	Index        int
	Offset, Size uint64
}

// String returns the form "arena0[256:1024]".
func (r Ref) String() string {
	return fmt.Sprintf("%v%d[%d:%d]", r.Space, r.Index, r.Offset, r.Offset+r.Size)
}

func (r Ref) overlaps(o Ref) bool {
	return r.Space == o.Space && r.Index == o.Index && r.Offset < o.Offset+o.Size && o.Offset < r.Offset+r.Size
}

// Step is one dispatch of a kernel.
type Step struct {
	Node     string // name of the node that it computes
	Variant  *shaders.Variant
	Spec     []uint32 // specialization constants by id
	Push     []uint32
	Groups   [3]uint32 // workgroup counts
	Bindings []Ref     // storage buffers by binding; the last is written, the others are read
	Reason   string    // why this variant, for people; empty where there is no other
	Parts    bool      // it is one of several that each bind a part of the tensors
	Pieces   bool      // some of its dispatches run a part of its workgroups, for which its pipeline must be made
}

// divide is n parts of the workgroups of a step, or as many as can be: along one dimension. Kernels number workgroups by y times the count of x, plus x, so x is
// divided only where y has one.
func (s *Step) divide(n int) []Part {
	axis := 2
	for _, a := range []int{1, 0} {
		if s.Groups[a] > s.Groups[axis] && (a > 0 || s.Groups[1] == 1) {
			axis = a
		}
	}
	count := int(s.Groups[axis])
	n = max(1, min(n, count))
	parts := make([]Part, n)
	for i := range parts {
		from, to := i*count/n, (i+1)*count/n
		parts[i].Groups = s.Groups
		parts[i].Base[axis], parts[i].Groups[axis] = uint32(from), uint32(to-from)
	}
	return parts
}

// Divide is the dispatch as n of parts of its workgroups, or as many as can be. p is its plan, which takes note of it.
func (d Dispatch) Divide(p *Plan, n int) []Dispatch {
	parts := d.Step.divide(n)
	if len(parts) == 1 {
		return []Dispatch{d}
	}
	p.Steps[d.Set].Pieces = true
	list := make([]Dispatch, len(parts))
	for i := range parts {
		list[i] = Dispatch{d.Set, d.Step, &parts[i]}
	}
	return list
}

func (s *Step) reads() []Ref { return s.Bindings[:len(s.Bindings)-1] }

// views are what the step reads as far as a driver may take it to: to the ends of its texel views.
func (s *Step) views(lim Limits) []Ref {
	refs := slices.Clone(s.reads())
	for _, b := range s.Variant.Texels {
		refs[b].Size = s.ViewBytes(lim, refs[b].Size)
	}
	return refs
}

func (s *Step) write() Ref { return s.Bindings[len(s.Bindings)-1] }

// viewStep and viewPeriod: of a view whose bytes are a multiple of the period and less than a step more, Mesa's llvmpipe (22.3) takes the length for
// the last level of a picture, and compiles the kernel again. Worse, its cache on disk files what a process compiles second for a kernel under
// a key that no other process asks for, so that each second start would compile a third of ResNet-50's kernels anew.
const viewStep, viewPeriod = 256, 65536

// ViewBytes is how long the texel view of a binding of so many bytes should be: a step more, which kernels do not read, where that saves a
// compilation. What follows a part is another's, which may be written meanwhile.
func (s *Step) ViewBytes(lim Limits, size uint64) uint64 {
	if s.Parts || size%viewPeriod >= viewStep {
		return size
	}
	return size + lim.SpareBytes()
}

// SpareBytes is what memory that texel views look into should have behind its end.
func (lim *Limits) SpareBytes() uint64 {
	if lim.SoftwareDriver {
		return viewStep
	}
	return 0
}

// Command is one entry of a recorded run: a Dispatch, a Copy or a Barrier.
type Command interface {
	String() string
	command()
}

// Dispatch runs a step, or a part of its workgroups. Set is the index of its descriptor set among the plan's steps: the passes over the parts of
// a batch share sets, since their tensors lie in the same places.
type Dispatch struct {
	Set  int
	Step *Step
	Part *Part // nil: all
}

// Part is some of the workgroups of a step.
type Part struct{ Base, Groups [3]uint32 }

// Copy copies between buffers; the sizes are equal.
type Copy struct{ Dst, Src Ref }

// Barrier makes everything written before it visible to everything after it: to kernels, to copies when the plan
// has copies, and when Host is set to the host and to whatever is submitted next.
type Barrier struct{ Host bool }

func (Dispatch) command() {}
func (Copy) command()     {}
func (Barrier) command()  {}

// String returns one line of the plan's listing.
func (d Dispatch) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dispatch %s %s %dx%dx%d", d.Step.Node, d.Step.Variant.Name, d.Step.Groups[0], d.Step.Groups[1], d.Step.Groups[2])
	if d.Part != nil {
		fmt.Fprintf(&b, " of these %v from %v on", d.Part.Groups, d.Part.Base)
	}
	for _, r := range d.Step.Bindings {
		fmt.Fprintf(&b, " %v", r)
	}
	return b.String()
}

// String returns one line of the plan's listing.
func (c Copy) String() string { return fmt.Sprintf("copy %v <- %v", c.Dst, c.Src) }

// String returns one line of the plan's listing.
func (b Barrier) String() string {
	if b.Host {
		return "barrier host"
	}
	return "barrier"
}

// track inserts the barriers that a list of commands needs: before each command that reads what was written, or
// writes what was read or written, since the last barrier; and one for the host at the end.
func track(lim Limits, cmds []Command) []Command {
	var out []Command
	var reads, writes []Ref
	for _, c := range cmds {
		var r []Ref
		var w Ref
		switch c := c.(type) {
		case Dispatch:
			r, w = c.Step.views(lim), c.Step.write()
		case Copy:
			r, w = []Ref{c.Src}, c.Dst
		}
		if conflict(reads, writes, r, w) {
			out = append(out, Barrier{})
			reads, writes = reads[:0], writes[:0]
		}
		reads, writes = append(reads, r...), append(writes, w)
		out = append(out, c)
	}
	return append(out, Barrier{Host: true})
}

func conflict(reads, writes, r []Ref, w Ref) bool {
	for _, old := range writes {
		if old.overlaps(w) {
			return true
		}
		for _, n := range r {
			if old.overlaps(n) {
				return true
			}
		}
	}
	for _, old := range reads {
		if old.overlaps(w) {
			return true
		}
	}
	return false
}
