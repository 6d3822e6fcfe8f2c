package jpeg

// Fixed-point factors of the JFIF colour conversion, 16 fraction bits.
const (
	crToRed   = 91881  // round(1.40200 * 2^16)
	cbToGreen = 22554  // round(0.34414 * 2^16)
	crToGreen = 46802  // round(0.71414 * 2^16)
	cbToBlue  = 116130 // round(1.77200 * 2^16)
	half      = 1 << 15
)

// colorSpace is what the components of a file stand for.
type colorSpace int

const (
	spaceGray colorSpace = iota + 1
	spaceRGB
	spaceYCbCr
	spaceCMYK
	spaceYCCK
)

// space decides as libjpeg does: JFIF means YCbCr, then Adobe's transform flag counts, then the component ids.
func (d *decoder) space() colorSpace {
	switch len(d.components) {
	case 1:
		return spaceGray
	case 4:
		if d.hasAdobe && d.adobeTransform != 0 {
			return spaceYCCK
		}
		return spaceCMYK
	}
	ids := [3]byte{d.components[0].id, d.components[1].id, d.components[2].id}
	switch {
	case d.hasJFIF:
		return spaceYCbCr
	case d.hasAdobe && d.adobeTransform == 0:
		return spaceRGB
	case !d.hasAdobe && ids == [3]byte{'R', 'G', 'B'}:
		return spaceRGB
	}
	return spaceYCbCr
}

// render upsamples the planes and converts them to RGB.
func (d *decoder) render() (*Image, error) {
	img := &Image{Width: d.header.Width, Height: d.header.Height}
	img.Pix = make([]byte, 3*img.Width*img.Height)
	ups := make([]*upsampler, len(d.components))
	for i := range d.components {
		ups[i] = newUpsampler(d, &d.components[i])
	}
	space := d.space()
	var rows [4][]byte
	for y := range img.Height {
		for i, u := range ups {
			rows[i] = u.at(y)[:img.Width]
		}
		dst := img.Pix[3*img.Width*y:][:3*img.Width]
		switch space {
		case spaceGray:
			for x, v := range rows[0] {
				dst[3*x], dst[3*x+1], dst[3*x+2] = v, v, v
			}
		case spaceRGB:
			for x := range rows[0] {
				dst[3*x], dst[3*x+1], dst[3*x+2] = rows[0][x], rows[1][x], rows[2][x]
			}
		case spaceYCbCr:
			convertYCbCr(dst, rows[0], rows[1], rows[2])
		case spaceYCCK:
			// The first three planes are YCbCr of inverted ink: what libjpeg hands on as CMY is 255 minus the RGB.
			convertYCbCr(dst, rows[0], rows[1], rows[2])
			for i := range dst {
				dst[i] = 255 - dst[i]
			}
			applyInk(dst, rows[3])
		case spaceCMYK:
			for x := range rows[0] {
				dst[3*x], dst[3*x+1], dst[3*x+2] = rows[0][x], rows[1][x], rows[2][x]
			}
			applyInk(dst, rows[3])
		}
	}
	return img, nil
}

func convertYCbCr(dst, ys, cbs, crs []byte) {
	cbs, crs, dst = cbs[:len(ys)], crs[:len(ys)], dst[:3*len(ys)]
	for x := range ys {
		y, cb, cr := int32(ys[x]), int32(cbs[x])-128, int32(crs[x])-128
		r := y + (crToRed*cr+half)>>16
		g := y + (-cbToGreen*cb-crToGreen*cr+half)>>16
		b := y + (cbToBlue*cb+half)>>16
		if uint32(r|g|b) > 255 {
			r, g, b = clamp(r), clamp(g), clamp(b)
		}
		dst[3*x], dst[3*x+1], dst[3*x+2] = byte(r), byte(g), byte(b)
	}
}

func clamp(v int32) int32 { return min(max(v, 0), 255) }

// applyInk turns stored CMY in dst and stored K into RGB. Stored values are taken as inverted, 255 being no ink, whether or not an Adobe
// segment says so, and are multiplied with rounding, both as Pillow does.
func applyInk(dst, ks []byte) {
	for x, k := range ks {
		light := int32(k)
		for i := 3 * x; i < 3*x+3; i++ {
			ink := 255 - int32(dst[i])
			t := ink*light + 128
			dst[i] = byte(clamp(light - (t+t>>8)>>8))
		}
	}
}
