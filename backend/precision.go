package backend

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// MixedPrecision is an optional ability of an [Executable]: it tells which nodes work on tensors that are stored in a narrower type than
// the graph's float32. The bound of such a node grows by the roundings of what it reads and of what it writes (see package
// reference). Nodes that are not named work on float32 throughout, as do all nodes of an executable that has not this ability. The caller's
// buffers are of the graph's types in any case.
type MixedPrecision interface {
	// Precisions returns how the tensors of nodes of the compiled graph are stored, by the nodes' names. The answer never changes.
	Precisions() map[string]Precision
}

// Precision tells how the tensors of a node are stored: [graph.Float32], or [graph.Float16] where they are rounded to it. Products and sums
// are float32 all the same, unless HalfTerms says otherwise.
type Precision struct {
	Operands   graph.DType // activations, as the node reads them
	Parameters graph.DType // weights and biases, likewise
	Result     graph.DType // as it is written
	// Truncated tells that sums of products may be truncated instead of rounded to the nearest, as the matrix units of GPUs do: each addition
	// may then be off by an ULP instead of half of one.
	Truncated bool
	// HalfTerms is how many products are made and added in float16 before their sum is added to others in float32, at most [MaxHalfTerms]; 0 where
	// all arithmetic is float32. Operands and parameters are then float16.
	HalfTerms int
}

// MaxHalfTerms bounds [Precision].HalfTerms: of more terms float16 keeps so little that no bound would say anything.
const MaxHalfTerms = 128

// Check tells whether p can be how a node is computed: of float32 and float16 alone, not float32 throughout, and float16 is what is multiplied in float16.
//
// Errors: *[graph.ShapeError].
func (p Precision) Check(n *graph.Node) error {
	fault := &graph.ShapeError{Node: n.Name, Op: n.Op.Name(), Attr: "precision", Got: p.String()}
	narrow := false
	for _, t := range []graph.DType{p.Operands, p.Parameters, p.Result} {
		if t != graph.Float32 && t != graph.Float16 {
			fault.Want = "float32 or float16"
			return fault
		}
		narrow = narrow || t == graph.Float16
	}
	if !narrow && !p.Truncated {
		fault.Want = "something that is not float32"
		return fault
	}
	if p.HalfTerms < 0 || p.HalfTerms > MaxHalfTerms || p.HalfTerms > 0 && (p.Operands != graph.Float16 || p.Parameters != graph.Float16) {
		fault.Want = fmt.Sprintf("no terms in float16, or up to %d with operands and parameters of float16", MaxHalfTerms)
		return fault
	}
	return nil
}

// String is a form for people, as in "float16 × float16 → float16".
func (p Precision) String() string {
	text := fmt.Sprintf("%v × %v → %v", p.Operands, p.Parameters, p.Result)
	if p.Truncated {
		text += ", truncated sums"
	}
	if p.HalfTerms != 0 {
		text += fmt.Sprintf(", %d terms in float16", p.HalfTerms)
	}
	return text
}
