package schedule

import (
	"math"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Rates is what the cost model believes of a device. Orders of magnitude are enough: they decide whether a few nodes
// are worth two transfers, not who is the fastest.
type Rates struct {
	FLOPS         float64 `json:"flops"`          // arithmetic, operations a second
	MemoryBytes   float64 `json:"memory_bytes"`   // to and from its own memory, bytes a second
	LinkBytes     float64 `json:"link_bytes"`     // between its memory and the host's, bytes a second
	PartNanos     int64   `json:"part_nanos"`     // fixed cost of running a part
	TransferNanos int64   `json:"transfer_nanos"` // fixed cost of moving a tensor
}

// DefaultRates guesses from the kind of device, which is all that can be known without measuring: a middling card of
// recent years, PCIe 3.0, two memory channels, four cores with vectors.
func DefaultRates(d backend.DeviceInfo) Rates {
	switch d.Type {
	case backend.DiscreteGPU:
		return Rates{FLOPS: 5e12, MemoryBytes: 3e11, LinkBytes: 1e10, PartNanos: 50_000, TransferNanos: 20_000}
	case backend.IntegratedGPU:
		return Rates{FLOPS: 5e11, MemoryBytes: 4e10, LinkBytes: 1e10, PartNanos: 50_000, TransferNanos: 10_000}
	case backend.CPU:
		return Rates{FLOPS: 1e11, MemoryBytes: 2e10, LinkBytes: 1e10, PartNanos: 20_000, TransferNanos: 5_000}
	}
	return Rates{FLOPS: 1e12, MemoryBytes: 1e11, LinkBytes: 5e9, PartNanos: 100_000, TransferNanos: 50_000}
}

// inOrder raises the speed of each member to that of those after it: whoever put it first wants it used, and a guess about its
// kind is no reason not to.
func inOrder(rates []Rates) {
	for i := len(rates) - 2; i >= 0; i-- {
		rates[i].FLOPS = max(rates[i].FLOPS, rates[i+1].FLOPS)
		rates[i].MemoryBytes = max(rates[i].MemoryBytes, rates[i+1].MemoryBytes)
	}
}

// longest bounds one estimate, so that no sum overflows: a day.
const longest = 86_400 * 1e9

// nanos is amount/rate in whole nanoseconds. Rates that make no sense give the longest time.
func nanos(amount int64, rate float64) int64 {
	t := math.Ceil(float64(amount) / rate * 1e9)
	if !(t >= 0 && t <= longest) {
		return longest
	}
	return int64(t)
}

// node estimates the time of a node: arithmetic or memory, whichever is slower.
func (r Rates) node(c graph.Cost) int64 {
	bytes := c.ReadBytes + c.WriteBytes
	if bytes < 0 {
		bytes = math.MaxInt64
	}
	return max(nanos(c.FLOPs, r.FLOPS), nanos(bytes, r.MemoryBytes))
}

// move estimates the time of a tensor's way to or from the host.
func (r Rates) move(bytes int64) int64 { return r.TransferNanos + nanos(bytes, r.LinkBytes) }
