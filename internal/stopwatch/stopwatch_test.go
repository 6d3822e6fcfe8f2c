package stopwatch

import (
	"testing"
	"time"
)

// TestStepsAreFine: of many moments one after the other most are told apart, none goes back, and they stay with time.Now.
func TestStepsAreFine(t *testing.T) {
	const n = 10000
	start, last, different := Now(), Now(), 0
	for range n {
		for range 1000 { // some hundred nanoseconds at least
			sink++
		}
		at := Now()
		if at.Before(last) {
			t.Fatalf("%v after %v", at, last)
		}
		if at.After(last) {
			different++
		}
		last = at
	}
	if different < n/2 {
		t.Errorf("of %d moments %d differ from the one before: the steps are too large", n, different)
	}
	time.Sleep(50 * time.Millisecond)
	mine, other := Since(start), time.Since(start)
	if d := mine - other; d < -30*time.Millisecond || d > 30*time.Millisecond || mine < 50*time.Millisecond {
		t.Errorf("%v have passed here, %v by time.Now", mine, other)
	}
}

var sink int
