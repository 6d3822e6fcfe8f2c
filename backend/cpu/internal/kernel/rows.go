package kernel

func portableMultiplyAdd(y, x, a, b []float32) {
	y, a, b = y[:len(x)], a[:len(x)], b[:len(x)]
	for i, v := range x {
		y[i] = v*a[i] + b[i]
	}
}

// portableMoments takes four pixels at a time, so that it reads and writes the sums less often.
func portableMoments(first, second, origin []float64, x []float32, pixels, stride int) {
	n := len(origin)
	first, second = first[:n], second[:n]
	for ; pixels >= 4; pixels -= 4 {
		x0, x1, x2, x3 := x[:n], x[stride:][:n], x[2*stride:][:n], x[3*stride:][:n]
		for i, o := range origin {
			a, b, c, d := float64(x0[i])-o, float64(x1[i])-o, float64(x2[i])-o, float64(x3[i])-o
			first[i] += (a + b) + (c + d)
			second[i] += (a*a + b*b) + (c*c + d*d)
		}
		x = x[min(4*stride, len(x)):]
	}
	for p := range pixels {
		row := x[p*stride:][:n]
		for i, o := range origin {
			d := float64(row[i]) - o
			first[i] += d
			second[i] += d * d
		}
	}
}

// momentChannels is how many channels a Moments call has, 0 when there is nothing to sum. It panics where the assembly would read or
// write beyond a slice.
func momentChannels(first, second, origin []float64, x []float32, pixels, stride int) int {
	n := len(origin)
	if n == 0 || pixels < 1 {
		return 0
	}
	_, _, _ = first[n-1], second[n-1], x[(pixels-1)*stride+n-1]
	return n
}
