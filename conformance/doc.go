// Package conformance proves that a backend's numbers are right. Any implementation of package backend, in this module
// or outside it, can be held against it:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func(t *testing.T) backend.Device { … }, conformance.Options{})
//	}
//
// Programs that are no tests use [Execute], or [Check] for one case. [NewCase] makes cases of one's own, to be run with these. The package does not import testing; Run takes
// whatever has the methods of *testing.T.
//
// # Glossary
//
//   - Case: one thing that must hold. It is data: a name, a graph, seeded inputs, a class, and why it exists. A case
//     can be run alone by its name ([Options.Filter]).
//   - Class: how strictly the numbers are judged; see [Class].
//   - Refused: the device said by Supports that it cannot run a node of the case, and Compile agreed.
//   - Exception: a case that is known not to pass, with the reason; see [Exception].
//
// # How numbers are judged
//
// Every node's result is compared with what the float64 reference makes of the inputs that the device itself gave
// that node, element by element, within the bound that package reference derives from float32 arithmetic. Inputs of
// small whole numbers ([Integers]) make every partial sum exact, and then the bound is zero. Whole networks, where
// such bounds grow too loose to be useful, must agree with the float64 run in norm and in the first class. Nodes that
// the executable says are computed through a transform ([backend.Transformer]) are held to class B, the bound of that
// transform, whatever the class of the case. docs/conformance/judging.md has more.
//
// Outputs are filled with a marker before each run, small buffers with known contents stand between the others, and
// inputs are read back, so that what is not written, or written elsewhere, is found.
//
// # What it does not do
//
// It names no backend and looks for no device. It cannot survive a driver that ends the process: a caller that must
// runs it in a child process, case by case.
package conformance
