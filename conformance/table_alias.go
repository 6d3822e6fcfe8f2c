package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// alike has inputs and outputs of one type, so that any buffer could stand for any other.
var alike = parse(
	"input %a : float32[2,3,5,7]", "input %b : float32[2,3,5,7]",
	"%sum = add(%a, %b)", "%r = relu(%b)", "output %sum", "output %r")

// inPlace are graphs of one op whose result could be written over an input, if that were allowed.
var inPlace = []struct {
	name  string
	build func() (*graph.Graph, error)
}{
	{"relu", parse("input %x : float32[2,3,5,7]", "%y = relu(%x)", "output %y")},
	{"add", parse("input %x : float32[2,3,5,7]", "input %b : float32[2,3,5,7]", "%y = add(%x, %b)", "output %y")},
	{"softmax", parse("input %x : float32[5,33]", "%y = softmax(%x)", "output %y")},
	{"flatten", parse("input %x : float32[5,33]", "%y = flatten(%x)", "output %y")},
	{"conv2d", parse("input %x : float32[2,4,5,7]", "param @w : float32[4,4,3,3]", "%y = conv2d(%x, @w) padding=1,1,1,1", "output %y")},
	{"batch_norm", parse("input %x : float32[2,4,5,7]", "param @weight : float32[4]", "param @bias : float32[4]", "param @mean : float32[4]",
		"param @variance : float32[4]", "%y = batch_norm(%x, @weight, @bias, @mean, @variance) epsilon=1e-05", "output %y")},
	{"group_norm", parse("input %x : float32[2,4,5,7]", "param @weight : float32[4]", "param @bias : float32[4]",
		"%y = group_norm(%x, @weight, @bias) groups=2 epsilon=1e-05", "output %y")},
	{"reshape", parse("input %x : float32[2,4,5,7]", "%y = reshape(%x) to=4,5,7", "output %y")},
	{"concat", parse("input %x : float32[2,4,5,7]", "%y = concat(%x)", "output %y")},
	{"channel_slice", parse("input %x : float32[2,4,5,7]", "%y = channel_slice(%x) begin=0 end=4", "output %y")},
	{"spatial_pad", parse("input %x : float32[2,4,5,7]", "%y = spatial_pad(%x)", "output %y")},
	{"split_attention", parse("input %x : float32[2,4,1,1]", "input %s : float32[2,4,1,1]", "%y = split_attention(%x, %s) radix=1 groups=4", "output %y")},
}

// aliases has what Run says about buffers that are given twice.
func (t *table) aliases() {
	for _, c := range []badRun{
		{"output-is-first-input", false, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return in, buffers{in[0], out[1]} }},
		{"output-is-second-input", false, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return in, buffers{out[0], in[1]} }},
		{"outputs-are-inputs", false, func(in, _ buffers, _ backend.Buffer) (buffers, buffers) { return in, buffers{in[1], in[0]} }},
		{"one-output-for-both", false, func(in, out buffers, _ backend.Buffer) (buffers, buffers) { return in, buffers{out[0], out[0]} }},
		{"everything-one-buffer", false, func(in, _ buffers, _ backend.Buffer) (buffers, buffers) {
			return buffers{in[0], in[0]}, buffers{in[0], in[0]}
		}},
	} {
		t.add(Case{Name: "alias/refused/" + c.name, Reason: "an output that is given twice or is an input too: an error, nothing is written, and the next run is right",
			Class: Behaviour, build: alike, check: func(ctx context.Context, b *bench) error { return checkBadRun(ctx, b, c) }})
	}
	for _, g := range inPlace {
		c := badRun{name: "its output in place of its input", spoil: func(in, _ buffers, _ backend.Buffer) (buffers, buffers) { return in, buffers{in[0]} }}
		t.add(Case{Name: "alias/in-place/" + g.name, Reason: "nothing is computed in place: an error, nothing is written, and the next run is right",
			Class: Behaviour, build: g.build, check: func(ctx context.Context, b *bench) error { return checkBadRun(ctx, b, c) }})
	}
	for _, g := range []struct {
		name  string
		build func() (*graph.Graph, error)
	}{
		{"add", alike},
		{"concat", parse("input %a : float32[2,3,5,7]", "input %b : float32[2,3,5,7]", "%y = concat(%a, %b, %a)", "output %y")},
		{"split-attention", parse("input %a : float32[2,3,1,1]", "input %b : float32[2,3,1,1]", "input %c : float32[2,3,1,1]",
			"%y = split_attention(%a, %b, %c) radix=1 groups=3 add=true", "output %y")},
		{"shortcut", parse("input %x : float32[2,4,5,7]", "input %s : float32[2,4,5,7]", "param @w : float32[4,4,3,3]",
			"%y = conv2d(%x, @w, %s) padding=1,1,1,1 add=true act=relu", "output %y")},
		{"three", parse("input %a : float32[33]", "input %b : float32[33]", "input %c : float32[33]", "%d = add(%a, %b)", "%y = add(%d, %c)", "output %y")},
		{"unused", parse("input %a : float32[33]", "input %unused : float32[33]", "%y = relu(%a)", "output %y")},
		{"copied", parse("input %a : float32[33]", "input %b : float32[33]", "%y = add(%a, %b)", "output %y", "output %b", "output %a")},
	} {
		t.add(Case{Name: "alias/inputs/" + g.name, Reason: "one buffer may be given for several inputs: the same bits as with equal buffers",
			Class: Bits, build: g.build, check: checkSharedInputs})
	}
	for _, g := range []int{0, 3} { // a convolution, a network
		t.add(Case{Name: "buffers/many/" + runGraphs[g].name, Reason: "other buffers in each run, more than a device may remember, in turns: the same bits",
			Class: Bits, build: runGraphs[g].build, bind: runGraphs[g].bind, check: checkManyBuffers})
		t.add(Case{Name: "buffers/renewed/" + runGraphs[g].name, Reason: "buffers that are closed and made anew with other contents: the new contents count",
			Class: Bits, build: runGraphs[g].build, bind: runGraphs[g].bind, check: checkRenewedBuffers})
	}
	for _, g := range runGraphs[:4] {
		t.add(Case{Name: "buffers/mixed/" + g.name, Reason: "any inputs may be run with any outputs, in any order: the same bits",
			Class: Bits, build: g.build, bind: g.bind, check: checkMixedBuffers})
	}
	t.add(Case{Name: "buffers/chain", Reason: "the output of a run is the input of the next, to and fro: the same bits as through other buffers",
		Class: Bits, build: inPlace[4].build, check: checkChain})
}

// checkSharedInputs runs with equal buffers and then with one for all inputs.
func checkSharedInputs(ctx context.Context, b *bench) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	for i, buf := range t.in[1:] {
		if err := buf.Write(ctx, t.inputs[0]); err != nil {
			return fmt.Errorf("write input %d: %w", i+1, err)
		}
		t.inputs[i+1] = t.inputs[0]
	}
	want, err := again(ctx, e, t)
	if err != nil {
		return err
	}
	own := t.in
	t.in = make([]backend.Buffer, len(own))
	for i := range t.in {
		t.in[i] = own[0]
	}
	got, err := again(ctx, e, t)
	t.in = own
	if err != nil {
		return fmt.Errorf("one buffer for all inputs: %w", err)
	}
	if err := sameBits("one buffer for all inputs", t, got, want); err != nil {
		return err
	}
	return b.rightAfterwards(ctx, e, t, want)
}

// checkManyBuffers makes 12 sets of buffers, with two kinds of contents, and goes through them twice.
func checkManyBuffers(ctx context.Context, b *bench) (err error) {
	g, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	sets := []*tray{t}
	defer func() {
		for _, t := range sets {
			err = errors.Join(err, t.close())
		}
		err = errors.Join(err, e.Close())
	}()
	inputs := [2][][]float32{b.c.Inputs(g), otherInputs(b.c, g)}
	for i := 1; i < 12; i++ {
		t, err := newTray(ctx, b.dev, g.Signature(), inputs[i%2])
		if err != nil {
			return err
		}
		sets = append(sets, t)
	}
	var want [2][][]float32
	for i := range 2 * len(sets) {
		t := sets[i%len(sets)]
		got, err := again(ctx, e, t)
		if err != nil {
			return err
		}
		if i < 2 {
			want[i] = got
		}
		if err := sameBits(fmt.Sprintf("set %d of buffers", i%len(sets)), t, got, want[i%2]); err != nil {
			return err
		}
	}
	for _, t := range sets {
		if err := t.intact(ctx); err != nil {
			return err
		}
	}
	if sameBits("", t, want[1], want[0]) == nil {
		return errors.New("buffers: other inputs gave the same outputs")
	}
	return nil
}

// checkMixedBuffers runs two sets of inputs and two of outputs in all pairs and again: what is kept of a run must not be taken for another.
func checkMixedBuffers(ctx context.Context, b *bench) (err error) {
	g, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	other, err := newTray(ctx, b.dev, g.Signature(), otherInputs(b.c, g))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, other.close()) }()
	sets := [2]*tray{t, other}
	var want [2][][]float32
	for _, pair := range [][2]int{{0, 0}, {1, 1}, {0, 1}, {1, 0}, {1, 1}, {0, 1}, {0, 0}, {1, 0}} {
		mixed := *sets[pair[1]]
		mixed.in = sets[pair[0]].in
		got, err := again(ctx, e, &mixed)
		if err != nil {
			return err
		}
		if want[pair[0]] == nil {
			want[pair[0]] = got
		}
		if err := sameBits(fmt.Sprintf("inputs %d with outputs %d", pair[0], pair[1]), t, got, want[pair[0]]); err != nil {
			return err
		}
	}
	if sameBits("", t, want[1], want[0]) == nil {
		return errors.New("buffers: other inputs gave the same outputs")
	}
	return errors.Join(t.intact(ctx), other.intact(ctx))
}

// otherInputs are those of the case, halved, which changes every result but leaves what is finite so.
func otherInputs(c *Case, g *graph.Graph) [][]float32 {
	in := c.Inputs(g)
	for _, x := range in {
		for i := range x {
			x[i] /= 2
		}
	}
	return in
}

// checkRenewedBuffers closes all buffers after each run; memory and handles of the old may come back in the new.
func checkRenewedBuffers(ctx context.Context, b *bench) (err error) {
	g, err := b.c.Graph()
	if err != nil {
		return err
	}
	e, err := b.compile(ctx, g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	inputs := [2][][]float32{b.c.Inputs(g), otherInputs(b.c, g)}
	var want [2][][]float32
	for i := range 8 {
		t, err := newTray(ctx, b.dev, g.Signature(), inputs[i%2])
		if err != nil {
			return err
		}
		got, err := again(ctx, e, t)
		if err = errors.Join(err, t.intact(ctx)); err == nil {
			if i < 2 {
				want[i] = got
			}
			err = sameBits(fmt.Sprintf("run %d, with new buffers,", i), t, got, want[i%2])
		}
		if err = errors.Join(err, t.close()); err != nil {
			return err
		}
	}
	return nil
}

// checkChain applies the graph again and again, between two buffers and through ever other ones.
func checkChain(ctx context.Context, b *bench) (err error) {
	g, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	const links = 6
	values := [][]float32{b.c.Inputs(g)[0]}
	for range links {
		link, err := newTray(ctx, b.dev, g.Signature(), [][]float32{values[len(values)-1]})
		if err != nil {
			return err
		}
		got, err := again(ctx, e, link)
		if err = errors.Join(err, link.close()); err != nil {
			return err
		}
		values = append(values, got[0])
	}
	pair := [2]backend.Buffer{t.in[0], t.out[0]}
	for i := range links {
		if err := e.Run(ctx, pair[i%2:][:1], []backend.Buffer{pair[1-i%2]}); err != nil {
			return fmt.Errorf("run %d of a chain: %w", i, err)
		}
		data := make([]byte, len(t.inputs[0]))
		if err := pair[1-i%2].Read(ctx, data); err != nil {
			return fmt.Errorf("read result %d of a chain: %w", i, err)
		}
		if err := sameBits(fmt.Sprintf("link %d of a chain", i), t, [][]float32{floats(data)}, values[i+1:][:1]); err != nil {
			return err
		}
	}
	return nil
}
