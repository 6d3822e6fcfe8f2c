package imaging

import (
	"encoding/binary"
	"slices"
)

// Tags of TIFF 6.0 that are looked at.
const (
	tagImageWidth          = 256
	tagImageLength         = 257
	tagBitsPerSample       = 258
	tagCompression         = 259
	tagPhotometric         = 262
	tagOrientation         = 274
	tagSamplesPerPixel     = 277
	tagPlanarConfiguration = 284
	tagPredictor           = 317
	tagTileWidth           = 322
	tagExtraSamples        = 338
)

// Types of a directory entry.
const (
	typeShort = 3
	typeLong  = 4
)

// tiffEntry is a directory entry as stored: tag, type, count, value or offset.
type tiffEntry [12]byte

// tiffDirectory is the first directory of a TIFF file or of EXIF data, which is the beginning of one.
type tiffDirectory struct {
	order   binary.ByteOrder
	entries []tiffEntry
	isCut   bool // the data ends before the last entry
}

// readTIFFDirectory reads as many entries as there are bytes for; ok is false when there is no directory at all.
func readTIFFDirectory(data []byte) (dir *tiffDirectory, ok bool) {
	if len(data) < 8 {
		return nil, false
	}
	d := &tiffDirectory{}
	switch string(data[:4]) {
	case "II*\x00":
		d.order = binary.LittleEndian
	case "MM\x00*":
		d.order = binary.BigEndian
	default:
		return nil, false
	}
	at := int64(d.order.Uint32(data[4:]))
	if at+2 > int64(len(data)) {
		return nil, false
	}
	rest := data[at+2:]
	count := int(d.order.Uint16(data[at:]))
	if whole := len(rest) / len(tiffEntry{}); count > whole {
		count, d.isCut = whole, true
	}
	for i := range count {
		d.entries = append(d.entries, tiffEntry(rest[i*len(tiffEntry{}):]))
	}
	return d, true
}

// find returns the index of a tag's first entry, or -1.
func (d *tiffDirectory) find(tag uint16) int {
	return slices.IndexFunc(d.entries, func(e tiffEntry) bool { return d.order.Uint16(e[:]) == tag })
}

// value returns a tag's value if it is one short or long number, else the fallback.
func (d *tiffDirectory) value(tag uint16, fallback uint32) uint32 {
	i := d.find(tag)
	if i < 0 {
		return fallback
	}
	e := d.entries[i]
	switch kind, count := d.order.Uint16(e[2:]), d.order.Uint32(e[4:]); {
	case kind == typeShort && count == 1:
		return uint32(d.order.Uint16(e[8:]))
	case kind == typeLong && count == 1:
		return d.order.Uint32(e[8:])
	}
	return fallback
}

// firstShort returns the first of a tag's one or two short values, which are stored in the entry itself; 0 for anything else.
func (d *tiffDirectory) firstShort(tag uint16) uint16 {
	i := d.find(tag)
	if i < 0 {
		return 0
	}
	e := d.entries[i]
	if kind, count := d.order.Uint16(e[2:]), d.order.Uint32(e[4:]); kind != typeShort || count < 1 || count > 2 {
		return 0
	}
	return d.order.Uint16(e[8:])
}

// set gives a tag one value, in the place that the order of tags asks for.
func (d *tiffDirectory) set(tag, kind uint16, value uint32) {
	var e tiffEntry
	d.order.PutUint16(e[:], tag)
	d.order.PutUint16(e[2:], kind)
	d.order.PutUint32(e[4:], 1)
	if kind == typeShort {
		d.order.PutUint16(e[8:], uint16(value))
	} else {
		d.order.PutUint32(e[8:], value)
	}
	d.remove(tag)
	at := slices.IndexFunc(d.entries, func(e tiffEntry) bool { return d.order.Uint16(e[:]) > tag })
	if at < 0 {
		at = len(d.entries)
	}
	d.entries = slices.Insert(d.entries, at, e)
}

func (d *tiffDirectory) remove(tag uint16) {
	if i := d.find(tag); i >= 0 {
		d.entries = slices.Delete(d.entries, i, i+1)
	}
}

// appendTo returns the file with this directory, at its end, as the first one.
func (d *tiffDirectory) appendTo(data []byte) []byte {
	out := slices.Clone(data)
	if len(out)%2 != 0 {
		out = append(out, 0)
	}
	d.order.PutUint32(out[4:], uint32(len(out)))
	var number [4]byte
	d.order.PutUint16(number[:], uint16(len(d.entries)))
	out = append(out, number[:2]...)
	for _, e := range d.entries {
		out = append(out, e[:]...)
	}
	return append(out, 0, 0, 0, 0)
}
