package plan

import "github.com/resnet-run/resnet-run/shaders"

// What follows is the rule by which kernels are chosen where nothing was measured on the device: rough rates for three
// kinds of devices. Only the order and rough ratios matter. The kinds are told apart by facts, never by names.

// kind is a kind of device.
type kind int

const (
	gpu         kind = iota
	softVectors      // a driver on the CPU whose subgroup is a vector of the CPU, wider than a quad
	softQuads        // a driver on the CPU whose subgroup is a quad
)

func (lim *Limits) kind() kind {
	switch {
	case !lim.SoftwareDriver:
		return gpu
	case lim.SubgroupQuad && lim.SubgroupSize == 4:
		return softQuads
	}
	return softVectors
}

// rates are multiply-accumulates a second, in billions. The columns of drivers on the CPU were measured on Mesa's
// lavapipe and on SwiftShader with two cores, for 64 channels and filters on 56×56 and 512 on 7×7; the column of GPUs
// has ratios that follow from the loads each kernel makes; layers of an NVIDIA H200 agree with them within a factor of 2.
var rates = map[string][3]float64{
	"conv2d_packed16x8_f32":           {500, 13, 4.2},
	"conv2d_packed8x8_f32":            {900, 11, 4.0},
	"conv2d_packed8x4_f32":            {900, 9, 3.6},
	"conv2d_packed4x4_f32":            {600, 6, 2.4},
	"conv2d_packed16x8_quad_f32":      {500, 22, 6.0},
	"conv2d_packed8x8_quad_f32":       {800, 20, 5.6},
	"conv2d_packed16x4_quad_f32":      {800, 19, 5.5},
	"conv2d_packed8x4_quad_f32":       {800, 15, 4.8},
	"conv2d_packed16x2_quad_f32":      {500, 15, 4.0},
	"conv2d_packed8x4_ssbo_f32":       {850, 4, 2.4},
	"conv2d_packed16x4_quad_ssbo_f32": {700, 6, 4.2},
	"conv2d_packed8x4_quad_ssbo_f32":  {700, 5, 4.0},
	"conv2d_shared64_f32":             {1000, 1.4, 0.6},
	"conv2d_regtile16_f32":            {500, 5, 1.8},
	"conv2d_regtile4_f32":             {300, 3, 1.2},
	"conv2d_packed16x8_f16":           {700, 14, 1.8},
	"conv2d_packed8x8_f16":            {1200, 12, 1.7},
	"conv2d_packed8x4_f16":            {1200, 9, 1.5},
	"conv2d_packed4x4_f16":            {800, 5, 1.0},
	"conv2d_packed8x8_quad_f16":       {1100, 2, 2.4},
	"conv2d_packed8x4_ssbo_f16":       {1100, 2.5, 1.0},
	// On matrix units, whose rate is some ten times that of other arithmetic; drivers on the CPU have none.
	"conv2d_coopmat128x128_f16":        {12000, 1, 1},
	"conv2d_coopmat64x128_f16":         {12500, 1, 1},
	"conv2d_coopmat64x64_f16":          {11000, 1, 1},
	"conv2d_coopmat64x64x64_f16":       {11000, 1, 1},
	"conv2d_coopmat32x32_f16":          {5000, 1, 1},
	"conv2d_coopmat32x32x64_f16":       {5000, 1, 1},
	"conv2d_coopmat64x64_split_f16":    {11000, 1, 1},
	"conv2d_coopmat64x64x64_split_f16": {11000, 1, 1},
	"conv2d_coopmat32x32_split_f16":    {5000, 1, 1},
	"conv2d_coopmat32x32x64_split_f16": {5000, 1, 1},
	// Through shared memory, which is ordinary memory for drivers on the CPU.
	"conv2d_tile128x128_f32":     {6000, 1, 0.5},
	"conv2d_tile64x64_f32":       {4500, 1, 0.5},
	"conv2d_tile32x32_f32":       {2500, 1, 0.5},
	"conv2d_tile64x64_split_f32": {4500, 0.9, 0.4},
	"conv2d_tile32x32_split_f32": {2500, 0.9, 0.4},
	"conv2d_tile128x128_f16":     {6000, 1, 0.4},
	"conv2d_tile64x64_f16":       {4500, 1, 0.4},
	"conv2d_tile32x32_f16":       {2500, 1, 0.4},
	"conv2d_tile64x64_split_f16": {4500, 0.9, 0.3},
	"conv2d_tile32x32_split_f16": {2500, 0.9, 0.3},
}

// serialRate is how many multiply-accumulates a second one invocation of a GPU makes when there are few others (measured on
// an NVIDIA H200, where a kernel of 64×64 tiles has eight workgroups for 512 filters of 7×7): what bounds small layers.
const serialRate = 0.25e9

// rate is the rate of a convolution kernel in multiply-accumulates a second.
func (lim *Limits) rate(v *shaders.Variant) float64 {
	if v.Emulated {
		return 1e8 // only where it is asked for
	}
	return 1e9 * rates[v.Name][lim.kind()]
}

// bandwidth is in bytes a second.
func (lim *Limits) bandwidth() float64 { return [...]float64{500e9, 3e9, 1e9}[lim.kind()] }

// whyConv says in a few words what the rule goes by.
func (lim *Limits) whyConv() string {
	return [...]string{
		"the widest tile that the layer fills",
		"a driver on the CPU fetches whole vectors from texel buffers, and a quad shares weights",
		"a driver on the CPU, where a quad shares the weights that it fetches",
	}[lim.kind()]
}

// packedLocalSize is the local size of the packed kernels. A software driver runs a workgroup on one thread, and one
// of a subgroup's size wastes the least at the end of a picture.
func (lim *Limits) packedLocalSize() int {
	size := uint32(32)
	if lim.SoftwareDriver {
		size = max(lim.SubgroupSize, 4)
	}
	return int(min(size, lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0]))
}
