package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Verdict says what became of a time. The zero value is invalid.
type Verdict uint8

// The verdicts.
const (
	InvalidVerdict Verdict = iota
	Same                   // no difference beyond the noise
	Faster
	Slower
)

var verdicts = map[Verdict]string{Same: "same", Faster: "faster", Slower: "slower"}

// String returns "same", "faster" or "slower".
func (v Verdict) String() string {
	if s, ok := verdicts[v]; ok {
		return s
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// MarshalText writes the String form.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the String form.
func (v *Verdict) UnmarshalText(text []byte) error {
	for k, s := range verdicts {
		if s == string(text) {
			*v = k
			return nil
		}
	}
	return fmt.Errorf("verdict: want same, faster or slower, got %.40q", text)
}

// Change is the comparison of two series of samples.
type Change struct {
	// Ratio is the new median over the old one: above 1 is slower.
	Ratio float64 `json:"ratio"`
	// BestRatio is the same of the tenth percentiles.
	BestRatio float64 `json:"best_ratio"`
	// Noise is by how much of itself the ratio would move by chance (three standard deviations), as far as the series tell.
	Noise float64 `json:"noise"`
	// P is the probability that two series of one and the same distribution differ as much in rank.
	P       float64 `json:"p"`
	Verdict Verdict `json:"verdict"`
}

const (
	// FewestSamples is how many samples of each series a verdict needs: with fewer not even a complete separation gives a
	// small enough p (0.0122 of five against five, in the approximation).
	FewestSamples = 6
	// significance is the p below which ranks differ. It is small because a table of many cases is looked at at once.
	significance = 0.01
	// noiseBlocks is into how many pieces, in order, a series is cut to see how it drifts.
	noiseBlocks = 10
)

// Compare says whether the samples cur are slower or faster than the samples old, given in the order they were taken. Four
// things must come together for a difference:
//
//   - the medians differ by more than floor, a share: below that nobody cares;
//   - they differ by more than Noise. A series is cut into 10 pieces in order, and the spread of the pieces' medians (1.4826
//     times their median absolute deviation, over the root of their number, times 1.2533, the price of a median) is the
//     standard deviation of its median. So a series that drifts, because a clock throttles or a neighbour works, counts as noisy,
//     however little its neighbouring samples differ. The two series' parts add up as squares; Noise is three times the root;
//   - the tenth percentiles differ the same way by more than floor: neighbours on the machine only ever add time, and rarely to
//     every run, while a program that became slower is slower at its best too;
//   - a rank test (Mann and Whitney 1947, two-sided, normal approximation with ties and continuity corrected) gives p < 0.01:
//     a few outliers alone, on whichever side, make no difference.
//
// What it cannot see is that the whole machine was slower at the one time than at the other: compare runs of an idle machine.
func Compare(old, cur []float64, floor float64) Change {
	before, after := Median(old), Median(cur)
	c := Change{Ratio: 1, BestRatio: 1, P: 1, Verdict: Same}
	if len(old) == 0 || len(cur) == 0 || before <= 0 || after <= 0 {
		return c
	}
	c.Ratio = after / before
	if low := best(old); low > 0 { // a coarse clock gives 0
		c.BestRatio = best(cur) / low
	}
	c.Noise = 3 * math.Hypot(medianDeviation(old)/before, medianDeviation(cur)/after)
	c.P = rankTest(old, cur)
	if len(old) < FewestSamples || len(cur) < FewestSamples || !(c.P < significance) {
		return c
	}
	beyond := max(math.Log1p(floor), c.Noise)
	switch {
	case math.Log(c.Ratio) > beyond && c.BestRatio > 1+floor:
		c.Verdict = Slower
	case -math.Log(c.Ratio) > beyond && c.BestRatio < 1/(1+floor):
		c.Verdict = Faster
	}
	return c
}

// best is the tenth percentile.
func best(samples []float64) float64 {
	return quantile(slices.Sorted(slices.Values(samples)), 0.1)
}

// medianDeviation estimates the standard deviation of the median of a series.
func medianDeviation(series []float64) float64 {
	n := min(noiseBlocks, len(series))
	blocks := make([]float64, n)
	for i := range blocks {
		blocks[i] = Median(series[i*len(series)/n : (i+1)*len(series)/n])
	}
	slices.Sort(blocks)
	return 1.4826 * 1.2533 * mad(blocks) / math.Sqrt(float64(n))
}

// rankTest is the two-sided p of the Mann-Whitney test.
func rankTest(a, b []float64) float64 {
	type ranked struct {
		v     float64
		first bool
	}
	all := make([]ranked, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, ranked{v, true})
	}
	for _, v := range b {
		all = append(all, ranked{v, false})
	}
	slices.SortFunc(all, func(x, y ranked) int { return cmp.Compare(x.v, y.v) })
	n, m := float64(len(a)), float64(len(b))
	var ranks, ties float64 // the sum of the ranks of a; Σ t³ - t over groups of t equal values
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		t := float64(j - i)
		for ; i < j; i++ {
			if all[i].first {
				ranks += float64(j) - (t-1)/2 // the mean of the ranks j-t+1 … j
			}
		}
		ties += t*t*t - t
	}
	u := ranks - n*(n+1)/2
	variance := n * m / 12 * ((n + m + 1) - ties/((n+m)*(n+m-1)))
	if !(variance > 0) {
		return 1 // all are equal
	}
	z := (math.Abs(u-n*m/2) - 0.5) / math.Sqrt(variance)
	return math.Erfc(max(z, 0) / math.Sqrt2)
}
