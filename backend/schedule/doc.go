// Package schedule runs a graph over several devices as if they were one: [New] makes a [backend.Device] of other devices,
// and commands and the conformance suite treat it like any backend.
//
// # Glossary
//
//   - Member: one of the devices, with the name by which plans and rules call it. The chosen members come in the order
//     of preference; the fallback is one more, for the nodes that none of them supports.
//   - Part: nodes that one member compiles and runs at once.
//   - Route: a chain of parts through which a share of the batch goes. Routes work beside each other, on different
//     members, each on its own samples.
//   - Chunk: the samples that go through a route at a time. While one chunk is on a member, the data of the next move: every route has
//     as many lanes (sets of device buffers) as it has members, and one more.
//   - Plan: routes and parts, as data. It says what [Device.Compile] would do, and can be printed.
//
// # What it decides
//
// The planner asks [backend.Device.Supports] for each node and member once, estimates the time of each node on each member (see [Rates])
// and of each tensor that must move, and finds the cheapest placement: see placement.go. Times are whole nanoseconds, so a
// plan is the same on every machine that has the same members.
//
// A batch is split over members only where every sample is computed alone, in shares by speed that was measured when the first graph of
// that structure was compiled. The shares stay as they are from then on, since other shares would be other bits.
//
// # Lost devices
//
// A member whose call ends in backend.ErrDeviceLost or backend.ErrPluginExited is taken out for good. If there is a fallback, the
// executable is compiled anew for the members that are left, from weights that were kept for that, and the run is done
// again, from the inputs: those lie in host memory, as does every buffer of this package. Nobody has seen outputs of the run that failed.
//
// # What it does not do
//
// It chooses and opens no device, and imports no backend: the caller brings them.
package schedule
