package vulkan

import (
	"fmt"
	"strings"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// matrices are the shapes that a subgroup multiplies, float16 times float16 into a type: none where the device has not all that the
// kernels on matrix units need. Those are besides VK_KHR_cooperative_matrix its needs (the memory model of Vulkan, float16 in shaders), and
// that it is known how many invocations share a matrix.
func matrices(f *facts.Facts, result facts.ComponentType) []plan.MatrixShape {
	if !f.Features.CooperativeMatrix || !f.Features.VulkanMemoryModel || !f.Features.ShaderFloat16 || !f.Subgroup.Compute(facts.SubgroupBasic) {
		return nil
	}
	if !sizedSubgroups(f) && f.Subgroup.Min != f.Subgroup.Max {
		return nil
	}
	var list []plan.MatrixShape
	for _, m := range f.CoopMatrices {
		if m.A == facts.Float16 && m.B == facts.Float16 && m.C == result && m.Result == result && m.Scope == facts.ScopeSubgroup && !m.Saturating {
			list = append(list, plan.MatrixShape{M: int(m.M), N: int(m.N), K: int(m.K)})
		}
	}
	return list
}

// matrixText lists shapes for people, as in "16×8×8 16×16×16".
func matrixText(list []plan.MatrixShape) string {
	var parts []string
	for _, m := range list {
		parts = append(parts, fmt.Sprintf("%d×%d×%d", m.M, m.N, m.K))
	}
	return strings.Join(parts, " ")
}

// sizedSubgroups tells whether a pipeline can ask for the size of its subgroups, and for full ones.
func sizedSubgroups(f *facts.Facts) bool {
	return f.Subgroup.RequiredSize && f.Features.SubgroupSizeControl && f.Features.ComputeFullSubgroups && f.Subgroup.Min > 0
}

// wantedFeatures are what is enabled on a device: float16 in shaders, for its peak and for kernels that multiply in it, and what the kernels on matrix units
// need, where they can run at all.
func wantedFeatures(f *facts.Facts) vk.Features {
	w := vk.Features{ShaderFloat16: f.Features.ShaderFloat16}
	if len(matrices(f, facts.Float32))+len(matrices(f, facts.Float16)) > 0 {
		sized := sizedSubgroups(f)
		w.CooperativeMatrix, w.VulkanMemoryModel, w.SubgroupSizeControl, w.ComputeFullSubgroups = true, true, sized, sized
	}
	return w
}
