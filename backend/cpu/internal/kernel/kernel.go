// Package kernel has the micro-kernels of the CPU backend: one call computes a tile of a convolution, a few output
// pixels by a few vectors of filters, as an implicit matrix product. Activations are NHWC, so that a vector holds
// filters and a tap of the kernel is a run of channels; nothing is gathered into a matrix first.
//
// There is one set of micro-kernels for each instruction set, chosen at run time. The assembly is generated.
package kernel

// Lanes is how many filters a vector of packed weights holds, on every instruction set.
const Lanes = 16

// MaxRows is the highest number of pixels of a tile.
const MaxRows = 8

// Segment is a run of consecutive elements that every pixel of a tile multiplies with consecutive weights.
type Segment struct {
	Offset int // in elements, from the pixel's own place
	Len    int
}

// Flags say what a call does beside the sum of products.
type Flags uint64

// The flags of a [Tile].
const (
	Accumulate  Flags = 1 << iota // add the sum to what the output holds
	AddBias                       // then add Bias
	AddShortcut                   // then add the elements at Add
	ReLU                          // then take max(y, 0), with NaN kept
)

// Tile is the argument of a micro-kernel:
//
//	y[i][k] = act((y[i][k]) + Σ x[i][t]·w[t][k] + bias[k] + shortcut[i][k])
//
// for the rows (pixels) i of the variant and its vectors of filters. The assembly knows the offsets of the fields.
type Tile struct {
	Arena    []float32 // all activations: In, Out and Add are places in it
	Weights  []float32 // [terms][vectors·Lanes]
	Segments []Segment // their lengths add up to terms
	In       []int     // for each row, where its input begins
	Out      []int     // for each row, where its output begins
	Add      []int     // for each row, where its shortcut begins; read with AddShortcut only
	Bias     []float32 // [vectors·Lanes]; read with AddBias only
	Flags    Flags
	Last     int // filters of the last vector that are written, 1 to Lanes
	// Ahead is how many bytes behind Weights lies the line that the processor is asked to fetch with the first term, for a later call, and
	// Step how many bytes on lies that of every further one. They may be any numbers: what is not there is not fetched.
	Ahead, Step int
}

// Variant is a micro-kernel for a fixed number of rows.
type Variant struct {
	Rows int
	Run  func(*Tile)
}

// Set is the micro-kernels of one instruction set.
type Set struct {
	Name string
	// Widths are the numbers of vectors that a tile can have, descending; the last is 1.
	Widths []int
	// Variants are the kernels of a width, by ascending rows.
	Variants map[int][]Variant
	// Max sets each element of to to the larger of itself and from's, or to NaN if either is. The lengths are equal.
	Max func(to, from []float32)
	// MultiplyAdd computes y = x·a + b, element by element. The lengths are equal, and y may be one of the others.
	MultiplyAdd func(y, x, a, b []float32)
	// Moments adds Σd to first and Σd² to second, with d = x - origin, for channels of pixels that lie so many elements apart. There are as
	// many channels as first, second and origin have elements.
	Moments func(first, second, origin []float64, x []float32, pixels, stride int)
	// Input and Output are the transforms of F(4×4,3×3).
	Input, Output func(*Transform)
	// Peak is what the instruction set can do at best.
	Peak Peak
}

// Pick returns the variant for up to rows rows: the smallest that has as many, else the largest.
func Pick(variants []Variant, rows int) Variant {
	for _, v := range variants {
		if v.Rows >= rows {
			return v
		}
	}
	return variants[len(variants)-1]
}
