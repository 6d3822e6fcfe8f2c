package bench

import (
	"math"
	"slices"
)

// Summary describes samples, in the unit of the samples.
type Summary struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Mean   float64 `json:"mean"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// MAD is the median absolute deviation from the median. 1.4826 times it estimates the standard deviation of normally
	// distributed samples, and a single outlier does not move it.
	MAD float64 `json:"mad"`
}

// Summarize describes samples; of none it is the zero Summary.
func Summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	s := slices.Sorted(slices.Values(samples))
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return Summary{
		Median: quantile(s, 0.5), P90: quantile(s, 0.9), P99: quantile(s, 0.99),
		Mean: sum / float64(len(s)), Min: s[0], Max: s[len(s)-1], MAD: mad(s),
	}
}

// Median returns the median of samples, which stay as they are; 0 of none.
func Median(samples []float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	return quantile(slices.Sorted(slices.Values(samples)), 0.5)
}

// quantile is the q-quantile of sorted samples, between two of them in proportion: definition 7 of Hyndman and Fan, Sample
// Quantiles in Statistical Packages, 1996; what numpy does. Of n samples it reaches the largest at q = 1, so a p99 of fewer
// than a hundred is all but the largest.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(low)
	return sorted[low]*(1-part) + sorted[low+1]*part
}

func mad(sorted []float64) float64 {
	center := quantile(sorted, 0.5)
	away := make([]float64, len(sorted))
	for i, v := range sorted {
		away[i] = math.Abs(v - center)
	}
	slices.Sort(away)
	return quantile(away, 0.5)
}
