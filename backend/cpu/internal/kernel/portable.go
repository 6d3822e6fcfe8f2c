package kernel

// Portable is the set that every machine runs.
var Portable = Set{
	Name:        "portable",
	Widths:      []int{1},
	Variants:    map[int][]Variant{1: {{2, func(t *Tile) { portable(t, 2) }}, {8, func(t *Tile) { portable(t, 8) }}}},
	Max:         portableMax,
	MultiplyAdd: portableMultiplyAdd,
	Moments:     portableMoments,
	Input:       portableInput,
	Output:      portableOutput,
	Peak:        portablePeak,
}

func portableMax(to, from []float32) {
	to = to[:len(from)]
	for i, v := range from {
		to[i] = max(to[i], v)
	}
}

// portable computes a tile in pieces of 2 rows by 4 filters, whose sums fit the registers of any machine.
func portable(t *Tile, rows int) {
	for k := 0; k < t.Last; k += 4 {
		for i := 0; i < rows; i += 2 {
			y0, y1 := sums(t, t.In[i], t.In[i+1], k)
			finish(t, i, k, &y0)
			finish(t, i+1, k, &y1)
		}
	}
}

// sums returns the sums of products of the pixels at a and b for the filters from k to k+3.
func sums(t *Tile, a, b, k int) (y0, y1 [4]float32) {
	var a0, a1, a2, a3, b0, b1, b2, b3 float32
	w := t.Weights[k:]
	for _, s := range t.Segments {
		xs := t.Arena[a+s.Offset:][:s.Len]
		zs := t.Arena[b+s.Offset:][:s.Len]
		for j, x := range xs {
			z := zs[j]
			v := (*[4]float32)(w)
			a0 += x * v[0]
			a1 += x * v[1]
			a2 += x * v[2]
			a3 += x * v[3]
			b0 += z * v[0]
			b1 += z * v[1]
			b2 += z * v[2]
			b3 += z * v[3]
			w = w[min(Lanes, len(w)):]
		}
	}
	return [4]float32{a0, a1, a2, a3}, [4]float32{b0, b1, b2, b3}
}

// finish applies the epilogue to 4 filters of row i and writes those that are wanted.
func finish(t *Tile, i, k int, y *[4]float32) {
	for j := range min(4, t.Last-k) {
		at := t.Out[i] + k + j
		v := y[j]
		if t.Flags&Accumulate != 0 {
			v += t.Arena[at]
		}
		if t.Flags&AddBias != 0 {
			v += t.Bias[k+j]
		}
		if t.Flags&AddShortcut != 0 {
			v += t.Arena[t.Add[i]+k+j]
		}
		if t.Flags&ReLU != 0 && v < 0 {
			v = 0
		}
		t.Arena[at] = v
	}
}
