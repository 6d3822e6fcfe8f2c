package reference

import "context"

// chunk is how many elements of an elementwise op make a row of work.
const chunk = 1 << 14

// relu is max(v, 0) with NaN kept.
func relu(v float64) float64 {
	if v < 0 {
		return 0
	}
	return v
}

// reluAll computes [graph.ReLU].
func reluAll(ctx context.Context, in []tensor, out result) error {
	return elementwise(ctx, out, func(j int) (value, bound float64) {
		x := in[0].data[j]
		return relu(x), flushed(x) // a comparison that flushes takes a negative subnormal number for 0 and keeps it
	})
}

// add computes [graph.Add].
func add(ctx context.Context, in []tensor, out result) error {
	return elementwise(ctx, out, func(j int) (value, bound float64) {
		a, b := in[0].data[j], in[1].data[j]
		return a + b, halfULP(a+b) + flushed(a) + flushed(b)
	})
}

// elementwise sets every element of out to what f says of its index.
func elementwise(ctx context.Context, out result, f func(j int) (value, bound float64)) error {
	n := len(out.data)
	return rows(ctx, (n+chunk-1)/chunk, func(i int) {
		for j := i * chunk; j < min((i+1)*chunk, n); j++ {
			v, b := f(j)
			out.data[j] = v
			if out.bound != nil {
				out.bound[j] = b
			}
		}
	})
}
