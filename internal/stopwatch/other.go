//go:build !windows

package stopwatch

import "time"

func now() time.Time { return time.Now() }
