package imaging

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// exifHeader precedes the TIFF structure in a JPEG's APP1 segment.
const exifHeader = "Exif\x00\x00"

// exifOrientation finds the orientation in EXIF data, which is a TIFF file's header and first directory. Anything odd means no
// orientation: metadata never makes a picture unreadable.
func exifOrientation(data []byte) Orientation {
	dir, ok := readTIFFDirectory(data)
	if !ok {
		return 0
	}
	return Orientation(dir.value(tagOrientation, 0))
}

// jpegOrientation walks the segments before the first scan to the first EXIF one.
func jpegOrientation(data []byte) Orientation {
	const app1, sos, eoi = 0xE1, 0xDA, 0xD9
	for at := 2; at+4 <= len(data); {
		if data[at] != 0xFF {
			return 0
		}
		marker := data[at+1]
		if marker == 0xFF {
			at++
			continue
		}
		if marker == sos || marker == eoi {
			return 0
		}
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		if size < 2 || at+2+size > len(data) {
			return 0
		}
		if payload := data[at+4 : at+2+size]; marker == app1 && bytes.HasPrefix(payload, []byte(exifHeader)) {
			return exifOrientation(payload[len(exifHeader):])
		}
		at += 2 + size
	}
	return 0
}

// pngOrientation looks into the eXIf chunk.
func pngOrientation(data []byte) Orientation {
	payload, ok := pngChunk(data, "eXIf")
	if !ok {
		return 0
	}
	return exifOrientation(payload)
}

// pngChunk finds the payload of the first chunk of a kind.
func pngChunk(data []byte, kind string) ([]byte, bool) {
	for at := len(pngSignature); at+12 <= len(data); {
		size := int64(binary.BigEndian.Uint32(data[at:]))
		if int64(at)+12+size > int64(len(data)) {
			return nil, false
		}
		if string(data[at+4:at+8]) == kind {
			return data[at+8 : int64(at)+8+size], true
		}
		at += int(12 + size)
	}
	return nil, false
}

// webpOrientation looks into the EXIF chunk, which some writers begin with JPEG's header.
func webpOrientation(data []byte) Orientation {
	payload, ok := riffChunk(data, "EXIF")
	if !ok {
		return 0
	}
	if strings.HasPrefix(string(payload[:min(len(payload), 6)]), exifHeader) {
		payload = payload[len(exifHeader):]
	}
	return exifOrientation(payload)
}

// riffChunk finds the payload of the first chunk of a kind in a RIFF file with a 12-byte header.
func riffChunk(data []byte, kind string) ([]byte, bool) {
	for at := int64(12); at+8 <= int64(len(data)); {
		size := int64(binary.LittleEndian.Uint32(data[at+4:]))
		if at+8+size > int64(len(data)) {
			return nil, false
		}
		if string(data[at:at+4]) == kind {
			return data[at+8 : at+8+size], true
		}
		at += 8 + size + size&1
	}
	return nil, false
}
