package plan

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// Format is how the elements of a tensor lie in memory. The zero value is invalid.
type Format uint8

// The formats.
const (
	InvalidFormat Format = iota
	// Dense is row-major float32 without padding, as in the caller's buffers.
	Dense
	// Packed4 is [N, ceil(C/4), H, W, 4] for a tensor [N,C,H,W] of float32: four channels of a pixel lie together, and
	// channels that do not exist are zero.
	Packed4
	// Packed4Half is Packed4 of float16.
	Packed4Half
)

// formats are all of them.
var formats = [...]Format{Dense, Packed4, Packed4Half}

// String returns "dense", "packed4" or "packed4half".
func (f Format) String() string {
	switch f {
	case Dense:
		return "dense"
	case Packed4:
		return "packed4"
	case Packed4Half:
		return "packed4half"
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// holds reports whether tensors of type t can have the format.
func (f Format) holds(t graph.TensorType) bool {
	return f == Dense || (f == Packed4 || f == Packed4Half) && t.Shape.Rank() == 4
}

// elems is the number of elements that a tensor of type t has in the format, those of padding included.
func (f Format) elems(t graph.TensorType) int {
	if f != Dense {
		n, c, h, w := t.Shape.NCHW()
		return n * vectors(c) * h * w * 4
	}
	return t.Shape.Elems()
}

// sizeBytes is the memory that a tensor of type t takes in the format.
func (f Format) sizeBytes(t graph.TensorType) uint64 {
	if f == Packed4Half {
		return 2 * uint64(f.elems(t))
	}
	return uint64(f.elems(t)) * uint64(t.DType.SizeBytes())
}

// vectors is how many vectors of four hold c channels.
func vectors(c int) int { return ceilDiv(c, 4) }

// suffix ends the names of kernels that exist in every format.
func (f Format) suffix() string {
	switch f {
	case Packed4:
		return "_packed_f32"
	case Packed4Half:
		return "_f16"
	}
	return "_f32"
}

// lanes is how many channels an element of memory holds: one, or the four of a vector.
func (f Format) lanes() int {
	if f == Dense {
		return 1
	}
	return 4
}

// units is how many elements of memory c channels of a pixel are: numbers or vectors.
func (f Format) units(c int) int {
	if f == Dense {
		return c
	}
	return vectors(c)
}
