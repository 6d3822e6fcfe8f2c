package vk

// #include <stdlib.h>
// #include "shim.h"
import "C"

import "unsafe"

// Chain is a pNext chain in C memory, for structs that vulkan-go does not know.
// The zero value is an empty chain. Free it; the slices it handed out are then
// invalid.
type Chain struct{ blocks []unsafe.Pointer }

// chainHeader is VkBaseOutStructure; its size is the payload's offset wherever
// the payload is made of 32-bit words or bytes, or pointers have 8 bytes.
type chainHeader struct {
	sType uint32
	next  unsafe.Pointer
}

// Add appends a zeroed struct of the given VkStructureType whose fields after
// sType and pNext take payload bytes, and returns those.
func (c *Chain) Add(sType uint32, payload int) []byte {
	const header = int(unsafe.Sizeof(chainHeader{}))
	size := (header + payload + 7) &^ 7 // C pads structs that hold pointers
	p := C.calloc(1, C.size_t(size))
	(*chainHeader)(p).sType = sType
	if n := len(c.blocks); n > 0 {
		(*chainHeader)(c.blocks[n-1]).next = p
	}
	c.blocks = append(c.blocks, p)
	return unsafe.Slice((*byte)(unsafe.Add(p, header)), payload)
}

// AddWords appends a struct of n 32-bit words, such as VkBool32.
func (c *Chain) AddWords(sType uint32, n int) []uint32 {
	b := c.Add(sType, 4*n)
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// Free releases the memory and empties the chain.
func (c *Chain) Free() {
	for _, p := range c.blocks {
		C.free(p)
	}
	c.blocks = nil
}

// head is what goes into a pNext field, nil for an empty chain.
func (c *Chain) head() unsafe.Pointer {
	if c == nil || len(c.blocks) == 0 {
		return nil
	}
	return c.blocks[0]
}
