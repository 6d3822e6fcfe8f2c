package bench

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: got %g, want %g", what, got, want)
	}
}

// TestSummaryOfKnownSamples: the wanted numbers are those of numpy.quantile and scipy.stats.median_abs_deviation.
func TestSummaryOfKnownSamples(t *testing.T) {
	s := Summarize([]float64{9, 1, 4, 4, 100, 7, 3, 2, 8, 5})
	near(t, "median", s.Median, 4.5, 0)
	near(t, "p90", s.P90, 18.1, 1e-12)
	near(t, "p99", s.P99, 91.81, 1e-12)
	near(t, "mean", s.Mean, 14.3, 1e-12)
	near(t, "MAD", s.MAD, 2.5, 1e-12)
	if s.Min != 1 || s.Max != 100 {
		t.Errorf("got %+v", s)
	}
	if one := Summarize([]float64{3}); one.Median != 3 || one.P99 != 3 || one.MAD != 0 {
		t.Errorf("one sample: %+v", one)
	}
	if Summarize(nil) != (Summary{}) || Median(nil) != 0 {
		t.Error("no samples are not zero")
	}
	order := []float64{3, 1, 2}
	if Median(order) != 2 || order[0] != 3 {
		t.Error("the median sorted its argument")
	}
}

// TestRankTest: p of scipy.stats.mannwhitneyu(a, b, method="asymptotic").
func TestRankTest(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 0.012185780355344813},
		{[]float64{1, 2, 2, 3, 9, 4}, []float64{2, 5, 7, 8, 3, 3, 1}, 0.6643102104537919},
		{[]float64{1, 1, 1}, []float64{1, 1, 1}, 1},
	} {
		got := rankTest(c.a, c.b)
		near(t, "p", got, c.want, 1e-9)
		near(t, "p, the other way round", rankTest(c.b, c.a), got, 1e-12)
	}
}

// series makes n samples about a time, with a spread and a drift from the first to the last, both as shares, and every
// tenth one an outlier when asked for.
func series(seed uint64, n int, time, spread, drift float64, outliers bool) []float64 {
	r := rand.New(rand.NewPCG(seed, 7))
	s := make([]float64, n)
	for i := range s {
		s[i] = time * (1 + spread*r.NormFloat64() + drift*float64(i)/float64(n))
		if outliers && i%10 == 3 {
			s[i] *= 4
		}
	}
	return s
}

func TestCompare(t *testing.T) {
	const floor = 0.02
	for _, c := range []struct {
		name     string
		old, cur []float64
		want     Verdict
	}{
		{"the same series", series(1, 50, 1, 0.01, 0, false), series(1, 50, 1, 0.01, 0, false), Same},
		{"the same distribution", series(1, 50, 1, 0.01, 0, false), series(2, 50, 1, 0.01, 0, false), Same},
		{"a tenth slower", series(1, 50, 1, 0.01, 0, false), series(2, 50, 1.1, 0.01, 0, false), Slower},
		{"a tenth faster", series(1, 50, 1.1, 0.01, 0, false), series(2, 50, 1, 0.01, 0, false), Faster},
		{"slower by less than the floor", series(1, 500, 1, 0.001, 0, false), series(2, 500, 1.01, 0.001, 0, false), Same},
		{"slower within wide noise", series(1, 20, 1, 0.3, 0, false), series(2, 20, 1.1, 0.3, 0, false), Same},
		{"far slower than wide noise", series(1, 40, 1, 0.3, 0, false), series(2, 40, 3, 0.3, 0, false), Slower},
		{"slower within a drift", series(1, 100, 1, 0.002, 0.3, false), series(2, 100, 1.05, 0.002, 0.3, false), Same},
		{"outliers on one side alone", series(1, 50, 1, 0.01, 0, false), series(2, 50, 1, 0.01, 0, true), Same},
		{"a tenth slower under outliers", series(1, 50, 1, 0.01, 0, true), series(2, 50, 1.1, 0.01, 0, true), Slower},
		{"slower but as fast at its best", series(1, 60, 1, 0.01, 0, false), append(series(2, 15, 1, 0.01, 0, false), series(3, 45, 1.5, 0.01, 0, false)...), Same},
		{"few samples far apart", []float64{1, 1.01, 1.02, 1.01, 1}, []float64{2, 2.01, 2.02, 2.01, 2.03}, Same}, // p = 0.012
		{"some more samples far apart", []float64{1, 1.01, 1.02, 1.01, 1, 1}, []float64{2, 2.01, 2.02, 2.01, 2.03, 2}, Slower},
		{"too few samples", []float64{1, 1, 1, 1}, []float64{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, Same},
		{"none", nil, []float64{1, 1, 1, 1, 1, 1}, Same},
		{"equal to the last bit", []float64{1, 1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 1, 1}, Same},
		{"without spread", []float64{1, 1, 1, 1, 1, 1}, []float64{1.1, 1.1, 1.1, 1.1, 1.1, 1.1}, Slower},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Compare(c.old, c.cur, floor)
			if got.Verdict != c.want {
				t.Errorf("got %+v, want %v", got, c.want)
			}
			back := Compare(c.cur, c.old, floor)
			if want := map[Verdict]Verdict{Same: Same, Slower: Faster, Faster: Slower}[c.want]; back.Verdict != want {
				t.Errorf("the other way round: got %+v, want %v", back, want)
			}
		})
	}
}

// TestCompareRarelyCriesWolf compares many pairs of series of one distribution, of every shape.
func TestCompareRarelyCriesWolf(t *testing.T) {
	for _, shape := range []struct{ spread, drift float64 }{{0.001, 0}, {0.03, 0}, {0.2, 0}, {0.03, 0.1}} {
		wrong := 0
		for i := range uint64(1000) {
			if Compare(series(2*i, 30, 1, shape.spread, shape.drift, false), series(2*i+1, 30, 1, shape.spread, shape.drift, false), 0).Verdict != Same {
				wrong++
			}
		}
		if wrong > 10 {
			t.Errorf("spread %g, drift %g: %d of 1000 pairs differ, want at most 10", shape.spread, shape.drift, wrong)
		}
	}
}

func TestVerdictText(t *testing.T) {
	for _, v := range []Verdict{Same, Faster, Slower} {
		text, err := json.Marshal(v)
		var back Verdict
		if err != nil || json.Unmarshal(text, &back) != nil || back != v {
			t.Errorf("%v: %s, %v", v, text, err)
		}
	}
	var v Verdict
	if err := v.UnmarshalText([]byte("so-so")); err == nil {
		t.Error("an unknown verdict was read")
	}
}
