package bench

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// InputSeed is the seed of the pictures: picture k of an input is seeded.Uniform(InputSeed, "picture k", elements, 1).
const InputSeed = 1

// Network is what is measured: one input [N,...] and one output [N,...] whose rows belong together.
type Network struct {
	Name string
	// Graph returns the bound network for a batch, as it is before the passes.
	Graph func(batch int) (*graph.Graph, error)
}

// Answers are pictures and what the network must make of them.
type Answers struct {
	Pictures [][]float32 // of one input each
	want     [][]float64 // by picture; nil when they are judged elsewhere
	Seconds  float64     // that the reference took
}

// NewAnswers runs the float64 reference on that many pictures.
//
// Errors: a network that has not one input and one output, the reference's errors, the context's error; an answer that is not
// finite, or zero throughout, with which nothing could be compared.
func NewAnswers(ctx context.Context, n Network, pictures int) (*Answers, error) {
	start := stopwatch.Now()
	g, err := n.Graph(1)
	if err != nil {
		return nil, err
	}
	a, err := newQuestions(n, g, pictures)
	if err != nil {
		return nil, err
	}
	in, out := g.Inputs[0], g.Outputs[0]
	for k := range pictures {
		values, err := reference.Eval(ctx, g, map[string][]float64{in.Name: reference.Widen(a.Pictures[k])}, out.Name)
		if err != nil {
			return nil, fmt.Errorf("benchmark %s: reference: %w", n.Name, err)
		}
		want := values[out.Name]
		norm := 0.0
		for _, v := range want {
			norm += v * v
		}
		if !(norm > 0) || math.IsInf(norm, 0) {
			return nil, fmt.Errorf("benchmark %s: the reference's answer has the norm %g: want a finite one above 0", n.Name, math.Sqrt(norm))
		}
		a.want = append(a.want, want)
	}
	a.Seconds = stopwatch.Since(start).Seconds()
	return a, nil
}

// newQuestions makes the pictures alone.
func newQuestions(n Network, g *graph.Graph, pictures int) (*Answers, error) {
	if len(g.Inputs) != 1 || len(g.Outputs) != 1 {
		return nil, fmt.Errorf("benchmark %s: want a network of one input and one output, got %d and %d", n.Name, len(g.Inputs), len(g.Outputs))
	}
	a := &Answers{}
	shape := g.Inputs[0].Type.Shape
	for k := range pictures {
		a.Pictures = append(a.Pictures, seeded.Uniform(InputSeed, fmt.Sprintf("picture %d", k), shape.Elems()/max(shape.Dim(0), 1), 1))
	}
	return a, nil
}

// Input is a batch of the pictures, in turn.
func (a *Answers) Input(batch int) []float32 {
	each := len(a.Pictures[0])
	out := make([]float32, 0, batch*each)
	for i := range batch {
		out = append(out, a.Pictures[i%len(a.Pictures)]...)
	}
	return out
}

// Tolerance is how far a whole network's answers may be from the reference's, each as a share.
type Tolerance struct {
	L2  float64 `json:"l2"`  // of the norm of the difference in that of the answer, picture by picture
	Max float64 `json:"max"` // of the greatest difference in the greatest number of the answer
}

// Float32 is the tolerance for arithmetic in float32, that of conformance's class Agreement: the networks of the family come
// out within 1e-6, and a network multiplies an error that a kernel should not make by far more.
var Float32 = Tolerance{L2: 1e-5, Max: 4e-5}

// ofTransforms is the tolerance where convolutions are computed by Winograd's F(4×4,3×3), that of package conformance.
func (t Tolerance) ofTransforms() Tolerance { return Tolerance{L2: 4 * t.L2, Max: 4 * t.Max} }

// ofHalf is the tolerance where tensors are stored as float16, that of package conformance.
func (t Tolerance) ofHalf() Tolerance { return Tolerance{L2: 1000 * t.L2, Max: 500 * t.Max} }

// Verification is how a batch compares with the answers.
type Verification struct {
	Right    bool    `json:"right"`
	Pictures int     `json:"pictures"` // of the batch
	Distinct int     `json:"distinct"` // of them
	L2       float64 `json:"l2_error"` // the greatest of all pictures; see Tolerance
	Max      float64 `json:"max_error"`
	// Tolerance is what the two may be.
	Tolerance Tolerance `json:"tolerance"`
	Why       string    `json:"why,omitempty"` // it is wrong
}

// ErrWrong is wrapped by what tells of a wrong answer.
var ErrWrong = errors.New("wrong answer")

// Err returns nil for what is right, else an error that wraps ErrWrong.
func (v Verification) Err() error {
	if v.Right {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrWrong, v.Why)
}

// Check holds the output for a batch against the answers. Errors that are not finite numbers are reported as the greatest
// number there is, which JSON can hold.
func (a *Answers) Check(got []float32, batch int, tol Tolerance) Verification {
	v := Verification{Right: true, Pictures: batch, Distinct: min(batch, len(a.want)), Tolerance: tol}
	each := len(a.want[0])
	if len(got) != batch*each {
		v.wrong(fmt.Sprintf("output: got %d elements, want %d", len(got), batch*each))
		return v
	}
	for i := range batch {
		a.checkOne(&v, i, got[i*each:(i+1)*each], a.want[i%len(a.want)])
	}
	return v
}

func (v *Verification) wrong(why string) {
	if v.Right {
		v.Right, v.Why = false, why
	}
}

func (a *Answers) checkOne(v *Verification, picture int, got []float32, want []float64) {
	var norm, diff, greatest, worst float64
	at, first := 0, 0
	for i, w := range want {
		d := math.Abs(float64(got[i]) - w)
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		if d > worst {
			worst, at = d, i
		}
		if w > want[first] {
			first = i
		}
		norm, diff, greatest = norm+w*w, diff+d*d, max(greatest, math.Abs(w))
	}
	l2, most := finite(math.Sqrt(diff/norm)), finite(worst/greatest)
	v.L2, v.Max = max(v.L2, l2), max(v.Max, most)
	tol := v.Tolerance
	switch {
	case !(most <= tol.Max):
		v.wrong(fmt.Sprintf("picture %d: greatest error at %d: got %g, want %g: %.3g of the greatest number, want at most %g", picture, at, got[at], want[at], most, tol.Max))
	case !(l2 <= tol.L2):
		v.wrong(fmt.Sprintf("picture %d: relative L2 error: got %.3g, want at most %g", picture, l2, tol.L2))
	}
	for i := range got {
		if got[i] > got[first] && want[first]-want[i] > 2*tol.Max*greatest {
			v.wrong(fmt.Sprintf("picture %d: first class: got %d, want %d by a margin of %g", picture, i, first, want[first]-want[i]))
		}
	}
}

func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return math.MaxFloat64
	}
	return x
}
