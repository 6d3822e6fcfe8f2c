package kernel

import "testing"

func TestThePeakLoopAddsAsOftenAsItSays(t *testing.T) {
	for _, name := range Names() {
		set, err := Choose(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 2, 1000} {
			const guard = -5
			sums := make([]float32, set.Peak.Lanes+1)
			sums[set.Peak.Lanes] = guard
			set.Peak.Run(&[2]float32{0.5, 3}, sums, n)
			for i, v := range sums[:set.Peak.Lanes] {
				if v != 1.5*float32(n) {
					t.Fatalf("%s: sum %d of %d times 1.5: got %g", name, i, n, v)
				}
			}
			if sums[set.Peak.Lanes] != guard {
				t.Errorf("%s writes more than %d sums", name, set.Peak.Lanes)
			}
		}
	}
}
