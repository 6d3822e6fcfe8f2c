// Package stopwatch measures times finely on every system. On Windows time.Now moves on in steps of half a millisecond, or of 16: a kernel takes no
// time there, and its speed would be infinite.
package stopwatch

import "time"

// Now is time.Now with a monotonic part in steps of a microsecond or less. What it returns may be compared with what time.Now does, to the
// steps of that.
func Now() time.Time { return now() }

// Since is the time from t, which [Now] gave, until now.
func Since(t time.Time) time.Duration { return now().Sub(t) }
