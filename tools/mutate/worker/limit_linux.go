package main

import "syscall"

// addressSpace is far more than the suite needs and far less than would trouble the machine.
const addressSpace = 12 << 30

// limitMemory makes a mutant that asks for absurd memory fail instead of the machine.
func limitMemory() {
	_ = syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: addressSpace, Max: addressSpace}) // a help, not a promise
}
