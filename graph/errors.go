package graph

import "strings"

// ShapeError says which attribute or input of which node does not fit, what was wanted and what was found.
// It is found in a chain of errors with errors.As.
type ShapeError struct {
	Node string // name of the node, empty when the op was checked alone
	Op   string // for example "conv2d"
	Attr string // the input or attribute in the way, for example "groups", "input 1" or "result"
	Want string
	Got  string
}

// Error returns "node "a" (conv2d): groups: want ..., got ...".
func (e *ShapeError) Error() string {
	var b strings.Builder
	if e.Node != "" {
		b.WriteString("node \"" + e.Node + "\"")
	}
	if e.Op != "" {
		if e.Node != "" {
			b.WriteString(" (" + e.Op + ")")
		} else {
			b.WriteString(e.Op)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Attr + ": want " + e.Want + ", got " + e.Got)
	return b.String()
}
