package vulkan

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// Those of peak_coopmat.comp.
const (
	peakMatrixSums     = 4
	peakMatrixPerRound = 15
	peakSubgroups      = 4 // of a workgroup: as many as a multiprocessor has matrix units
)

// peakMatrices measures one shape of the matrix units.
func (d *device) peakMatrices(ctx context.Context, m plan.MatrixShape) (backend.ArithmeticPeak, error) {
	size := d.limits.MinSubgroupSize
	subgroups := max(1, min(peakSubgroups, d.limits.MaxComputeWorkGroupInvocations/size, d.limits.MaxComputeWorkGroupSize[0]/size))
	groups := d.peakGroups()
	elements := uint64(groups) * uint64(subgroups) * uint64(m.M*m.N)
	y, err := d.allocate(4*elements, deviceMemory)
	if err != nil {
		return backend.ArithmeticPeak{}, err
	}
	defer d.free(y)
	step := &plan.Step{Variant: shaders.Lookup("peak_coopmat_f16"), Spec: []uint32{size * subgroups, uint32(m.M), uint32(m.N), uint32(m.K)}}
	r, err := d.newRacer(step, y)
	if err != nil {
		return backend.ArithmeticPeak{}, err
	}
	defer r.destroy()
	rounds, seconds, err := race(func(rounds uint32) (time.Duration, error) {
		return r.run(ctx, 1, func() { r.dispatch(groups, rounds, math.Float32bits(1), math.Float32bits(-1)) })
	})
	if err != nil {
		return backend.ArithmeticPeak{}, err
	}
	got := make([]byte, 4*elements)
	if err := d.staging.read(y, 0, got); err != nil {
		return backend.ArithmeticPeak{}, err
	}
	name := fmt.Sprintf("peak_coopmat_f16, %d×%d×%d", m.M, m.N, m.K)
	want := float32(peakMatrixSums) * float32(m.K) * float32(rounds)
	for i := 0; i < len(got); i += 4 {
		if v := math.Float32frombits(binary.NativeEndian.Uint32(got[i:])); v != want {
			return backend.ArithmeticPeak{}, fmt.Errorf("%s: wrong result at %d: got %g, want %g", name, i/4, v, want)
		}
	}
	flops := 2 * float64(m.M*m.N*m.K) * peakMatrixSums * peakMatrixPerRound * float64(rounds) * float64(groups) * float64(subgroups)
	return backend.ArithmeticPeak{DType: graph.Float16, Kernel: name, FLOPsPerSecond: flops / seconds}, nil
}
