package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEveryVariant runs each micro-kernel of each set with every combination of flags and every number of filters in
// its last vector, against sums in float64. What lies beside the output must not change.
func TestEveryVariant(t *testing.T) {
	for _, name := range Names() {
		set, err := Choose(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, width := range set.Widths {
			for _, v := range set.Variants[width] {
				t.Run(fmt.Sprintf("%s/%dx%d", name, v.Rows, width*Lanes), func(t *testing.T) {
					for last := 1; last <= Lanes; last++ {
						for flags := range Flags(16) {
							if testing.Short() && (last+int(flags))%5 != 0 {
								continue
							}
							checkVariant(t, v, width, last, flags)
						}
					}
				})
			}
		}
	}
}

const guard = 12345 // where nothing may be written

func checkVariant(t *testing.T, v Variant, width, last int, flags Flags) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(last), uint64(flags)))
	segments := []Segment{{0, 3}, {7, 1 + last}, {40, 5}}
	terms := 3 + 1 + last + 5
	const rowElems = 200
	filters := (width-1)*Lanes + last
	tile := Tile{Arena: make([]float32, 3*rowElems*MaxRows), Weights: random(rng, terms*width*Lanes), Segments: segments, Flags: flags, Last: last}
	tile.Step = []int{64, 0, 7, -1, math.MaxInt64}[(last+int(flags))%5]
	tile.Ahead = []int{0, 64, -1 << 40, 1 << 62, math.MinInt64}[(last+int(flags))%5] // any address will do
	if flags&AddBias != 0 {
		tile.Bias = random(rng, width*Lanes)
	}
	for i := range v.Rows {
		in, out, add := i*rowElems, (MaxRows+i)*rowElems+1, (2*MaxRows+i)*rowElems+2
		tile.In, tile.Out, tile.Add = append(tile.In, in), append(tile.Out, out), append(tile.Add, add)
		copy(tile.Arena[in:], random(rng, 50))
		copy(tile.Arena[add:], random(rng, filters))
		for j := range rowElems - 1 {
			tile.Arena[out-1+j] = guard
		}
		copy(tile.Arena[out:], random(rng, filters))
	}
	before := slices.Clone(tile.Arena)
	v.Run(&tile)
	for i := range v.Rows {
		for k := range filters {
			at := tile.Out[i] + k
			want, size := expected(&tile, before, i, k, width)
			if got := float64(tile.Arena[at]); !(math.Abs(got-want) <= size*float64(terms+4)*0x1p-24) {
				t.Fatalf("last %d, flags %04b: row %d filter %d: got %g, want %g", last, flags, i, k, got, want)
			}
			tile.Arena[at] = before[at]
		}
	}
	if !slices.Equal(tile.Arena, before) {
		t.Fatalf("last %d, flags %04b: something beside the output was written", last, flags)
	}
}

// expected computes an output and the sum of the absolute values behind it.
func expected(t *Tile, arena []float32, i, k, width int) (value, size float64) {
	add := func(v float64) { value, size = value+v, size+math.Abs(v) }
	term := 0
	for _, s := range t.Segments {
		for j := range s.Len {
			add(float64(arena[t.In[i]+s.Offset+j]) * float64(t.Weights[term*width*Lanes+k]))
			term++
		}
	}
	if t.Flags&Accumulate != 0 {
		add(float64(arena[t.Out[i]+k]))
	}
	if t.Flags&AddBias != 0 {
		add(float64(t.Bias[k]))
	}
	if t.Flags&AddShortcut != 0 {
		add(float64(arena[t.Add[i]+k]))
	}
	if t.Flags&ReLU != 0 {
		value = max(value, 0)
	}
	return value, size
}

// TestMax: NaN wins on either side, and nothing behind the end is touched.
func TestMax(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	special := []float32{nan, inf, -inf, 0, 1, -1}
	for _, name := range Names() {
		set, err := Choose(name)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 40 {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			to, from := random(rng, n+3), random(rng, n+3)
			for i := range n {
				if i%3 == 0 {
					to[i], from[i] = special[rng.IntN(len(special))], special[rng.IntN(len(special))]
				}
			}
			before := slices.Clone(to)
			set.Max(to[:n], from[:n])
			for i, got := range to {
				want := before[i]
				if i < n {
					want = max(before[i], from[i])
				}
				if got != want && !(got != got && want != want) {
					t.Errorf("%s: element %d of %d: max(%g, %g): got %g, want %g", name, i, n, before[i], from[i], got, want)
				}
			}
		}
	}
}

func random(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
	return v
}

func TestChoose(t *testing.T) {
	names := Names()
	if names[len(names)-1] != "portable" {
		t.Errorf("the sets are %v, want portable as the last", names)
	}
	for _, name := range names {
		if s, err := Choose(name); err != nil || s.Name != name {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
	}
	if s, err := Choose(""); err != nil || s.Name != names[0] {
		t.Errorf("default: got %v, %v, want %s", s, err, names[0])
	}
	if _, err := Choose("mmx"); err == nil {
		t.Error("an unknown set was accepted")
	}
}

func TestPickWastesLittle(t *testing.T) {
	variants := []Variant{{Rows: 1}, {Rows: 2}, {Rows: 4}, {Rows: 6}}
	for rows, want := range map[int]int{1: 1, 2: 2, 3: 4, 4: 4, 5: 6, 6: 6, 7: 6, 100: 6} {
		if got := Pick(variants, rows).Rows; got != want {
			t.Errorf("%d rows: got the variant of %d, want %d", rows, got, want)
		}
	}
}
