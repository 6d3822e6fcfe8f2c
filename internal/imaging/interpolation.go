package imaging

import (
	"fmt"
	"math"
	"strings"
)

// Interpolation is a resampling filter, antialiased as Pillow's are: when shrinking, the filter is stretched to cover all source pixels.
type Interpolation int

// The filters. The zero value is invalid, so that a forgotten choice is noticed.
const (
	Nearest  Interpolation = iota + 1 // the pixel at the centre; never antialiased
	Box                               // average of the covered pixels
	Bilinear                          // triangle
	Bicubic                           // Keys' cubic convolution with a = -0.5
	Lanczos                           // sinc windowed by a sinc, 3 lobes
)

var interpolationNames = [...]string{Nearest: "nearest", Box: "box", Bilinear: "bilinear", Bicubic: "bicubic", Lanczos: "lanczos"}

// String returns the name that ParseInterpolation reads.
func (in Interpolation) String() string {
	if in.isValid() {
		return interpolationNames[in]
	}
	return fmt.Sprintf("Interpolation(%d)", int(in))
}

func (in Interpolation) isValid() bool { return in >= Nearest && in <= Lanczos }

// ParseInterpolation reads a filter's name, in any case.
func ParseInterpolation(name string) (Interpolation, error) {
	for in := Nearest; in <= Lanczos; in++ {
		if strings.EqualFold(name, interpolationNames[in]) {
			return in, nil
		}
	}
	return 0, fmt.Errorf("parse interpolation %q: want one of %s", name, strings.Join(interpolationNames[Nearest:], ", "))
}

// support is the filter's radius in output pixels when it is not stretched.
func (in Interpolation) support() float64 {
	switch in {
	case Box:
		return 0.5
	case Bilinear:
		return 1
	case Bicubic:
		return 2
	default:
		return 3 // Lanczos; Nearest takes another way
	}
}

// weight evaluates the filter at x.
func (in Interpolation) weight(x float64) float64 {
	switch in {
	case Box:
		if x > -0.5 && x <= 0.5 {
			return 1
		}
		return 0
	case Bilinear:
		return max(0, 1-math.Abs(x))
	case Bicubic:
		return cubic(math.Abs(x))
	default:
		if -3 <= x && x < 3 {
			return sinc(x) * sinc(x/3)
		}
		return 0
	}
}

// cubic is Keys' kernel (IEEE Trans. ASSP 29, 1981) with a = -0.5, in the order of operations that Pillow uses. The conversions keep each
// product rounded on its own: without them a compiler may fuse it with the sum on some processors.
func cubic(x float64) float64 {
	const a = -0.5
	switch {
	case x < 1:
		t := float64((a+2)*x) - (a + 3)
		return float64(float64(t*x)*x) + 1
	case x < 2:
		t := float64((x-5)*x) + 8
		return (float64(t*x) - 4) * a
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}
