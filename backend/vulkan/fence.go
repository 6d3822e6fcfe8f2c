package vulkan

import (
	"bytes"
	"fmt"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
)

// fenceBytes is how much memory lies behind each tensor with [Options.Fences]: more than the rows that a tile may be too long.
const fenceBytes = 4096

// nan is in each half a NaN of float16, and as a whole one of float32.
var nan = []byte{0xc0, 0x7f, 0xc0, 0x7f}

// fence is how many bytes belong to no tensor behind each.
func (d *device) fence() uint64 {
	if !d.opts.Fences {
		return 0
	}
	return fenceBytes
}

// mostFlights is how many runs of an executable are on the device at once: whoever looks at fences must have the arena for itself.
func (d *device) mostFlights() int {
	if d.opts.Fences {
		return 1
	}
	return maxFlights
}

// raiseFences makes the arena NaN.
func (e *executable) raiseFences() error {
	if len(e.plan.Fences) == 0 {
		return nil
	}
	return e.dev.staging.write(e.arena, 0, bytes.Repeat(nan, int(e.plan.ArenaBytes)/len(nan)))
}

// checkFences looks whether a run wrote where no tensor is.
func (e *executable) checkFences() error {
	if len(e.plan.Fences) == 0 {
		return nil
	}
	got, want := make([]byte, fenceBytes), bytes.Repeat(nan, fenceBytes/len(nan))
	for _, f := range e.plan.Fences {
		if err := e.dev.staging.read(e.arena, f.Offset, got); err != nil {
			return e.dev.fail(err)
		}
		if bytes.Equal(got, want) {
			continue
		}
		first, changed := -1, 0
		for i := range got {
			if got[i] != want[i] {
				changed++
				if first < 0 {
					first = i
				}
			}
		}
		return fmt.Errorf("a kernel wrote outside of its tensor: %d of the %d bytes behind %s have changed, the first of them byte %d", changed, len(got), f.Behind, first)
	}
	return nil
}

// reach is how many bytes beyond a tensor a kernel can see, whose binding holds so many at most: the fence, unless the step binds a part of the tensor.
func (e *executable) reach(s *plan.Step, r plan.Ref, most uint64) uint64 {
	if r.Space != plan.ArenaSpace || len(e.plan.Fences) == 0 || s.Parts || r.Size+fenceBytes > most {
		return 0
	}
	return fenceBytes
}
