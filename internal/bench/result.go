package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
)

// Status says what became of a case. The zero value is invalid.
type Status string

// The statuses.
const (
	OK          Status = "ok"
	Wrong       Status = "wrong"       // a run gave a wrong answer: there is no time
	Failed      Status = "failed"      // the device refused or failed: see Error
	Interrupted Status = "interrupted" // there are the samples so far, if any
)

// Case names what is measured.
type Case struct {
	Network   string `json:"network"`
	Backend   string `json:"backend"`
	DeviceID  string `json:"device_id"`
	Batch     int    `json:"batch"`
	Precision string `json:"precision"`
	Transfers bool   `json:"transfers"`           // counted in the time
	InFlight  int    `json:"in_flight,omitempty"` // runs at once, 0 where it is one
}

// String is "resnet50 N1 f32 on vulkan".
func (c Case) String() string {
	s := fmt.Sprintf("%s N%d %s on %s", c.Network, c.Batch, c.Precision, c.Backend)
	if c.Transfers {
		s += " with transfers"
	}
	if c.InFlight > 1 {
		s += fmt.Sprintf(", %d runs at once", c.InFlight)
	}
	return s
}

// Result is what was measured of a case.
type Result struct {
	Case
	Device string `json:"device"`
	Status Status `json:"status"`
	Error  string `json:"error,omitempty"`
	// Verification is nil when no run came to an end.
	Verification *Verification `json:"verification,omitempty"`
	Timing       *Timing       `json:"timing,omitempty"`
	// Cold is a start with empty caches, Warm one with those that cold starts left; nil when they were not timed.
	Cold *Start `json:"cold_start,omitempty"`
	Warm *Start `json:"warm_start,omitempty"`
	// DeviceBytes is what the executable and its buffers take of the device's memory; 0 when the device does not tell.
	DeviceBytes int64 `json:"device_bytes"`
	// Change is the comparison with the baseline; nil when that has no such case.
	Change *Change `json:"change,omitempty"`
}

// Timing is the speed of a case.
type Timing struct {
	Runs            int       `json:"runs"`
	Seconds         Summary   `json:"seconds"` // of a run; see Options.InFlight
	ImagesPerSecond float64   `json:"images_per_second"`
	FLOPs           int64     `json:"flops"`            // of a run; see graph.Cost
	FLOPsPerSecond  float64   `json:"flops_per_second"` // of the median run
	PeakShare       float64   `json:"peak_share"`       // of the device's measured peak; 0 when that is not known
	Samples         []float64 `json:"samples"`          // seconds, in the order they were taken
}

func newTiming(samples []float64, batch int, flops int64, peak float64) *Timing {
	t := &Timing{Runs: len(samples), Seconds: Summarize(samples), FLOPs: flops, Samples: samples}
	if t.Seconds.Median > 0 { // a clock may be too coarse for what takes no time
		t.ImagesPerSecond = float64(batch) / t.Seconds.Median
		t.FLOPsPerSecond = float64(flops) / t.Seconds.Median
	}
	if peak > 0 {
		t.PeakShare = t.FLOPsPerSecond / peak
	}
	return t
}

// Peak is [backend.Peak] for reports.
type Peak struct {
	FLOPsPerSecond map[string]float64 `json:"flops_per_second"` // the best, by element type
	BytesPerSecond float64            `json:"bytes_per_second"`
}

// Device is a device with what it can do at best.
type Device struct {
	backend.DeviceInfo
	Peak      *Peak  `json:"peak"` // nil when the device cannot measure it, or was not asked to
	PeakError string `json:"peak_error,omitempty"`
}

// MeasurePeak asks the device for its peak, if it can tell.
func MeasurePeak(ctx context.Context, dev backend.Device) Device {
	d := Device{DeviceInfo: dev.Info()}
	m, ok := dev.(backend.PeakMeasurer)
	if !ok {
		return d
	}
	p, err := m.MeasurePeak(ctx)
	if err != nil {
		d.PeakError = err.Error()
		return d
	}
	d.Peak = &Peak{FLOPsPerSecond: map[string]float64{}, BytesPerSecond: p.BytesPerSecond}
	for _, a := range p.Arithmetic {
		d.Peak.FLOPsPerSecond[a.DType.String()] = max(d.Peak.FLOPsPerSecond[a.DType.String()], a.FLOPsPerSecond)
	}
	return d
}

// Report is the outcome of a benchmark.
type Report struct {
	Format      int         `json:"format"` // of this document: FormatVersion
	Environment Environment `json:"environment"`
	Devices     []Device    `json:"devices"`
	Results     []Result    `json:"results"`
	// ReferenceSeconds is how long the float64 answers took, by network.
	ReferenceSeconds map[string]float64 `json:"reference_seconds"`
	Interrupted      bool               `json:"interrupted"`
	// Missing are the cases of the baseline that were not measured now.
	Missing []Case `json:"missing,omitempty"`
}

// FormatVersion is the version of a report's JSON. It changes when a field changes its meaning, not when one is added.
const FormatVersion = 1

// Err says what is worst of the results: ErrWrong, ErrFailed, ErrSlower, or nil.
func (r *Report) Err() error {
	var wrong, failed, slower []string
	for _, x := range r.Results {
		switch {
		case x.Status == Wrong:
			wrong = append(wrong, x.String())
		case x.Status == Failed:
			failed = append(failed, x.String())
		case x.Change != nil && x.Change.Verdict == Slower:
			slower = append(slower, x.String())
		}
	}
	for _, c := range []struct {
		err   error
		cases []string
	}{{ErrWrong, wrong}, {ErrFailed, failed}, {ErrSlower, slower}} {
		if len(c.cases) > 0 {
			return fmt.Errorf("%w: %d of %d cases, the first of them %s", c.err, len(c.cases), len(r.Results), c.cases[0])
		}
	}
	return nil
}

// Errors of [Report.Err], beside ErrWrong.
var (
	ErrFailed = errors.New("not measured")
	ErrSlower = errors.New("slower than the baseline")
)
