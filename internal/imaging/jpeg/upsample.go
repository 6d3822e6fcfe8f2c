package jpeg

// upsampler brings one component to the size of the picture, a row at a time.
type upsampler struct {
	c       *component
	h, v    int // picture samples per component sample, each way
	isFancy bool
	sums    []int32 // scratch of a row: three parts of the near row and one of the far one
	row     []byte
}

func newUpsampler(d *decoder, c *component) *upsampler {
	u := &upsampler{c: c, h: d.maxH / c.h, v: d.maxV / c.v}
	// Interpolation covers what libjpeg interpolates: 2:1 across (planes of more than two columns only), 2:1 down, and both.
	switch {
	case u.h == 2 && (u.v == 1 || u.v == 2):
		u.isFancy = c.width > 2
	case u.h == 1 && u.v == 2:
		u.isFancy = true
	}
	if u.h > 1 || u.v > 1 {
		u.row = make([]byte, c.width*u.h)
	}
	if u.isFancy && u.h == 2 && u.v == 2 {
		u.sums = make([]int32, c.width)
	}
	return u
}

// at returns picture row y of the component, valid until the next call.
func (u *upsampler) at(y int) []byte {
	near := u.source(y / u.v)
	switch {
	case u.h == 1 && u.v == 1:
		return near
	case !u.isFancy:
		for x, v := range near {
			for i := range u.h {
				u.row[x*u.h+i] = v
			}
		}
	case u.v == 1:
		interpolateAcross(u.row, near)
	default:
		// The other row is the one above for the upper half of a sample, and below for the lower; at the edges the row itself.
		far := u.source(y/2 - 1 + y%2*2)
		if u.h == 1 {
			interpolateDown(u.row, near, far, 1+int32(y%2))
		} else {
			u.interpolateBoth(near, far)
		}
	}
	return u.row
}

func (u *upsampler) source(y int) []byte {
	y = min(max(y, 0), u.c.height-1)
	return u.c.samples[y*u.c.stride:][:u.c.width]
}

// interpolateAcross doubles a row: three parts of the nearer sample, one of the farther. The rounding alternates between down and up, as
// libjpeg's does, so that it has no bias.
func interpolateAcross(dst, src []byte) {
	last := len(src) - 1
	dst[0] = src[0]
	dst[1] = byte((3*int32(src[0]) + int32(src[1]) + 2) >> 2)
	for x := 1; x < last; x++ {
		v := 3 * int32(src[x])
		dst[2*x] = byte((v + int32(src[x-1]) + 1) >> 2)
		dst[2*x+1] = byte((v + int32(src[x+1]) + 2) >> 2)
	}
	dst[2*last] = byte((3*int32(src[last]) + int32(src[last-1]) + 1) >> 2)
	dst[2*last+1] = src[last]
}

// interpolateDown mixes two rows 3:1.
func interpolateDown(dst, near, far []byte, bias int32) {
	for x := range near {
		dst[x] = byte((3*int32(near[x]) + int32(far[x]) + bias) >> 2)
	}
}

// interpolateBoth mixes 9:3:3:1 over a 2x2 neighbourhood, with one rounding at the end.
func (u *upsampler) interpolateBoth(near, far []byte) {
	sums, dst := u.sums, u.row
	far = far[:len(near)]
	sums = sums[:len(near)]
	for x := range near {
		sums[x] = 3*int32(near[x]) + int32(far[x])
	}
	last := len(sums) - 1
	dst[0] = byte((4*sums[0] + 8) >> 4)
	dst[1] = byte((3*sums[0] + sums[1] + 7) >> 4)
	for x := 1; x < last; x++ {
		v := 3 * sums[x]
		dst[2*x] = byte((v + sums[x-1] + 8) >> 4)
		dst[2*x+1] = byte((v + sums[x+1] + 7) >> 4)
	}
	dst[2*last] = byte((3*sums[last] + sums[last-1] + 8) >> 4)
	dst[2*last+1] = byte((4*sums[last] + 7) >> 4)
}
