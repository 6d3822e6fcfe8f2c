package weights

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// ErrClosed is returned by methods of a [File] that was closed.
var ErrClosed = errors.New("weights file is closed")

// FormatError says what is wrong with the content of a weights file, and where. It is found in a chain of errors
// with errors.As.
type FormatError struct {
	File    string // name or path of the file
	Tensor  string // name of the tensor, empty when the problem is not about one
	Start   int64  // first byte of the range in the file that is at fault
	End     int64  // byte after the range; no range is known when End <= Start
	Problem string // what was wanted and what was found
	Err     error  // the cause, or nil
}

// Error returns `read weights "a.pth": tensor "fc.bias": bytes 10..20: want ..., got ...`. The range includes its
// first byte and excludes its last, as in Go slices.
func (e *FormatError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "read weights %q: ", e.File)
	if e.Tensor != "" {
		fmt.Fprintf(&b, "tensor %s: ", quote(e.Tensor))
	}
	if e.End > e.Start {
		fmt.Fprintf(&b, "bytes %d..%d: ", e.Start, e.End)
	}
	b.WriteString(e.Problem)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// nowhere is where compressed data starts: adding to it gives positions below zero, which errors leave out.
const nowhere = math.MinInt64 / 2

// bad makes a FormatError about the bytes start..end; the file's name is filled in by [File.fail].
func bad(start, end int64, format string, args ...any) *FormatError {
	return &FormatError{Start: start, End: end, Problem: fmt.Sprintf(format, args...)}
}

// badTensor makes a FormatError about a tensor.
func badTensor(name string, start, end int64, format string, args ...any) *FormatError {
	e := bad(start, end, format, args...)
	e.Tensor = name
	return e
}

// quote quotes text that a stranger wrote, cut to a length that people can read.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q... (%d bytes)", s[:maxQuoted], len(s))
	}
	return fmt.Sprintf("%q", s)
}

const maxQuoted = 120
