// Package tune keeps what was found out about kernels on one device: which gave right answers, which did not and were
// struck off, and how long they took. It knows no device: measuring and judging are its caller's work.
//
// # Glossary
//
//   - kernel: one way to compute a node, by the name that the planner gives it, with a hash of everything that is sent to
//     the driver for it. Another hash is another kernel.
//   - shape: a node's operation with its attributes and the types of its operands, the batch included, as text.
//   - proof: the outcome of holding a kernel against the reference, on small shapes (Shape is empty) or on a layer's own.
//   - race: the times of several kernels of one shape that were measured together, in turns. Times of different races
//     are not comparable.
//
// # File
//
// Outcomes of a device live in one file of readable text: a line with the version and a checksum, then JSON. See [File].
package tune

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
)

// Identity is what outcomes are valid for. Any difference makes them worthless.
type Identity struct {
	Device        string `json:"device_uuid"`
	DriverID      uint32 `json:"driver_id"`
	DriverVersion uint32 `json:"driver_version"`
	Driver        string `json:"driver_uuid"`
	Pipelines     string `json:"pipeline_cache_uuid"`
	Program       int    `json:"program"` // version of the rules by which the program proves and measures
}

// Key names what a proof is about.
type Key struct {
	Kernel string `json:"kernel"`
	Hash   string `json:"hash"`
	Shape  string `json:"shape,omitempty"` // empty: the small shapes
}

// Proof is what came out when a kernel was held against the reference.
type Proof struct {
	Key
	Struck bool    `json:"struck,omitempty"` // it must not run
	Reason string  `json:"reason,omitempty"` // why, when it is struck off
	Error  float64 `json:"error"`            // the largest error as a fraction of its bound; at most 1 when it is not struck off
	When   int64   `json:"when"`             // Unix time in seconds
}

// Timing is how long a kernel took in a race, in seconds.
type Timing struct {
	Kernel  string  `json:"kernel"`
	Hash    string  `json:"hash"`
	Median  float64 `json:"median_s"`
	Spread  float64 `json:"spread_s"` // half the distance between the quartiles
	Samples int     `json:"samples"`
}

// Race is a measurement of kernels in turns on one shape. The rule's own choice is the first.
type Race struct {
	Shape   string   `json:"shape"`
	Full    bool     `json:"full,omitempty"` // all kernels took part
	When    int64    `json:"when"`
	Timings []Timing `json:"timings"`
}

// Margin is how much of the rule's time another kernel must save to be chosen, besides being faster beyond the spread.
const Margin = 0.03

// Faster reports whether a is faster than b beyond the noise that both showed: by more than [Margin], and the quartiles do not
// overlap.
func Faster(a, b Timing) bool {
	return a.Median < b.Median*(1-Margin) && a.Median+a.Spread < b.Median-b.Spread
}

// Seconds is the time by which a kernel of the race should be judged, 0 when it did not take part: its median, but for
// one that is not clearly faster than the rule's choice never less than that one's. Whoever takes the least, and the
// first of equals, thus never leaves the rule's choice for noise.
func (r Race) Seconds(kernel, hash string) float64 {
	for _, t := range r.Timings {
		if t.Kernel != kernel || t.Hash != hash {
			continue
		}
		if rule := r.Timings[0]; t != rule && !Faster(t, rule) {
			return max(t.Median, rule.Median)
		}
		return t.Median
	}
	return 0
}

// Best is the position of the kernel to choose where nothing but its time counts.
func (r Race) Best() int {
	best := 0
	for i, t := range r.Timings {
		if Faster(t, r.Timings[0]) && t.Median < r.Timings[best].Median {
			best = i
		}
	}
	return best
}

// Outcomes are all proofs and races of a device. The zero value is empty and ready.
type Outcomes struct {
	proofs map[Key]Proof
	races  map[string]Race
}

// Limits of a set of outcomes: what is older than that goes.
const (
	MaxProofs = 16384
	MaxRaces  = 4096
	maxRunner = 64   // timings of a race
	maxText   = 2048 // bytes of a name, a shape or a reason
)

// Proof returns what is known about a key.
func (o *Outcomes) Proof(k Key) (Proof, bool) {
	p, ok := o.proofs[k]
	return p, ok
}

// Race returns the race of a shape.
func (o *Outcomes) Race(shape string) (Race, bool) {
	r, ok := o.races[shape]
	return r, ok
}

// Proofs lists all proofs in a fixed order.
func (o *Outcomes) Proofs() []Proof {
	return slices.SortedFunc(maps.Values(o.proofs), func(a, b Proof) int {
		return cmp.Or(cmp.Compare(a.Kernel, b.Kernel), cmp.Compare(a.Shape, b.Shape), cmp.Compare(a.Hash, b.Hash))
	})
}

// Races lists all races by shape.
func (o *Outcomes) Races() []Race {
	return slices.SortedFunc(maps.Values(o.races), func(a, b Race) int { return cmp.Compare(a.Shape, b.Shape) })
}

// AddProof takes a proof in. Of two on the same key the one that strikes off stays, then the later: a kernel that was wrong once is
// not trusted because it was right another time. One that the file could not hold is left out.
func (o *Outcomes) AddProof(p Proof) {
	p.Reason = clip(p.Reason)
	if !(p.Error <= math.MaxFloat64) { // nothing else can be written as JSON
		p.Error = math.MaxFloat64
	}
	if p.check() != nil {
		return
	}
	if old, ok := o.proofs[p.Key]; ok && compareProofs(old, p) >= 0 {
		return
	}
	if o.proofs == nil {
		o.proofs = map[Key]Proof{}
	}
	o.proofs[p.Key] = p
	bound(o.proofs, MaxProofs, func(p Proof) int64 {
		if p.Struck {
			return p.When + 1<<40 // to lose these would be the worst
		}
		return p.When
	})
}

// compareProofs orders proofs on one key by which should stay; it is 0 only for equal ones, so that the outcome of a merge
// does not depend on its order.
func compareProofs(a, b Proof) int {
	rank := func(p Proof) int {
		if p.Struck {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.When, b.When), cmp.Compare(a.Error, b.Error), cmp.Compare(a.Reason, b.Reason))
}

// AddRace takes a race in. Of two on the same shape the later stays, since the earlier may be of kernels that there are no more; whoever has a full
// race that holds makes no other. One that the file could not hold is left out.
func (o *Outcomes) AddRace(r Race) {
	if r.check() != nil {
		return
	}
	if old, ok := o.races[r.Shape]; ok && compareRaces(old, r) >= 0 {
		return
	}
	if o.races == nil {
		o.races = map[string]Race{}
	}
	o.races[r.Shape] = r
	bound(o.races, MaxRaces, func(r Race) int64 { return r.When })
}

func compareRaces(a, b Race) int {
	rank := func(r Race) int {
		if r.Full {
			return 1
		}
		return 0
	}
	c := cmp.Or(cmp.Compare(a.When, b.When), cmp.Compare(rank(a), rank(b)), cmp.Compare(len(a.Timings), len(b.Timings)))
	for i := 0; c == 0 && i < len(a.Timings); i++ {
		x, y := a.Timings[i], b.Timings[i]
		c = cmp.Or(cmp.Compare(x.Median, y.Median), cmp.Compare(x.Kernel, y.Kernel), cmp.Compare(x.Hash, y.Hash),
			cmp.Compare(x.Spread, y.Spread), cmp.Compare(x.Samples, y.Samples))
	}
	return c
}

// Merge takes in everything of another set. The result does not depend on who merges whom first, while neither limit is met.
func (o *Outcomes) Merge(other *Outcomes) {
	for _, p := range other.proofs {
		o.AddProof(p)
	}
	for _, r := range other.races {
		o.AddRace(r)
	}
}

// bound drops the least worthy entries of a map that has become too large, a tenth at once, so that this is rare.
func bound[K comparable, V any](m map[K]V, limit int, worth func(V) int64) {
	if len(m) <= limit {
		return
	}
	var all []int64
	for _, v := range m {
		all = append(all, worth(v))
	}
	slices.Sort(all)
	least, drop := all[limit/10], limit/10
	for k, v := range m {
		if w := worth(v); drop > 0 && w <= least {
			delete(m, k)
			drop--
		}
	}
}

// clip keeps a text within what the file takes.
func clip(s string) string {
	if s = strings.ToValidUTF8(s, "?"); len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText-3], "") + "..."
	}
	return s
}
