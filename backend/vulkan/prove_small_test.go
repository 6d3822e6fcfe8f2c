package vulkan

import (
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// TestEveryConvolutionKernelHasSmallShapes: one that takes none of them would pass their proof without a run. The device is one that has everything.
func TestEveryConvolutionKernelHasSmallShapes(t *testing.T) {
	lim := plan.Floor()
	lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize, lim.MaxComputeSharedMemorySize = 1024, [3]uint32{1024, 1024, 64}, 128<<10
	lim.SubgroupSize, lim.MinSubgroupSize, lim.MaxSubgroupSize, lim.SubgroupQuad, lim.Float16 = 32, 32, 32, true, true
	lim.Matrices = []plan.MatrixShape{{M: 16, N: 16, K: 16}}
	lim.HalfMatrices = lim.Matrices
	for _, name := range slices.Concat(plan.ConvKernels(), plan.HalfConvKernels(), plan.MatrixConvKernels(false)) {
		d := &device{limits: lim, opts: Options{Kernels: []string{name}}}
		if v := shaders.Lookup(name); v != nil { // of a transform's three none has its name
			d.opts.Precision = precisionOf(name)
		}
		list, err := d.smallNodes(graph.Conv2D{}, name)
		if err != nil || len(list) < 2 {
			t.Errorf("%s: got %d small shapes, %v, want two or more", name, len(list), err)
		}
	}
}
