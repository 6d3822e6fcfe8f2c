// Package plan decides how a graph runs on a Vulkan device: which kernel for which node, with which constants, where
// every tensor lies in memory, what is copied and where barriers stand. It is made of pure functions from [Limits]
// and a graph to a [Plan], which is data: it can be printed, and tested for devices that no one has at hand.
package plan

import "github.com/resnet-run/resnet-run/graph"

// Limits is what the planner must know of a device. The names are those of the Vulkan specification.
type Limits struct {
	MaxStorageBufferRange           uint64 // bytes of one tensor
	MaxMemoryAllocationSize         uint64
	MinStorageBufferOffsetAlignment uint64
	MinTexelBufferOffsetAlignment   uint64
	MaxTexelBufferElements          uint32 // texels of four numbers
	MaxPushConstantsSize            uint32
	MaxComputeWorkGroupCount        [3]uint32
	MaxComputeWorkGroupSize         [3]uint32
	MaxComputeWorkGroupInvocations  uint32
	MaxComputeSharedMemorySize      uint32
	SubgroupSize                    uint32 // 0: not known
	MinSubgroupSize                 uint32 // of the narrowest that the driver makes; 0: not known
	MaxSubgroupSize                 uint32 // of the widest; 0: not known
	SubgroupQuad                    bool   // compute shaders have the quad operations
	// Matrices are the shapes of cooperative matrices that a subgroup of MinSubgroupSize multiplies, float16 times float16 into float32; none where the
	// device has not all that the kernels on them need. Matrix units are as wide as the narrowest subgroup where a device has several sizes (8 invocations
	// on Intel's Xe-HPG, which calls 32 its size; 32 on AMD's RDNA3, which calls 64 its size); of wider ones a compiler makes several instructions, or as on
	// Xe-HPG code that keeps half of its sums in memory (docs/benchmarks/compilers.md).
	Matrices []MatrixShape
	// HalfMatrices are those that it multiplies into float16.
	HalfMatrices []MatrixShape
	// Float16: shaders have float16 arithmetic.
	Float16 bool
	// MaxSubgroups is how many subgroups a workgroup may have where their size is asked for; 0 is no bound of its own.
	MaxSubgroups uint32
	// Multiprocessors are what a GPU gives workgroups to; 0: not known.
	Multiprocessors int
	// Integrated: a GPU in the processor, with its memory.
	Integrated bool
	// SoftwareDriver: the "device" is a program on the CPU, where shared memory is ordinary memory.
	SoftwareDriver bool
}

// MatrixShape is W of M×K times X of K×N.
type MatrixShape struct{ M, N, K int }

// Floor is what the Vulkan 1.1 specification promises of every device (table "Required Limits").
func Floor() Limits {
	return Limits{
		MaxStorageBufferRange:           1 << 27,
		MaxMemoryAllocationSize:         1 << 30,
		MinStorageBufferOffsetAlignment: 256,
		MinTexelBufferOffsetAlignment:   256,
		MaxTexelBufferElements:          65536,
		MaxPushConstantsSize:            128,
		MaxComputeWorkGroupCount:        [3]uint32{65535, 65535, 65535},
		MaxComputeWorkGroupSize:         [3]uint32{128, 128, 64},
		MaxComputeWorkGroupInvocations:  128,
		MaxComputeSharedMemorySize:      16384,
	}
}

// alignment is what the offset of every tensor is a multiple of.
func (lim *Limits) alignment() uint64 {
	return max(lim.MinStorageBufferOffsetAlignment, lim.MinTexelBufferOffsetAlignment, texelBytes)
}

// Options change decisions of the planner. The zero value is right for everyday use.
type Options struct {
	// MaxChunk bounds how many pictures go through the graph at once; 0 is no bound but that of memory.
	MaxChunk int
	// Variants, when not empty, are the only convolution kernels that may be used, best first.
	Variants []string
	// Direct leaves out candidates of class Transformed.
	Direct bool
	// Half stores activations and weights as float16 where a kernel for it exists and Float32 does not name the node.
	Half    bool
	Float32 map[string]bool
	// HalfTerms also allows kernels that make and add some products in float16, but for the nodes of WideSums.
	HalfTerms bool
	WideSums  map[string]bool
	// Emulate is what the kernels that emulate matrix units take for the device's shape, with subgroups of the given size. They run only where
	// Variants names them.
	Emulate         MatrixShape
	EmulateSubgroup int
	// Fence, when not 0, is so many bytes behind each tensor in the arena that belong to none. Tensors then share no memory.
	Fence uint64
	// Judge, when not nil, tells what is known of a node's candidate on the device; see Verdict.
	Judge func(n *graph.Node, candidate string) Verdict
}
