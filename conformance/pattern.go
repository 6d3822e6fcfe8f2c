package conformance

import (
	"fmt"
	"math"
	"strings"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// poisonBits is a quiet NaN with a payload that no arithmetic makes; outputs are filled with it before a run.
const poisonBits = 0xfff1a5e5

// failure is a tensor in which elements are out of bounds.
type failure struct {
	shape       graph.Shape
	got         []float32
	want, bound []float64
	failed      []int
}

// pattern names what the failed elements have in common: what they hold, and where they lie.
func pattern(shape graph.Shape, got []float32, want, bound []float64) string {
	f := &failure{shape: shape, got: got, want: want, bound: bound}
	if len(got) != len(want) || len(want) != len(bound) || shape.Elems() != len(got) {
		return "another number of elements"
	}
	for i := range got {
		if !within(got[i], want[i], bound[i]) {
			f.failed = append(f.failed, i)
		}
	}
	what := f.what()
	if len(f.failed) == 1 {
		return strings.TrimPrefix(what+", one element", ", ")
	}
	where := f.where()
	switch {
	case what == "":
		return where
	case len(f.failed) == len(got):
		return "all " + what
	}
	return what + ", " + where
}

func within(got float32, want, bound float64) bool {
	return reference.Compare([]float32{got}, []float64{want}, []float64{bound}).Failed == 0
}

// all reports whether every failed element is so.
func (f *failure) all(is func(i int) bool) bool {
	for _, i := range f.failed {
		if !is(i) {
			return false
		}
	}
	return true
}

// what tells what the failed elements hold instead, "" for anything.
func (f *failure) what() string {
	switch {
	case f.all(func(i int) bool { return math.Float32bits(f.got[i]) == poisonBits }):
		return "not written"
	case f.all(func(i int) bool { return f.got[i] != f.got[i] }):
		return "NaN"
	case f.all(func(i int) bool { return math.IsInf(float64(f.got[i]), 0) }):
		return "infinity"
	case f.all(func(i int) bool { return f.got[i] == 0 }):
		return "zero"
	}
	if len(f.failed) < 3 {
		return ""
	}
	if d, ok := f.constant(func(got, want float64) float64 { return got - want }); ok {
		return fmt.Sprintf("constant offset %.4g", d)
	}
	if r, ok := f.constant(func(got, want float64) float64 { return got / want }); ok && math.Abs(r-1) > 0.02 {
		return fmt.Sprintf("constant factor %.4g", r)
	}
	return f.moved()
}

// constant reports whether how is nearly the same for every failed element.
func (f *failure) constant(how func(got, want float64) float64) (float64, bool) {
	first := how(float64(f.got[f.failed[0]]), f.want[f.failed[0]])
	if math.IsNaN(first) || math.IsInf(first, 0) {
		return 0, false
	}
	return first, f.all(func(i int) bool {
		return math.Abs(how(float64(f.got[i]), f.want[i])-first) <= 0.01*math.Abs(first)
	})
}

// moved tells whether the values are right but in other places, which nine of ten of the failed elements show.
func (f *failure) moved() string {
	if f.shape.Rank() != 4 {
		return ""
	}
	n, c, h, w := f.shape.NCHW()
	from := func(in, ic, ih, iw int) int {
		if in < 0 || ic < 0 || ih < 0 || iw < 0 || in >= n || ic >= c || ih >= h || iw >= w {
			return -1
		}
		return ((in*c+ic)*h+ih)*w + iw
	}
	for _, m := range []struct {
		name string
		from func(p []int) int
	}{
		{"rows and columns swapped", func(p []int) int {
			i := p[2]*w + p[3]
			return from(p[0], p[1], i%h, i/h)
		}},
		{"batch and channels swapped", func(p []int) int {
			i := p[0]*c + p[1]
			return from(i%n, i/n, p[2], p[3])
		}},
		{"rows shifted by one", func(p []int) int { return from(p[0], p[1], p[2]+1, p[3]) }},
		{"rows shifted by minus one", func(p []int) int { return from(p[0], p[1], p[2]-1, p[3]) }},
		{"columns shifted by one", func(p []int) int { return from(p[0], p[1], p[2], p[3]+1) }},
		{"columns shifted by minus one", func(p []int) int { return from(p[0], p[1], p[2], p[3]-1) }},
		{"channels shifted by one", func(p []int) int { return from(p[0], p[1]+1, p[2], p[3]) }},
		{"channels shifted by minus one", func(p []int) int { return from(p[0], p[1]-1, p[2], p[3]) }},
	} {
		hits, tried := 0, 0
		for _, i := range f.failed {
			j := m.from(place(f.shape, i))
			if j < 0 {
				continue
			}
			tried++
			if within(f.got[i], f.want[j], f.bound[j]) {
				hits++
			}
		}
		if 2*tried > len(f.failed) && 10*hits >= 9*tried {
			return m.name
		}
	}
	return ""
}

// where tells where the failed elements lie.
func (f *failure) where() string {
	if len(f.failed) == len(f.got) {
		return "all elements"
	}
	r := f.shape.Rank()
	seen := make([][]bool, r) // by dimension and index: whether an element there failed
	for d := range r {
		seen[d] = make([]bool, f.shape.Dim(d))
	}
	for _, i := range f.failed {
		for d, at := range place(f.shape, i) {
			seen[d][at] = true
		}
	}
	dims := []string{"batch", "channels", "rows", "columns"}
	name := func(d int) string {
		if r == 4 || r == 2 && d < 2 {
			return dims[d]
		}
		return fmt.Sprintf("dimension %d", d)
	}
	box, tiled := 1, true
	var text []string
	for d := range r {
		size := len(seen[d])
		from, to, count := span(seen[d])
		box *= to - from
		text = append(text, fmt.Sprintf("%d:%d", from, to))
		tiled = tiled && (from%4 == 0 || to-from == 1) && ((to-from)%4 == 0 || to == size || to-from == 1)
		others := len(f.got) / size
		if from > 0 && to == size && count == size-from && 2*len(f.failed) >= count*others {
			return fmt.Sprintf("tail of %s from %d of %d", name(d), from, size)
		}
		if step := period(seen[d], from, count); step > 1 && count > 1 && 2*len(f.failed) >= count*others {
			return fmt.Sprintf("every %d. of %s from %d", step, name(d), from)
		}
	}
	where := "scattered"
	if 2*len(f.failed) >= box {
		where = "a block"
		if tiled {
			where = "tile-shaped"
		}
	}
	return fmt.Sprintf("%s in [%s]", where, strings.Join(text, ","))
}

// span returns the indices from the first that is set up to, not including, the one after the last, and how many are set.
func span(set []bool) (from, to, count int) {
	from = len(set)
	for i, on := range set {
		if on {
			from, to = min(from, i), i+1
			count++
		}
	}
	return from, to, count
}

// period is the distance of the indices that are set when it is the same for all up to the end, else 0.
func period(set []bool, from, count int) int {
	next := -1
	for i := from + 1; i < len(set); i++ {
		if set[i] {
			next = i
			break
		}
	}
	if next < 0 {
		return 0
	}
	step := next - from
	for i := from; i < len(set); i++ {
		if set[i] != ((i-from)%step == 0) {
			return 0
		}
	}
	return step
}
