package conformance

import (
	"errors"
	"fmt"
	"time"
)

// Status is the outcome of a case. The zero value is invalid.
type Status uint8

// The outcomes.
const (
	InvalidStatus   Status = iota
	Passed                 // it held
	Failed                 // it did not
	Refused                // the device supports it not, and said so
	ExpectedFailure        // it did not, as [Options.KnownFailures] says
	UnexpectedPass         // it held, against [Options.KnownFailures]; fails a strict run
	Skipped                // it was not run, because of [Options.Limits]
)

var statusNames = []string{"invalid", "passed", "failed", "refused", "expected failure", "unexpected pass", "skipped"}

// String returns "passed", "failed", "refused", "expected failure", "unexpected pass" or "skipped".
func (s Status) String() string { return nameOf(statusNames, int(s)) }

// MarshalText writes the String form.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Status) UnmarshalText(text []byte) error {
	for i, n := range statusNames {
		if i > 0 && n == string(text) {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("read status: unknown name %.40q", text)
}

// Result is the outcome of a case on a device.
type Result struct {
	Case     *Case
	Status   Status
	Err      error         // why it failed or was refused
	Reason   string        // of the exception that applies
	Worst    *Finding      // the tensor with the greatest error as a part of its bound; nil when no numbers were judged
	Duration time.Duration // of all runs
	Runs     int           // how many times it was run, see [Options.Repeat]
	Failures int           // in how many of them it did not hold
}

// Summary counts results.
type Summary struct {
	Run              int `json:"run"` // passed, failed, expected failures, unexpected passes
	Passed           int `json:"passed"`
	Failed           int `json:"failed"`
	Refused          int `json:"refused"`
	ExpectedFailures int `json:"expected_failures"`
	UnexpectedPasses int `json:"unexpected_passes"`
	Skipped          int `json:"skipped"`
}

// Add counts a result.
func (s *Summary) Add(r Result) {
	switch r.Status {
	case Passed:
		s.Passed++
	case Failed:
		s.Failed++
	case Refused:
		s.Refused++
		return
	case ExpectedFailure:
		s.ExpectedFailures++
	case UnexpectedPass:
		s.UnexpectedPasses++
	case Skipped:
		s.Skipped++
		return
	}
	s.Run++
}

// String lists the counts; nothing is left out silently.
func (s Summary) String() string {
	return fmt.Sprintf("%d run: %d passed, %d failed, %d expected failures, %d unexpected passes; %d refused, %d skipped",
		s.Run, s.Passed, s.Failed, s.ExpectedFailures, s.UnexpectedPasses, s.Refused, s.Skipped)
}

// errRefused marks that the device refused a node and Compile agreed.
var errRefused = errors.New("refused")

// IsRefusal reports whether an error of [Check] says that the device supports the case not, and is consistent in that.
func IsRefusal(err error) bool { return errors.Is(err, errRefused) }
