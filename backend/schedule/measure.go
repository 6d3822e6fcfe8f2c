package schedule

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/resnet-run/resnet-run/graph"
)

// speedOf is what a speed was measured for: the structure of a graph, its batch included, and a member.
type speedOf struct {
	graph  [sha256.Size]byte
	member int
}

// runsMeasured is how many runs are timed, after one that is not; the fastest counts.
const runsMeasured = 2

// measure returns the speed of each member in samples a second, by candidate, 0 for those that do not share. Each has an equal share for
// the measurement, alone. What is known is not measured again: other shares would be other bits.
func (d *Device) measure(ctx context.Context, s *survey, sharing []int) ([]float64, error) {
	if err := acquire(ctx, d.measuring); err != nil {
		return nil, err
	}
	defer func() { <-d.measuring }()
	sum := sha256.Sum256([]byte(s.g.Text()))
	speeds := make([]float64, len(s.members))
	for _, m := range sharing {
		key := speedOf{sum, s.members[m].id}
		if d.speeds[key] == 0 {
			speed, err := d.speed(ctx, s, m, s.probe(len(sharing)))
			if err != nil {
				return nil, fmt.Errorf("measure the speed of device %q: %w", s.members[m].name, err)
			}
			d.speeds[key] = speed
			d.once(slog.LevelInfo, "measured the speed of a device", "device", s.members[m].name, "graph", s.g.Name, "samples a second", fmt.Sprintf("%.3g", speed))
		}
		speeds[m] = d.speeds[key]
	}
	return speeds, nil
}

// knownSpeeds returns measured speeds if all are there, else estimates.
func (d *Device) knownSpeeds(ctx context.Context, s *survey, sharing []int) (speeds []float64, measured bool, err error) {
	if err := acquire(ctx, d.measuring); err != nil {
		return nil, false, err
	}
	defer func() { <-d.measuring }()
	sum := sha256.Sum256([]byte(s.g.Text()))
	speeds = make([]float64, len(s.members))
	for _, m := range sharing {
		if speeds[m] = d.speeds[speedOf{sum, s.members[m].id}]; speeds[m] == 0 {
			speeds, err = s.estimated(sharing)
			return speeds, false, err
		}
	}
	return speeds, true, nil
}

// speed measures member m with a share of zeros.
func (d *Device) speed(ctx context.Context, s *survey, m, share int) (float64, error) {
	r, err := s.shareOf(m, share)
	if err != nil {
		return 0, err
	}
	alone, err := s.resized(share)
	if err != nil {
		return 0, err
	}
	r.whole = r.chunk == share
	p, err := d.assemble(ctx, &layout{survey: alone, batch: share, split: ByBatch, routes: []*routePlan{r}})
	if err != nil {
		return 0, err
	}
	defer p.close()
	run := &runState{}
	for _, v := range alone.g.Inputs {
		run.in = append(run.in, graph.NewTensor(v.Type).Data)
	}
	for _, v := range alone.g.Outputs {
		run.out = append(run.out, graph.NewTensor(v.Type).Data)
	}
	best := time.Duration(longest)
	for i := range 1 + runsMeasured {
		start := d.opts.now()
		if err := p.run(ctx, run); err != nil {
			return 0, err
		}
		if took := d.opts.now().Sub(start); i > 0 {
			best = min(best, max(took, time.Nanosecond))
		}
	}
	return float64(share) / best.Seconds(), nil
}
