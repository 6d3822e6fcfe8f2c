// Command mutate measures how strong the conformance suite is: it makes small mistakes in the shaders and in the planning
// and recording code of the Vulkan backend, one at a time, and runs the suite against each. "make mutation" runs it.
//
// # Mutants
//
// Operators change every place that they know, systematically: < for <=, a condition turned round or dropped, a constant one
// off, another sign, a term or a factor left out, one axis for another, a bound dropped, a statement or a barrier dropped,
// neighbours in a list of push constants exchanged. What they cannot express stands in mistakes.go, each with the
// mistake that it stands for. A mutant's ID depends on its own line and not on others.
//
// The worker runs on drivers that run on the CPU. Kernels on matrix units are mutated as those that emulate them, which are of the same
// source, and kernels that the planner takes on GPUs are asked for. unmeasured in sources.go lists what is left out, opsOf in suite.go the variants that are run.
//
// # Verdict
//
// GLSL is compiled like the product's, with spirv-opt for the variants that have it; the worker takes it from a folder (see package worker). Go code is built anew with
// an overlay, so the tree is never touched. What compiles to the same as the original is no mutant, and of those that
// come to the same one counts. A mutant then passes through the stages of suite.go, from the cases most likely to see it to the
// full profile and the other driver, with the validation layer and synchronization validation on, until a case does not hold. A
// kill is believed when the original passes the same case in the same place. A crash or hang of the process is a kill, said apart.
//
// Survivors are explained in reasons.txt: equivalent ones, which no input can show, and others. A line there whose mutant is
// gone, or is killed, fails the run.
//
// Results are kept in the output folder, by a hash of everything that they depend on: an interrupted run goes on where it
// was. -trust-kills also takes kills that were made with another version of the suite, for work on new cases.
package main
