package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Baseline is the samples of an earlier report, by case.
type Baseline struct {
	CPU     string    // of the environment, as is the next
	Load    []float64 // nil when it is not known
	samples map[Case][]float64
	cases   []Case // in the order of the report
}

// baselineLimit bounds the file: a report of a hundred cases of MaxRuns samples has about as many bytes.
const baselineLimit = 256 << 20

// ReadBaseline reads a report that was written as JSON.
//
// Errors: what cannot be read, is no report, has another format version, a case twice, or samples that are no times.
func ReadBaseline(path string) (*Baseline, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	b, err := decodeBaseline(io.LimitReader(f, baselineLimit))
	if err != nil {
		return nil, fmt.Errorf("read baseline %s: %w", path, err)
	}
	return b, nil
}

func decodeBaseline(r io.Reader) (*Baseline, error) {
	// Only what is compared is read, so that a report of a program with more fields can be compared too.
	var report struct {
		Format      *int `json:"format"`
		Environment struct {
			CPU  string    `json:"cpu"`
			Load []float64 `json:"load"`
		} `json:"environment"`
		Results []struct {
			Case
			Status Status `json:"status"`
			Timing *struct {
				Samples []float64 `json:"samples"`
			} `json:"timing"`
		} `json:"results"`
	}
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		return nil, fmt.Errorf("want what 'resnet-run bench --format json' writes: %w", err)
	}
	if report.Format == nil || *report.Format != FormatVersion {
		got := "none"
		if report.Format != nil {
			got = fmt.Sprint(*report.Format)
		}
		return nil, fmt.Errorf("field format: want %d, got %s", FormatVersion, got)
	}
	b := &Baseline{CPU: report.Environment.CPU, Load: report.Environment.Load, samples: map[Case][]float64{}}
	for i, x := range report.Results {
		if x.Status != OK {
			continue
		}
		at := fmt.Sprintf("field results[%d]", i)
		if x.Timing == nil || len(x.Timing.Samples) == 0 {
			return nil, fmt.Errorf("%s.timing.samples: want samples, got none", at)
		}
		for j, s := range x.Timing.Samples {
			if !(s >= 0) || math.IsInf(s, 0) { // a coarse clock gives 0
				return nil, fmt.Errorf("%s.timing.samples[%d]: want seconds of at least 0, got %g", at, j, s)
			}
		}
		if b.samples[x.Case] != nil {
			return nil, fmt.Errorf("%s: the case %v stands there twice", at, x.Case)
		}
		b.samples[x.Case] = x.Timing.Samples
		b.cases = append(b.cases, x.Case)
	}
	if len(b.cases) == 0 {
		return nil, errors.New("field results: want at least one with status ok, got none")
	}
	return b, nil
}

// Doubts says what makes the comparison with a report doubtful, whatever the samples say.
func (b *Baseline) Doubts(r *Report) []string {
	var list []string
	e := r.Environment
	if b.CPU != e.CPU {
		list = append(list, fmt.Sprintf("the baseline is of another processor: %q, not %q", b.CPU, e.CPU))
	}
	if len(b.Load) > 0 && len(e.Load) > 0 && math.Abs(b.Load[0]-e.Load[0]) > float64(max(e.Cores, 1))/2 {
		list = append(list, fmt.Sprintf("the machine had another load: %.2f when the baseline was taken, %.2f now", b.Load[0], e.Load[0]))
	}
	return list
}

// Against compares the results of a report with the baseline's, and tells how many; floor is the share below which nothing is a difference.
func (b *Baseline) Against(r *Report, floor float64) (compared int) {
	seen := map[Case]bool{}
	for i := range r.Results {
		x := &r.Results[i]
		seen[x.Case] = true
		if old := b.samples[x.Case]; old != nil && x.Status == OK {
			c := Compare(old, x.Timing.Samples, floor)
			x.Change = &c
			compared++
		}
	}
	for _, c := range b.cases {
		if !seen[c] {
			r.Missing = append(r.Missing, c)
		}
	}
	return compared
}
