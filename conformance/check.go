package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// Check runs one case on a device and returns nil when it holds. A case whose ClosesDevice is set leaves it closed. Cases whose OpensDevice is set
// are refused, since there is only one device; [Run] and [Execute] can open another.
//
// Errors: a refusal, for which [IsRefusal] is true; the context's error; else what does not hold.
func Check(ctx context.Context, dev backend.Device, c Case) error {
	b := &bench{dev: dev, c: &c}
	return b.check(ctx)
}

// check runs the case.
func (b *bench) check(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if b.c.OpensDevice && b.open == nil {
		return fmt.Errorf("%w: the case needs a second device, and there is one", errRefused)
	}
	do := b.c.check
	if do == nil {
		do = checkNumbers
	}
	return do(ctx, b)
}

// bench is a case on a device.
type bench struct {
	dev   backend.Device
	c     *Case
	open  func(context.Context) (backend.Device, error) // another device of the same kind; may be nil
	memo  *memo                                         // keeps answers of the reference, unless it is nil
	worst *Finding
	// stored is what the executable that ran last says of its precision.
	stored precisions
}

// judge holds a result against its bound and remembers the worst.
func (b *bench) judge(f Finding) error {
	if b.worst == nil || f.Fraction > b.worst.Fraction {
		b.worst = &f
	}
	return f.Err()
}

// compile compiles a graph, and holds Supports to its word in both directions.
func (b *bench) compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	var refusal error
	for _, n := range g.Nodes {
		if err := b.dev.Supports(n); err != nil {
			if !errors.Is(err, backend.ErrUnsupported) {
				return nil, fmt.Errorf("ask for node %q (%s): want an error that wraps backend.ErrUnsupported, got: %w", n.Name, n.Op.Name(), err)
			}
			refusal = errors.Join(refusal, fmt.Errorf("node %v: %w", n, err))
		}
	}
	e, err := b.dev.Compile(ctx, g)
	switch {
	case refusal != nil && err == nil:
		_ = e.Close()
		return nil, fmt.Errorf("supports: a refused node compiled: %w", noWrap(refusal))
	case refusal != nil && errors.Is(err, backend.ErrUnsupported):
		return nil, fmt.Errorf("%w: %w", errRefused, refusal)
	case refusal != nil:
		return nil, fmt.Errorf("supports: a refused node did not compile, but without backend.ErrUnsupported: %w", err)
	case err != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("supports: every node is supported, but compile failed: %w", noWrap(err))
	case err != nil:
		return nil, err
	}
	if got, want := e.Signature(), g.Signature(); !slices.Equal(got.Inputs, want.Inputs) || !slices.Equal(got.Outputs, want.Outputs) {
		_ = e.Close()
		return nil, fmt.Errorf("signature: got %v, want %v", got, want)
	}
	return e, nil
}

// noWrap keeps the text of an error and hides its kind: a broken promise is no refusal.
func noWrap(err error) error { return errors.New(err.Error()) }

// graph is the case's, which must not be changed: making it can take a float64 run (see calibrated).
func (b *bench) graph() (*graph.Graph, error) {
	return recall(b.memo, b.memo.key(nil, "graph"), func(*graph.Graph) int { return 0 }, b.c.Graph)
}

// checkNumbers runs the graph of the case and judges every node.
func checkNumbers(ctx context.Context, b *bench) error {
	g, err := b.graph()
	if err != nil {
		return err
	}
	inputs := b.c.Inputs(g)
	if len(g.Nodes) == 1 {
		return b.judgeNodes(ctx, g, inputs)
	}
	// First with every value as an output, judged node by node; then as it is, where memory is used again and again.
	if err := b.judgeTapped(ctx, g, inputs); err != nil {
		return err
	}
	return b.judgeWhole(ctx, g, g, inputs)
}

// checkTapped judges every node of a graph that has no whole to compare.
func checkTapped(ctx context.Context, b *bench) error {
	g, err := b.graph()
	if err != nil {
		return err
	}
	return b.judgeTapped(ctx, g, b.c.Inputs(g))
}

// judgeTapped runs a graph with the result of every node as an output.
func (b *bench) judgeTapped(ctx context.Context, g *graph.Graph, inputs [][]float32) error {
	names := make([]string, len(g.Nodes))
	for i, n := range g.Nodes {
		names[i] = n.Name
	}
	tapped, err := g.WithOutputs(names...)
	if err != nil {
		return err
	}
	return b.judgeNodes(ctx, tapped, inputs)
}

// judgeNodes runs a graph whose outputs are the results of all its nodes, in order.
func (b *bench) judgeNodes(ctx context.Context, g *graph.Graph, inputs [][]float32) error {
	got, how, err := b.once(ctx, g, inputs)
	if err != nil {
		return err
	}
	values := map[string][]float32{}
	for i, v := range g.Inputs {
		values[v.Name] = inputs[i]
	}
	for i, v := range g.Outputs {
		values[v.Name] = got[i]
	}
	var errs []error
	for _, n := range g.Nodes {
		in := make([][]float64, len(n.Inputs))
		for i, v := range n.Inputs {
			if v.Kind == graph.ParamValue {
				in[i] = reference.Widen(v.Data.Float32s())
			} else {
				in[i] = reference.Widen(values[v.Name])
			}
		}
		f, err := b.judgeNode(ctx, n, in, values[n.Name], how)
		if err != nil {
			return err
		}
		errs = append(errs, b.judge(f))
	}
	return errors.Join(errs...)
}

// judgeNode compares the result of a node with what the reference makes of its inputs, by the class of how it was computed.
func (b *bench) judgeNode(ctx context.Context, n *graph.Node, in [][]float64, got []float32, how transforms) (Finding, error) {
	f, err := judgeNode(ctx, n, in, got, how, b.stored, b.c.Class == Exact, b.memo)
	if err != nil {
		return Finding{}, fmt.Errorf("reference: %w", err)
	}
	return f, nil
}

func judgeNode(ctx context.Context, n *graph.Node, in [][]float64, got []float32, how transforms, stored precisions, exact bool, m *memo) (Finding, error) {
	c := computed{exact: exact}
	c.transform, c.transformed = how[n.Name]
	c.precision, c.narrow = stored[n.Name]
	j, err := recall(m, m.key(in, describe(n), c), judged.size, func() (judged, error) { return c.bounds(ctx, n, in) })
	if err != nil {
		return Finding{}, err
	}
	f := Judge(n.Name, n.Op.Name(), n.Output.Type.Shape, got, j.want, j.bound)
	if c.transformed {
		f.Transform = c.transform.String()
	}
	if c.narrow {
		f.Precision = c.precision.String()
	}
	return f, nil
}

// computed is how a node was, which decides its bounds.
type computed struct {
	exact       bool
	transform   backend.Winograd
	transformed bool
	precision   backend.Precision
	narrow      bool
}

// bounds asks the reference what a node makes of the inputs, and how far a result may be from that.
func (c computed) bounds(ctx context.Context, n *graph.Node, in [][]float64) (j judged, err error) {
	if c.transformed {
		j.want, j.bound, err = reference.WinogradBounds(ctx, n, in, c.transform)
	} else {
		j.want, j.bound, err = reference.Bounds(ctx, n, in)
	}
	if err != nil {
		return judged{}, err
	}
	if c.exact && !c.transformed {
		clear(j.bound)
	} else if err := allowUnrounded(ctx, n, in, j.bound); err != nil {
		return judged{}, err
	}
	if c.narrow {
		if err := reference.WidenBounds(ctx, n, in, j.want, j.bound, c.precision); err != nil {
			return judged{}, err
		}
	}
	return j, nil
}

// allowUnrounded widens the bounds of a node whose inputs are results of other nodes: a backend may keep those in
// a higher precision, or in registers of a fused kernel, so that the node's true inputs are those that it gave away
// only up to a rounding of each. That is one more rounding a term, for which doubling the bound of a sum of products is enough, and that of
// a mean or a variance; operations that copy or compare stay exact, since rounding their result comes to the same.
func allowUnrounded(ctx context.Context, n *graph.Node, in [][]float64, bound []float64) error {
	made := func(i int) bool { return i < len(in) && n.Inputs[i].Kind == graph.NodeValue }
	double := made(0)
	switch o := n.Op.(type) {
	case graph.Add:
		for i := range in {
			if made(i) {
				for j, x := range in[i] {
					bound[j] += 0x1p-24 * math.Abs(x)
				}
			}
		}
		return nil
	case graph.Gate: // each operand has a rounding in its bound
		double = made(0) || made(1) || made(2)
	case graph.SplitAttention:
		double = made(0) || made(1) || made(2)
		if made(1) {
			if err := allowScores(ctx, n, o, in, bound); err != nil {
				return err
			}
		}
	}
	if double {
		for j := range bound {
			bound[j] *= 2
		}
	}
	return nil
}

// allowScores widens the bounds of a split attention by what one rounding of each score does. The weights depend on differences of scores, and
// their bound on these alone: a score that is off by u·|s| changes each weight by a factor of no more than e^(2u·max|s|).
func allowScores(ctx context.Context, n *graph.Node, o graph.SplitAttention, in [][]float64, bound []float64) error {
	sums := *n
	sums.Op, sums.Inputs = graph.SplitAttention{Radix: o.Radix, Groups: o.Groups}, n.Inputs[:2]
	sizes := make([]float64, len(in[0]))
	for i, x := range in[0] {
		if x-x == 0 {
			sizes[i] = math.Abs(x)
		}
	}
	value, err := reference.Node(ctx, &sums, [][]float64{sizes, in[1]})
	if err != nil {
		return err
	}
	greatest := 0.0
	for _, s := range in[1] {
		if s-s == 0 {
			greatest = max(greatest, math.Abs(s))
		}
	}
	for i, v := range value {
		if v-v == 0 {
			bound[i] += math.Expm1(2*0x1p-24*greatest) * v
		}
	}
	return nil
}

// The limits of Agreement: relative to the norm, and to the greatest number, of the float64 run.
const (
	l2Limit  = 1e-5
	maxLimit = 4e-5
	// spread multiplies both where convolutions are computed through transforms.
	spread = 4
)

// judgeWhole runs g and compares its outputs with those of the float64 run of original.
func (b *bench) judgeWhole(ctx context.Context, g, original *graph.Graph, inputs [][]float32) error {
	wide, numbers := map[string][]float64{}, make([][]float64, len(inputs))
	for i, v := range original.Inputs {
		numbers[i] = reference.Widen(inputs[i])
		wide[v.Name] = numbers[i]
	}
	var names []string
	for _, v := range original.Outputs {
		names = append(names, v.Name)
	}
	// The graph is the case's, and the same in each run of it: its parameters need not be part of the key.
	want, err := recall(b.memo, b.memo.key(numbers, original.Name, original.Nodes, names), sizeOf, func() (map[string][]float64, error) {
		return reference.Eval(ctx, original, wide, names...)
	})
	if err != nil {
		return fmt.Errorf("reference: %w", err)
	}
	return b.judgeOutputs(ctx, g, inputs, original.Outputs, want)
}

// judgeOutputs runs g and compares its outputs, in order, with what is wanted of those, by their names.
func (b *bench) judgeOutputs(ctx context.Context, g *graph.Graph, inputs [][]float32, outputs []*graph.Value, want map[string][]float64) error {
	got, how, err := b.once(ctx, g, inputs)
	if err != nil {
		return err
	}
	for i, v := range g.Outputs {
		if err := b.agree(v, got[i], want[outputs[i].Name], how); err != nil {
			return err
		}
	}
	return nil
}

// agree is the measure of whole networks.
func (b *bench) agree(v *graph.Value, got []float32, want []float64, how transforms) error {
	l2Limit, maxLimit := float64(l2Limit), float64(maxLimit)
	if len(how) > 0 {
		l2Limit, maxLimit = spread*l2Limit, spread*maxLimit
	}
	if b.stored.half() {
		l2Limit, maxLimit = halfL2Limit, halfMaxLimit
	}
	greatest, norm, diff := 0.0, 0.0, 0.0
	for i, w := range want {
		greatest = max(greatest, math.Abs(w))
		norm += w * w
		d := float64(got[i]) - w
		diff += d * d
	}
	bound := make([]float64, len(want))
	for i := range bound {
		bound[i] = maxLimit * greatest
	}
	op := "input"
	if v.Node != nil {
		op = v.Node.Op.Name()
	}
	if err := b.judge(Judge(v.Name, op, v.Type.Shape, got, want, bound)); err != nil {
		return fmt.Errorf("greatest error: %w", err)
	}
	if l2 := math.Sqrt(diff); !(l2 <= l2Limit*math.Sqrt(norm)) {
		return fmt.Errorf("value %q: relative L2 error: got %.3g, want at most %g", v.Name, l2/math.Sqrt(norm), l2Limit)
	}
	if v.Type.Shape.Rank() == 2 {
		return sameFirst(v, got, want, 2*maxLimit*greatest)
	}
	return nil
}

// sameFirst holds the first class of every row against the float64 run's, where that one's margin exceeds the noise.
func sameFirst(v *graph.Value, got []float32, want []float64, noise float64) error {
	k := v.Type.Shape.Dim(1)
	for row := range v.Type.Shape.Dim(0) {
		g, w := got[row*k:][:k], want[row*k:][:k]
		first := 0
		for i := range w {
			if w[i] > w[first] {
				first = i
			}
		}
		for i := range g {
			if g[i] > g[first] && w[first]-w[i] > noise {
				return fmt.Errorf("value %q: first class of row %d: got %d, want %d by a margin of %g", v.Name, row, i, first, w[first]-w[i])
			}
		}
	}
	return nil
}
