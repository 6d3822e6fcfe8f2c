// Package shaders holds the compute kernels of the Vulkan backend: GLSL sources in glsl/, the SPIR-V made from
// them in spv/ (committed and embedded, so that users need no shader compiler), and [Manifest], the one list of
// all variants with the facts that a planner and a device check need. It imports nothing of this module.
//
// After a change of a source or of the manifest run "go generate ./shaders", which needs glslangValidator and
// spirv-val (Debian: glslang-tools, spirv-tools).
package shaders

import (
	"embed"
	"encoding/binary"
	"fmt"
)

//go:generate go run ../internal/cmd/genshaders

//go:embed spv/*.spv
var spv embed.FS

// TexelBytes is the size of a texel of the variant's texel buffers: four numbers.
func (v *Variant) TexelBytes() uint64 {
	if v.Half {
		return 8
	}
	return 16
}

// SPIRV returns the code of a variant as 32-bit words. It panics for a variant that is not of the manifest.
func (v *Variant) SPIRV() []uint32 {
	b, err := spv.ReadFile("spv/" + v.Name + ".spv")
	if err != nil || len(b)%4 != 0 {
		panic(fmt.Sprintf("shaders: bug: SPIR-V of %q: %d bytes, %v", v.Name, len(b), err))
	}
	words := make([]uint32, len(b)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return words
}

// Lookup returns the variant of that name, nil when there is none.
func Lookup(name string) *Variant {
	for i := range Manifest {
		if Manifest[i].Name == name {
			return &Manifest[i]
		}
	}
	return nil
}
