package vulkan

import (
	"cmp"
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// contender is a candidate in a race.
type contender struct {
	name    string
	hash    string
	trial   *trial
	kernels []string // whose times count: not those that change formats, which the planner counts itself
	measure func(context.Context) (seconds float64, err error)
	samples []float64
}

// contenders are the rule's choice, then further candidates in the rule's order; all have proved themselves.
func (o *outcomes) contenders(ctx context.Context, opt plan.Options, r *runner, e effort, end time.Time) (list []*contender, err error) {
	all, err := plan.Candidates(o.dev.limits, opt, r.node)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b plan.Candidate) int {
		return cmp.Compare(index(a.Name != r.rule), index(b.Name != r.rule))
	})
	data := bellData(r.node)
	best := math.Inf(1)
	ahead := 0 // how many have their pipelines
	for i := range all {
		c := &all[i]
		if len(list) >= e.candidates || len(list) > 1 && time.Now().After(end) {
			break
		}
		if i == ahead {
			ahead = i + min(runtime.GOMAXPROCS(0), e.candidates-len(list), len(all)-i)
			o.makeTogether(ctx, choicesAmong(r.node, all[i:ahead]))
		}
		ok, err := o.proveNode(ctx, r.node, c.Name)
		if err != nil {
			return list, err
		}
		if !ok {
			continue
		}
		one := &contender{name: c.Name, hash: o.hash(r.node, r.shape, c.Name)}
		one.measure = one.time
		for _, v := range c.Variants() {
			one.kernels = append(one.kernels, v.Name)
		}
		if len(list) == 0 {
			if one.trial, err = o.dev.newTrial(ctx, r.node, c.Name, data); err == nil {
				err = one.trial.set(ctx, data)
			}
		} else {
			one.trial, err = list[0].trial.beside(ctx, c.Name)
		}
		if errors.Is(err, backend.ErrOutOfMemory) && len(list) > 0 {
			break
		}
		if one.trial != nil {
			list = append(list, one)
		}
		var first float64
		for range 2 { // the first run is slower
			if err == nil {
				first, err = one.measure(ctx)
			}
		}
		if err == nil && first > hopeless*best {
			first, err = one.awake(ctx)
		}
		if err != nil {
			return list, err
		}
		if len(list) > 1 && first > hopeless*best {
			one.trial.close()
			list = list[:len(list)-1]
		}
		best = min(best, first)
	}
	return list, nil
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// time runs once and returns the device's time, or where its queue has no timestamps the host's.
func (c *contender) time(ctx context.Context) (float64, error) {
	out := []backend.Buffer{c.trial.out}
	times, err := c.trial.exe.Profile(ctx, c.trial.in, out)
	if err == nil {
		sum := 0.0
		for _, t := range times {
			if slices.Contains(c.kernels, t.Kernel) {
				sum += t.Seconds
			}
		}
		if sum > 0 {
			return sum, nil
		}
	} else if !backend.IsUnsupported(err) {
		return 0, err
	}
	start := stopwatch.Now()
	err = c.trial.exe.Run(ctx, c.trial.in, out)
	return max(stopwatch.Since(start).Seconds(), 1e-9), err
}

// wakeUp is for how long a GPU that stood still, while a kernel was compiled, may run slower.
const wakeUp = 20 * time.Millisecond

// awake is the least of the times within wakeUp, for a kernel that seems to be slow.
func (c *contender) awake(ctx context.Context) (float64, error) {
	least := math.Inf(1)
	for start := stopwatch.Now(); ; {
		s, err := c.measure(ctx)
		if err != nil {
			return 0, err
		}
		if least = min(least, s); stopwatch.Since(start) > wakeUp {
			return least, nil
		}
	}
}
