package bench

import (
	"context"
	"errors"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// Start says where the time from nothing to the first answer goes, in seconds. Loading the model is no part of it.
type Start struct {
	Open     float64 `json:"open_seconds"`
	Passes   float64 `json:"passes_seconds"`
	Compile  float64 `json:"compile_seconds"` // kernels, weights to the device, memory
	FirstRun float64 `json:"first_run_seconds"`
	Total    float64 `json:"seconds"`
	// NextRun is how long a second run takes in the same process, which is not in Total: what the first took above it is the
	// driver's, such as machine code that is only made when it is needed.
	NextRun float64 `json:"next_run_seconds"`
	// HostBytes is the resident memory of the process after the first run, the weights in Go's memory included; 0 where the
	// system does not tell.
	HostBytes int64 `json:"host_bytes"`
}

// TimeStart opens a device, compiles the network, runs it once, and closes all again. output is the first run's for the
// pictures of [NewAnswers], of which there are as many; the caller verifies it with [Answers.Check]: a start is often timed in
// another process, which has no reference.
func TimeStart(ctx context.Context, open func(context.Context) (backend.Device, error), n Network, pictures, batch int) (s Start, output []float32, err error) {
	g, err := n.Graph(1)
	if err != nil {
		return s, nil, err
	}
	questions, err := newQuestions(n, g, pictures)
	if err != nil {
		return s, nil, err
	}
	begin := stopwatch.Now()
	dev, err := open(ctx)
	if err != nil {
		return s, nil, err
	}
	s.Open = stopwatch.Since(begin).Seconds()
	defer func() { err = errors.Join(err, dev.Close()) }()
	p, err := Prepare(ctx, dev, n, questions, batch, Tolerance{})
	if err != nil {
		return s, nil, err
	}
	s.Passes, s.Compile, s.FirstRun = p.Passes, p.Compile, p.FirstRun
	s.Total = s.Open + s.Passes + s.Compile + s.FirstRun
	s.HostBytes = ResidentBytes()
	output = p.Output()
	s.NextRun, err = p.Once(ctx, false)
	return s, output, errors.Join(err, p.Close())
}
