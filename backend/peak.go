package backend

import (
	"context"

	"github.com/resnet-run/resnet-run/graph"
)

// PeakMeasurer is an optional ability of a Device: to find out by experiment what it can do at best, so that the
// speed of a network can be told as a share of it. Data sheets are no substitute: they know neither the driver nor the
// clock, the quota or the neighbours of the machine at hand.
type PeakMeasurer interface {
	// MeasurePeak runs small kernels that do nothing but arithmetic, or nothing but move memory, a few times, and
	// returns the best of each. It takes about a second, uses the device alone (callers run nothing beside it) and
	// holds its results against what they must be: a peak comes from right answers.
	//
	// Errors: ErrOutOfMemory, ErrDeviceLost, ErrClosed, the context's error, or a wrong result.
	MeasurePeak(ctx context.Context) (Peak, error)
}

// Peak is what a device reached at best.
type Peak struct {
	Arithmetic []ArithmeticPeak
	// BytesPerSecond is the sum of the bytes read and written by a copy from one array to another, both too large
	// for the caches of ordinary devices. 0 when it was not measured.
	BytesPerSecond float64
}

// ArithmeticPeak is the best rate of one kind of arithmetic.
type ArithmeticPeak struct {
	DType          graph.DType // of the operands
	Kernel         string      // what reached it, in the backend's words
	FLOPsPerSecond float64     // a multiplication with an addition counts two
}

// FLOPsPerSecond is the highest rate for operands of type t, 0 when none was measured.
func (p Peak) FLOPsPerSecond(t graph.DType) float64 {
	best := 0.0
	for _, a := range p.Arithmetic {
		if a.DType == t {
			best = max(best, a.FLOPsPerSecond)
		}
	}
	return best
}

// MemoryReporter is an optional ability of a Device: it tells how much of the device's memory it holds.
type MemoryReporter interface {
	// AllocatedBytes is what buffers, executables and the device itself hold now, in bytes of the device's memory.
	AllocatedBytes() int64
}
