package conformance

import (
	"fmt"
	"hash/maphash"
	"unsafe"

	"github.com/resnet-run/resnet-run/graph"
)

// memo keeps what the reference made of the same numbers in an earlier run of the same case: that is most of the time of a
// case that is run again. A device that gives other bits gives the nodes after it other inputs, and those are computed anew.
// A nil memo keeps nothing.
type memo struct {
	seed  maphash.Seed
	known map[uint64]any
	elems int
}

// memoElems is how many float64s a memo keeps, 1 GiB: it is of one case.
const memoElems = 1 << 27

func newMemo() *memo {
	return &memo{seed: maphash.MakeSeed(), known: map[uint64]any{}}
}

// key of a question that depends on numbers, and on what else can be printed.
func (m *memo) key(numbers [][]float64, more ...any) uint64 {
	var h maphash.Hash
	if m == nil {
		return 0
	}
	h.SetSeed(m.seed)
	for _, x := range numbers {
		if len(x) > 0 {
			h.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 8*len(x))) //nolint:errcheck // it never fails
		}
		fmt.Fprint(&h, " ", len(x))
	}
	fmt.Fprintf(&h, "%+v", more)
	return h.Sum64()
}

// recall returns the answer to the question of that key, which compute finds where it is not known; size is its float64s.
func recall[T any](m *memo, key uint64, size func(T) int, compute func() (T, error)) (T, error) {
	if m == nil {
		return compute()
	}
	if known, ok := m.known[key].(T); ok {
		return known, nil
	}
	v, err := compute()
	if err != nil {
		return v, err
	}
	if n := size(v); m.elems+n <= memoElems {
		m.known[key] = v
		m.elems += n
	}
	return v, nil
}

// judged is what a node's result is held against.
type judged struct{ want, bound []float64 }

func (j judged) size() int { return len(j.want) + len(j.bound) }

// describe names a node by all that the reference looks at, but for the numbers.
func describe(n *graph.Node) string {
	text := n.String()
	for _, v := range n.Inputs {
		text += fmt.Sprint(" ", v.Kind, v.Type)
	}
	return text
}

// sizeOf counts the numbers of some values.
func sizeOf(values map[string][]float64) int {
	n := 0
	for _, v := range values {
		n += len(v)
	}
	return n
}
