package proto

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a part of the file that is a message, and where it stands.
type message struct {
	data []byte
	at   int64
}

// field is one field of a message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64  // of a varint or a fixed number
	body   message // of what has a length
	at     int64
}

// errKind is what a reader of a field returns for one whose wire type is not the one that the format has for it.
var errKind = errors.New("unexpected wire type")

func (m message) bad(problem string, args ...any) *Error {
	return &Error{Start: m.at, End: m.at + int64(max(len(m.data), 1)), Problem: fmt.Sprintf(problem, args...)}
}

// each calls f for each field, in the order in which they stand. Unknown fields are f's to leave alone.
func (m message) each(what string, f func(field) error) error {
	for at := 0; at < len(m.data); {
		rest := m.data[at:]
		x := field{at: m.at + int64(at)}
		var n int
		if x.number, x.kind, n = protowire.ConsumeTag(rest); n < 0 {
			return message{rest, x.at}.bad("%s: %v", what, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(x.number, x.kind, rest[n:])
		if size < 0 {
			return message{rest, x.at}.bad("%s: field %d: %v", what, x.number, protowire.ParseError(size))
		}
		body := rest[n : n+size]
		switch x.kind {
		case protowire.VarintType:
			x.value, _ = protowire.ConsumeVarint(body)
		case protowire.Fixed32Type:
			v, _ := protowire.ConsumeFixed32(body)
			x.value = uint64(v)
		case protowire.Fixed64Type:
			x.value, _ = protowire.ConsumeFixed64(body)
		case protowire.BytesType:
			data, _ := protowire.ConsumeBytes(body)
			x.body = message{data, x.at + int64(n+size-len(data))}
		}
		if err := f(x); err != nil {
			if errors.Is(err, errKind) {
				return message{rest[:n+size], x.at}.bad("%s: field %d: want another wire type than %d", what, x.number, x.kind)
			}
			return err
		}
		at += n + size
	}
	return nil
}

// text sets to from a string. It is copied: the file may be let go.
func (x field) text(to *string) error {
	if x.kind != protowire.BytesType {
		return errKind
	}
	*to = string(x.body.data)
	return nil
}

func (x field) texts(to *[]string) error {
	var s string
	err := x.text(&s)
	*to = append(*to, s)
	return err
}

func (x field) int(to *int64) error {
	if x.kind != protowire.VarintType {
		return errKind
	}
	*to = int64(x.value)
	return nil
}

// ints appends one number, or the packed numbers of a repeated field.
func (x field) ints(to *[]int64) error {
	switch x.kind {
	case protowire.VarintType:
		*to = append(*to, int64(x.value))
		return nil
	case protowire.BytesType:
		for data := x.body.data; len(data) > 0; {
			v, n := protowire.ConsumeVarint(data)
			if n < 0 {
				return x.body.bad("packed numbers: %v", protowire.ParseError(n))
			}
			*to, data = append(*to, int64(v)), data[n:]
		}
		return nil
	}
	return errKind
}

func (x field) message() (message, error) {
	if x.kind != protowire.BytesType {
		return message{}, errKind
	}
	return x.body, nil
}
