// Package submission writes and checks the archive by which a conformance run is handed on: attached to a driver's bug,
// sent to whoever asks for proof, or kept. Its manner is that of submissions for Vulkan's conformance tests (Khronos,
// VK-GL-CTS, "Conformance Submission Package Requirements"): results, what they are of, what made them, the waivers that
// were claimed, a statement, and nothing else.
//
// # Members
//
// A package is a zip archive of exactly these files, in this order:
//
//   - STATEMENT.txt: for people: what is claimed, of which device, with which waivers.
//   - package.json: the same for programs: [Front].
//   - conformance.json: the report of the run, every case with its numbers. Everything else follows from it.
//   - conformance.html, conformance.xml: the same report to look at, and for build servers.
//   - SHA256SUMS: the checksums of the others, as sha256sum writes and checks them.
//
// The same report gives the same bytes: members have no times, no owners, and one order.
//
// # What is checked
//
// [Read] takes nothing on trust: see its limits. [Package.Verify] then holds the package to the suite of this program and to
// itself: checksums; the profile's cases, each once, none else; each verdict against its own numbers, error against bound;
// waivers, all declared and all applied; counts and verdicts; and that statement, summary and pages follow from the results.
//
// What no check of a file can show is that the numbers were really computed on that device. For that the cases can be run
// again: [Package.Sample] names some.
package submission
