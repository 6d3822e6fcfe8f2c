package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
)

// parse builds a graph of package conformance itself from the text form.
func parse(lines ...string) func() (*graph.Graph, error) {
	return func() (*graph.Graph, error) {
		return graph.Parse(strings.NewReader("graph g\n" + strings.Join(lines, "\n") + "\n"))
	}
}

// smallNetwork is a network of a few blocks after the passes.
func smallNetwork(batch int) func() (*graph.Graph, error) {
	return func() (*graph.Graph, error) {
		c := blockConfigs()[0]
		return c.Build(batch, c.InputSize, c.InputSize)
	}
}

func fusedNetwork(c *Case) (*graph.Graph, error) {
	g, err := calibrated(c)
	if err != nil {
		return nil, err
	}
	return pass.Run(g, pass.Default())
}

// heavyConv takes a device that is no GPU a good part of a second.
var heavyConv = parse(
	"input %x : float32[2,32,64,64]", "param @w : float32[32,32,3,3]",
	"%a = conv2d(%x, @w) padding=1,1,1,1 act=relu", "%b = conv2d(%a, @w) padding=1,1,1,1 act=relu",
	"%c = conv2d(%b, @w) padding=1,1,1,1 act=relu", "%y = conv2d(%c, @w) padding=1,1,1,1", "output %y")

// wideConv has numbers of filters with which others gave other bits at a replay.
func wideConv(filters int) func() (*graph.Graph, error) {
	return parse("input %x : float32[2,24,9,7]", fmt.Sprintf("param @w : float32[%d,24,1,1]", filters), "%y = conv2d(%x, @w) act=relu", "output %y")
}

// runGraphs are what is run again and again, beside others, and cancelled.
var runGraphs = []struct {
	name  string
	build func() (*graph.Graph, error)
	bind  func(*Case) (*graph.Graph, error)
}{
	{"conv2d", parse("input %x : float32[3,33,9,7]", "param @w : float32[65,33,3,3]", "%y = conv2d(%x, @w) padding=1,1,1,1 act=relu", "output %y"), nil},
	{"softmax", parse("input %x : float32[5,1001]", "%y = softmax(%x)", "output %y"), nil},
	{"pools", parse("input %x : float32[2,17,13,11]", "%m = max_pool(%x) kernel=3,3 stride=2,2 padding=1,1,1,1", "%g = global_avg_pool(%m)", "output %m", "output %g"), nil},
	{"network-n1", smallNetwork(1), fusedNetwork},
	{"network-n7", smallNetwork(7), fusedNetwork},
	{"conv2d-k168", wideConv(168), nil}, {"conv2d-k176", wideConv(176), nil}, {"conv2d-k184", wideConv(184), nil}, {"conv2d-k192", wideConv(192), nil},
	{"linear", parse("input %x : float32[3,513]", "param @w : float32[1001,513]", "%y = linear(%x, @w)", "output %y"), nil},
}

func (t *table) runs() {
	for _, g := range runGraphs {
		t.add(Case{Name: "replay/25/" + g.name, Reason: "the same executable gives the same bits", Class: Bits,
			build: g.build, bind: g.bind, check: func(ctx context.Context, b *bench) error { return checkReplay(ctx, b, 25) }})
		t.add(Case{Name: "replay/200/" + g.name, Reason: "the same executable gives the same bits, for longer", Class: Bits, Profile: Long,
			build: g.build, bind: g.bind, check: func(ctx context.Context, b *bench) error { return checkReplay(ctx, b, 200) }})
		t.add(Case{Name: "concurrent/" + g.name, Reason: "runs of two executables at once give the same bits as alone", Class: Bits,
			build: g.build, bind: g.bind, check: checkConcurrent})
		t.add(Case{Name: "recompile/" + g.name, Reason: "a second executable of the same graph, made while the first lives, gives the same bits", Class: Bits,
			build: g.build, bind: g.bind, check: checkRecompile})
	}
	t.add(Case{Name: "concurrent/different", Reason: "runs of executables of different graphs at once give the same bits as alone", Class: Bits,
		build: runGraphs[0].build, check: checkConcurrentGraphs})
	t.add(Case{Name: "cancel/before", Reason: "a context that is done before: the run returns its error, and the next run is right", Class: Behaviour,
		build: runGraphs[0].build, check: checkCancelBefore})
	t.add(Case{Name: "cancel/compile", Reason: "a context that is done before: compile returns its error", Class: Behaviour,
		build: smallNetwork(1), bind: fusedNetwork, check: checkCancelCompile})
	t.add(Case{Name: "cancel/during", Reason: "a context that ends in mid-run: the run returns soon, and the next run is right", Class: Bits,
		build: heavyConv, check: checkCancelDuring})
	for _, c := range []struct{ name, reason, output string }{
		{"input", "an input that is an output too is copied", "x"},
		{"twice", "a value may be an output twice", "a"},
		{"flattened", "flatten moves nothing: both sides may be outputs", "f"},
	} {
		t.add(Case{Name: "outputs/" + c.name, Reason: c.reason, Class: ClassA, build: parse(
			"input %x : float32[2,3,5,4]", "%a = relu(%x)", "%f = flatten(%a)", "%s = add(%a, %x)", "output %s", "output %a", "output %"+c.output)})
	}
	t.add(Case{Name: "inputs/same-value-twice", Reason: "a node may read one value twice", Class: Exact, Values: Integers,
		build: parse("input %x : float32[2,3,5,7]", "%y = add(%x, %x)", "output %y")})
	t.add(Case{Name: "inputs/unused", Reason: "an input that no node reads must be given and is left alone", Class: Exact, Values: Integers,
		build: parse("input %a : float32[2,3,5,7]", "input %unused : float32[3]", "%y = relu(%a)", "output %y")})
}

// ready compiles the graph of the case and makes buffers for it.
func (b *bench) ready(ctx context.Context) (g *graph.Graph, e backend.Executable, t *tray, err error) {
	if g, err = b.c.Graph(); err != nil {
		return nil, nil, nil, err
	}
	if e, err = b.compile(ctx, g); err != nil {
		return nil, nil, nil, err
	}
	if t, err = newTray(ctx, b.dev, g.Signature(), b.c.Inputs(g)); err != nil {
		return nil, nil, nil, errors.Join(err, e.Close())
	}
	return g, e, t, nil
}

// again poisons the outputs, runs, and reads them.
func again(ctx context.Context, e backend.Executable, t *tray) ([][]float32, error) {
	if err := t.poisonOutputs(ctx); err != nil {
		return nil, err
	}
	if err := e.Run(ctx, t.in, t.out); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return t.read(ctx)
}

// sameBits compares two sets of outputs.
func sameBits(what string, t *tray, got, want [][]float32) error {
	for i := range want {
		for j := range want[i] {
			if g, w := math.Float32bits(got[i][j]), math.Float32bits(want[i][j]); g != w {
				return fmt.Errorf("%s gives other bits: output %q at %v: got %g (%#08x), want %g (%#08x)", what,
					t.outPorts[i].Name, place(t.outPorts[i].Type.Shape, j), got[i][j], g, want[i][j], w)
			}
		}
	}
	return nil
}

func checkReplay(ctx context.Context, b *bench, times int) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	var first [][]float32
	for i := range times {
		got, err := again(ctx, e, t)
		if err != nil {
			return fmt.Errorf("run %d: %w", i, err)
		}
		if i == 0 {
			first = got
		} else if err := sameBits(fmt.Sprintf("replay: run %d", i), t, got, first); err != nil {
			return err
		}
	}
	return t.intact(ctx)
}

// job is an executable with buffers of its own, and what it gives when nothing else runs.
type job struct {
	e     backend.Executable
	t     *tray
	alone [][]float32
}

// jobs are two with the same executable.
func (b *bench) jobs(ctx context.Context) (list []job, err error) {
	g, e, t, err := b.ready(ctx)
	if err != nil {
		return nil, err
	}
	list = []job{{e: e, t: t}}
	second, err := newTray(ctx, b.dev, g.Signature(), b.c.Inputs(g))
	if err != nil {
		return list, err
	}
	return append(list, job{e: e, t: second}), nil
}

// checkConcurrent runs two executables of a graph, each with two sets of buffers, at once.
func checkConcurrent(ctx context.Context, b *bench) error { return atOnce(ctx, b, b) }

// checkConcurrentGraphs does the same with all graphs that are run again and again.
func checkConcurrentGraphs(ctx context.Context, b *bench) error {
	var all []*bench
	for _, g := range runGraphs {
		other := *b
		other.c = &Case{Name: b.c.Name + "/" + g.name, build: g.build, bind: g.bind}
		all = append(all, &other)
	}
	return atOnce(ctx, all...)
}

// atOnce runs executables, each with two sets of buffers, alone and then at once.
func atOnce(ctx context.Context, benches ...*bench) (err error) {
	var jobs []job
	defer func() {
		for _, j := range jobs {
			err = errors.Join(err, j.t.close(), j.e.Close())
		}
	}()
	refused := 0
	for _, b := range benches {
		more, err := b.jobs(ctx)
		jobs = append(jobs, more...)
		if IsRefusal(err) && refused < len(benches)-2 {
			refused++ // the others are still several
		} else if err != nil {
			return err
		}
	}
	for i := range jobs {
		if jobs[i].alone, err = again(ctx, jobs[i].e, jobs[i].t); err != nil {
			return err
		}
	}
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, j := range jobs {
		wg.Go(func() {
			for range 5 {
				got, err := again(ctx, j.e, j.t)
				if err == nil {
					err = sameBits("a run among others", j.t, got, j.alone)
				}
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	for _, j := range jobs {
		errs = append(errs, j.t.intact(ctx))
	}
	return errors.Join(errs...)
}

func checkRecompile(ctx context.Context, b *bench) (err error) {
	g, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	want, err := again(ctx, e, t)
	if err != nil {
		return err
	}
	second, err := b.compile(ctx, g)
	if err != nil {
		return err
	}
	got, err := again(ctx, second, t)
	if err = errors.Join(err, second.Close()); err != nil {
		return err
	}
	if err := sameBits("a second executable", t, got, want); err != nil {
		return err
	}
	if got, err = again(ctx, e, t); err != nil {
		return fmt.Errorf("the first executable, after the second was closed: %w", err)
	}
	return sameBits("the first executable, after the second was closed,", t, got, want)
}

func checkCancelBefore(ctx context.Context, b *bench) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	want, err := again(ctx, e, t)
	if err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.Run(done, t.in, t.out); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("cancel: run with a cancelled context: want its error, got %v", err)
	}
	return b.rightAfterwards(ctx, e, t, want)
}

// rightAfterwards runs once more, after a run that was cancelled or refused.
func (b *bench) rightAfterwards(ctx context.Context, e backend.Executable, t *tray, want [][]float32) error {
	got, err := again(ctx, e, t)
	if err != nil {
		return fmt.Errorf("the run after: %w", err)
	}
	if err := sameBits("the run after", t, got, want); err != nil {
		return err
	}
	return t.intact(ctx)
}

func checkCancelCompile(ctx context.Context, b *bench) error {
	g, err := b.c.Graph()
	if err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	e, err := b.dev.Compile(done, g)
	if err == nil {
		err = e.Close()
		return errors.Join(errors.New("cancel: compile with a cancelled context: want its error, got none"), err)
	}
	if !errors.Is(err, context.Canceled) && !errors.Is(err, backend.ErrUnsupported) {
		return fmt.Errorf("cancel: compile with a cancelled context: want its error, got: %w", err)
	}
	return nil
}

// promptness is how soon after its context ended a run must have returned, in one of so many attempts: a machine that was
// suspended, or had something else to do, makes one of them late, a device that does not listen makes all.
const (
	promptness       = 2 * time.Second
	promptnessTrials = 3
)

func checkCancelDuring(ctx context.Context, b *bench) (err error) {
	_, e, t, err := b.ready(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(), e.Close()) }()
	begin := time.Now()
	want, err := again(ctx, e, t)
	if err != nil {
		return err
	}
	whole := time.Since(begin)
	for part := range 3 {
		after := whole * time.Duration(part) / 4
		late, err := cutShort(ctx, e, t, after)
		for n := 1; n < promptnessTrials && err == nil && late > promptness; n++ {
			var again time.Duration
			again, err = cutShort(ctx, e, t, after)
			late = min(late, again)
		}
		if err != nil {
			return err
		}
		if late > promptness {
			return fmt.Errorf("cancel: run returned %v after its context had ended, each of %d times, want at most %v", late.Round(time.Millisecond), promptnessTrials, promptness)
		}
	}
	return b.rightAfterwards(ctx, e, t, want)
}

// cutShort ends the context of a run after some time and tells how long after that the run returned.
func cutShort(ctx context.Context, e backend.Executable, t *tray, after time.Duration) (late time.Duration, err error) {
	short, cancel := context.WithTimeout(ctx, after)
	defer cancel()
	begin := time.Now()
	err = e.Run(short, t.in, t.out)
	late = time.Since(begin) - after
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return late, fmt.Errorf("cancel: run whose context ended after %v: want its error or none, got: %w", after, err)
	}
	return late, nil
}
