package plan

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// Class is how the error of a result is bounded; see backend/reference. The zero value is invalid.
type Class uint8

// The classes.
const (
	InvalidClass Class = iota
	Sums               // class A: sums of products, in any order
	Transformed        // class B: through transforms that mix elements
)

// Candidate is one way to compute a node on a device.
type Candidate struct {
	Name    string // of the kernel that does most of the work; unique among the candidates of a node
	In, Out Format // of the activations that it reads, and of its result
	Class   Class
	Why     string // why the rule prefers it, for people; empty where it does not come first by itself

	cost    float64 // a rough estimate in seconds; only ratios matter
	kernels []*kernel
	scratch []uint64  // bytes of the memory between its kernels
	points  []float64 // of the transform along rows and columns, where Class is Transformed
}

// kernel is a dispatch whose tensors have no place yet.
type kernel struct {
	variant *shaders.Variant
	spec    []uint32
	push    []uint32
	groups  [3]uint32
	args    []operand // by binding; the last is written, the others are read
	windows []window  // by binding, what is bound of it; none: all
	weights *Packed   // kernels that each bind a part of them have the same
}

// window is what a binding binds.
func (k *kernel) window(binding int) window {
	if k.windows == nil {
		return window{}
	}
	return k.windows[binding]
}

// operand names a tensor of a node: from 0 its inputs, below 0 the following, then scratch memory.
type operand int

const (
	result    operand = -1
	theWeight operand = -2
	scratch0  operand = -3 // -3 - i: piece i of the candidate's scratch memory
)

// Candidates lists the ways to compute a node, the rule's first choice first. It is empty for a node that needs no
// kernel (a view). A single kernel with no alternative is a list of one.
//
// Errors: backend.ErrUnsupported when there is none; the text names the attribute in the way.
func Candidates(lim Limits, opt Options, n *graph.Node) ([]Candidate, error) {
	if err := checkOperands(n); err != nil {
		return nil, err
	}
	if err := checkTensors(lim, n); err != nil {
		return nil, err
	}
	if graph.IsView(n.Op) {
		return nil, nil
	}
	if opt.Half && !opt.Float32[n.Name] {
		all, err := halfCandidates(lim, opt, n)
		if err != nil && !backend.IsUnsupported(err) {
			return nil, err
		}
		if list, _ := allowed(lim, n, all); len(list) > 0 {
			return list, nil
		}
	}
	all, err := candidatesOf(lim, opt, n)
	if err != nil {
		return nil, err
	}
	list, refusals := allowed(lim, n, all)
	if len(list) == 0 {
		return nil, errors.Join(refusals...)
	}
	return list, nil
}

// allowed are the candidates within the limits of a device, and why the others are not.
func allowed(lim Limits, n *graph.Node, all []Candidate) (list []Candidate, refusals []error) {
	for _, c := range all {
		if err := c.check(lim, n); err != nil {
			refusals = append(refusals, err)
			continue
		}
		list = append(list, c)
	}
	return list, refusals
}

// candidate makes the candidate of one kernel.
func candidate(in, out Format, k *kernel) Candidate {
	return Candidate{Name: k.variant.Name, In: in, Out: out, Class: Sums, kernels: []*kernel{k}}
}

// check holds what a candidate needs against the limits of a device.
func (c *Candidate) check(lim Limits, n *graph.Node) error {
	sizes := func(k *kernel, o operand) uint64 {
		switch {
		case o == theWeight:
			return k.weights.sizeBytes()
		case o == result:
			return c.Out.sizeBytes(n.Output.Type)
		case o >= 0:
			return c.In.sizeBytes(n.Inputs[o].Type)
		case o <= scratch0:
			return c.scratch[scratch0-o]
		}
		return 0
	}
	for i, v := range append(n.Inputs[:len(n.Inputs):len(n.Inputs)], n.Output) { // other nodes may have them dense
		if f := c.formatOf(i, n); v.Kind != graph.ParamValue && f != Dense {
			if _, err := convert(lim, v.Type, f, Dense); err != nil {
				return err
			}
		}
	}
	for _, k := range c.kernels {
		for b, o := range k.args {
			whole := sizes(k, o)
			size := k.window(b).of(Ref{Size: whole}).Size
			if limit := min(lim.MaxStorageBufferRange, lim.MaxMemoryAllocationSize); o == theWeight && (size > limit || whole > lim.MaxMemoryAllocationSize) {
				return backend.Unsupported("weights", fmt.Sprintf("at most %d bytes (maxStorageBufferRange, maxMemoryAllocationSize)", limit), fmt.Sprint(whole))
			}
			if size > lim.MaxStorageBufferRange {
				return backend.Unsupported("binding", fmt.Sprintf("at most %d bytes (maxStorageBufferRange)", lim.MaxStorageBufferRange), fmt.Sprint(size))
			}
			if texels := size / k.variant.TexelBytes(); k.isTexel(b) && texels > uint64(lim.MaxTexelBufferElements) {
				return backend.Unsupported("binding", fmt.Sprintf("at most %d texels (maxTexelBufferElements)", lim.MaxTexelBufferElements), fmt.Sprint(texels))
			}
		}
		for i, g := range k.groups {
			if g > lim.MaxComputeWorkGroupCount[i] {
				return backend.Unsupported("workgroup count", fmt.Sprintf("at most %v (maxComputeWorkGroupCount)", lim.MaxComputeWorkGroupCount), fmt.Sprint(k.groups))
			}
		}
	}
	return nil
}

// formatOf is the format of input i of a node, or of its result, which comes after them.
func (c *Candidate) formatOf(i int, n *graph.Node) Format {
	if i == len(n.Inputs) {
		return c.Out
	}
	return c.In
}

// texelBytes is the size of the largest texel: four float32.
const texelBytes = 16

func (k *kernel) isTexel(binding int) bool {
	for _, b := range k.variant.Texels {
		if b == binding {
			return true
		}
	}
	return false
}

// Supports reports whether the node can run on such a device. A batch that is too large is no obstacle, since it is
// split, so the node is looked at with a batch of one.
func Supports(lim Limits, opt Options, n *graph.Node) error {
	if err := checkOperands(n); err != nil { // first: a parameter has no batch that could be changed
		return err
	}
	one, err := withBatch(n, 1)
	if err != nil {
		return fmt.Errorf("%w: %w", backend.ErrUnsupported, err)
	}
	// A node may have to stay float32 when its range is known, so that it must be able to; with Variants a caller says what it is to be.
	opt.Half = opt.Half && len(opt.Variants) > 0
	_, err = Candidates(lim, opt, one)
	return err
}

// Variants are the kernels that the candidate runs, in their order.
func (c *Candidate) Variants() []*shaders.Variant {
	list := make([]*shaders.Variant, len(c.kernels))
	for i, k := range c.kernels {
		list[i] = k.variant
	}
	return list
}
