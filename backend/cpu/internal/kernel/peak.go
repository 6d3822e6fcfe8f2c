package kernel

// Peak is a loop that does nothing but multiply and add in registers.
type Peak struct {
	// Lanes is how many sums it has.
	Lanes int
	// Run adds factors[0]·factors[1] n ≥ 1 times to each of Lanes zeros, in float32, and writes them to sums.
	Run func(factors *[2]float32, sums []float32, n int)
}

var portablePeak = Peak{Lanes: 8, Run: func(factors *[2]float32, sums []float32, n int) {
	a, b := factors[0], factors[1]
	var y0, y1, y2, y3, y4, y5, y6, y7 float32
	for range n {
		y0 += a * b
		y1 += a * b
		y2 += a * b
		y3 += a * b
		y4 += a * b
		y5 += a * b
		y6 += a * b
		y7 += a * b
	}
	copy(sums, []float32{y0, y1, y2, y3, y4, y5, y6, y7})
}}
