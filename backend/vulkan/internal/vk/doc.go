// Package vk is a thin, memory-safe cover over github.com/vulkan-go/vulkan for
// compute work, and to show pictures on a surface: it finds the loader, keeps the one instance of the process,
// turns results into errors and gives every call the project needs a typed Go
// signature. No package above this one sees vulkan-go.
//
// # Which calls go through vulkan-go
//
// vulkan-go copies a slice of structs into C memory whose release hangs on the
// finalizer of a variable that is dead before the C call starts, so a garbage
// collection at the wrong moment frees the array while the driver reads it.
// It also stores Go pointers in C memory. The rule of this package is therefore:
// vulkan-go makes the calls whose arguments are plain values, or one struct
// without slices and pointers; every other call is made by shim.c, which builds
// the structs on the C stack. The few struct declarations in shim.h are our own,
// and a test compares their layout with the system's vulkan_core.h.
//
// # Pointers and callbacks
//
// The validation layer calls back into Go on the calling goroutine, and that may
// move the goroutine's stack. C code therefore never receives the address of a
// Go stack variable: calls of the hot path take all their arguments by value
// (and so do not allocate), the others take heap memory.
//
// # Threads
//
// Vulkan's own rules hold: calls that name the same queue, command pool (or a
// command buffer of it), descriptor pool, fence to reset or memory to map must
// not overlap. Everything else may be called from any goroutine.
package vk
