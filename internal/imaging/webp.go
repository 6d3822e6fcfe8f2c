package imaging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"

	"bytes"

	"golang.org/x/image/webp"
)

const riffHeaderBytes = 12

func isWebP(data []byte) bool {
	return len(data) >= riffHeaderBytes && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

// decodeWebP reads a still picture, or the first frame of an animation on its canvas. The library gives lossy pictures as YCbCr planes;
// the way from there to RGB is libwebp's, so that the result equals Pillow's.
func decodeWebP(s *source) (*RGB, error) {
	data := s.data
	canvas, frame, err := webpFirstFrame(data)
	if err != nil {
		return nil, err
	}
	if frame != nil {
		if err := s.checkSize(int64(canvas.Dx()), int64(canvas.Dy())); err != nil {
			return nil, err
		}
		data = frame.file
	}
	config, err := webp.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, explainEOF(err)
	}
	if err := s.checkSize(int64(config.Width), int64(config.Height)); err != nil {
		return nil, err
	}
	img, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, explainEOF(err)
	}
	var out *RGB
	switch m := img.(type) {
	case *image.YCbCr:
		out = fromVP8(m)
	case *image.NYCbCrA:
		out = fromVP8(&m.YCbCr)
	default:
		if out, err = fromImage(img); err != nil {
			return nil, err
		}
	}
	if frame == nil {
		return out, nil
	}
	return frame.paste(out, canvas)
}

// webpFrame is one frame of an animation, as a file of its own.
type webpFrame struct {
	left, top int
	file      []byte
}

// webpFirstFrame finds the first frame of an animation; a still picture gives none.
func webpFirstFrame(data []byte) (canvas image.Rectangle, frame *webpFrame, err error) {
	const animationBit, alphaBit = 1 << 1, 1 << 4
	header, ok := riffChunk(data, "VP8X")
	if !ok || len(header) < 10 || header[0]&animationBit == 0 {
		return canvas, nil, nil
	}
	canvas = image.Rect(0, 0, 1+uint24(header[4:]), 1+uint24(header[7:]))
	const frameHeaderBytes = 16
	payload, ok := riffChunk(data, "ANMF")
	if !ok || len(payload) < frameHeaderBytes {
		return canvas, nil, errors.New("the file ends before the first frame of the animation: it is truncated")
	}
	frame = &webpFrame{left: 2 * uint24(payload), top: 2 * uint24(payload[3:])}
	chunks := payload[frameHeaderBytes:]
	extended := [10]byte{4: payload[6], 5: payload[7], 6: payload[8], 7: payload[9], 8: payload[10], 9: payload[11]}
	if bytes.HasPrefix(chunks, []byte("ALPH")) {
		extended[0] = alphaBit
	}
	body := append([]byte("WEBPVP8X\x0a\x00\x00\x00"), extended[:]...)
	body = append(body, chunks...)
	frame.file = binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body)))
	frame.file = append(frame.file, body...)
	return canvas, frame, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// paste puts the frame on a black canvas.
func (f *webpFrame) paste(img *RGB, canvas image.Rectangle) (*RGB, error) {
	if f.left+img.Width > canvas.Dx() || f.top+img.Height > canvas.Dy() {
		return nil, fmt.Errorf("first frame is %dx%d at %d,%d, outside the canvas of %dx%d", img.Width, img.Height, f.left, f.top, canvas.Dx(), canvas.Dy())
	}
	out := newRGB(canvas.Dx(), canvas.Dy())
	for y := range img.Height {
		copy(out.row(f.top + y)[3*f.left:], img.row(y))
	}
	return out, nil
}

// fromVP8 upsamples the chroma planes 9:3:3:1 and converts to RGB in the fixed point of libwebp (14 fraction bits, of which the products
// keep 6).
func fromVP8(m *image.YCbCr) *RGB {
	out := newRGB(m.Rect.Dx(), m.Rect.Dy())
	chromaHeight := (out.Height + 1) / 2
	cb, cr := make([]byte, out.Width), make([]byte, out.Width)
	for y := range out.Height {
		near := y / 2
		far := min(max(near-1+y%2*2, 0), chromaHeight-1)
		upsampleVP8(cb, m.Cb[near*m.CStride:], m.Cb[far*m.CStride:])
		upsampleVP8(cr, m.Cr[near*m.CStride:], m.Cr[far*m.CStride:])
		dst, luma := out.row(y), m.Y[y*m.YStride:]
		for x := range out.Width {
			l, u, v := int32(luma[x])*19077>>8, int32(cb[x]), int32(cr[x])
			dst[3*x] = clampVP8(l + v*26149>>8 - 14234)
			dst[3*x+1] = clampVP8(l - u*6419>>8 - v*13320>>8 + 8708)
			dst[3*x+2] = clampVP8(l + u*33050>>8 - 17685)
		}
	}
	return out
}

// upsampleVP8 fills a row of full width from the nearer and the farther chroma row. The average is built in two steps that each round
// down, as libwebp does it.
func upsampleVP8(dst, near, far []byte) {
	last := (len(dst) - 1) / 2
	for x := range dst {
		i := x / 2
		j := i - 1 + x%2*2 // the farther column
		if j < 0 || (j > last) {
			dst[x] = byte((3*int32(near[i]) + int32(far[i]) + 2) >> 2)
			continue
		}
		a, b, c, d := int32(near[i]), int32(near[j]), int32(far[i]), int32(far[j])
		diagonal := (a + b + c + d + 8 + 2*(b+c)) >> 3
		dst[x] = byte((diagonal + a) >> 1)
	}
}

func clampVP8(v int32) byte {
	const fraction = 6
	return byte(min(max(v, 0), 256<<fraction-1) >> fraction)
}
