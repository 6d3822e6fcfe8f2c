// Package proto reads the messages of ONNX files: a model with its graph, and tensors by themselves; and writes models.
//
// ONNX files are protocol buffers, and this package reads of them what describes a network for inference. Generated
// code would copy every tensor out of the file; here the elements of a tensor stay a part of the bytes that were given,
// so that weights can be read from a mapped file when they are wanted. Numbers of fields are those of onnx.proto, which
// never change (ONNX's rule for its own compatibility).
//
// [Model.Write] is the other way round: the elements of one tensor at a time are asked for, and pass through.
//
// What is read comes from a stranger. No length is believed before the bytes are there, nothing nests deeper than the
// messages that the format has (the graphs inside of If and Loop are not entered), and what is copied takes at most a
// few times the space that it has in the file. Errors are [*Error]s, which say where in the bytes they are.
package proto

import "fmt"

// Error says what is wrong with a message, and where.
type Error struct {
	Start, End int64  // the bytes at fault, the last excluded
	Tensor     string // the tensor that it is about, if it is
	Problem    string // what was wanted and what was found
}

// Error returns the problem with the range of bytes.
func (e *Error) Error() string { return fmt.Sprintf("bytes %d..%d: %s", e.Start, e.End, e.Problem) }
