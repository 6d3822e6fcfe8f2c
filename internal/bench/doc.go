// Package bench measures how fast a device runs a network, and gives no number for a wrong answer.
//
// # What is measured
//
// [Prepare] compiles a network for a device and runs it once; [Prepared.Measure] warms up and takes samples; a sample is the
// time of one run, by the host's monotonic clock, from the call to the moment the results can be read. The inputs lie in the
// device's memory before and the outputs stay there, unless the transfers are asked for too. Before every run the outputs are
// filled with NaN and after it they are compared, outside of the time: a run that is skipped, or that comes out otherwise
// than the ones before, is found.
//
// # What is right
//
// [Answers] are computed in float64 by backend/reference, on the network as it is before the passes: a few pictures, of which
// a batch holds copies in turn, so that every picture of every batch is held against its own answer. The rule is the one of
// conformance for whole networks: relative L2 norm, greatest error, and the first class where the reference's margin exceeds
// the noise.
//
// # What is a regression
//
// See [Compare].
//
// # What it does not do
//
// It loads no model and knows no file format; it opens no device but for the time that a start takes ([TimeStart]).
package bench
