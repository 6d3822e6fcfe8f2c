package plan

import (
	"fmt"

	"github.com/resnet-run/resnet-run/shaders"
)

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
// lavapipe and on SwiftShader with two cores, for 64 channels and filters on 56×56 and 512 on 7×7; the column of GPUs on an NVIDIA H200 which had
// enough to do: layers of resnet50 with 64 pictures (BenchmarkLayers); what was not measured there has ratios that follow from the loads it makes.
var rates = map[string][3]float64{
	"conv2d_packed16x8_f32":           {2200, 13, 4.2},
	"conv2d_packed8x8_f32":            {4000, 11, 4.0},
	"conv2d_packed8x4_f32":            {4000, 9, 3.6},
	"conv2d_packed4x4_f32":            {2700, 6, 2.4},
	"conv2d_packed16x8_quad_f32":      {2200, 22, 6.0},
	"conv2d_packed8x8_quad_f32":       {3600, 20, 5.6},
	"conv2d_packed16x4_quad_f32":      {3600, 19, 5.5},
	"conv2d_packed8x4_quad_f32":       {3600, 15, 4.8},
	"conv2d_packed16x2_quad_f32":      {2200, 15, 4.0},
	"conv2d_packed8x4_ssbo_f32":       {3800, 4, 2.4},
	"conv2d_packed16x4_quad_ssbo_f32": {3200, 6, 4.2},
	"conv2d_packed8x4_quad_ssbo_f32":  {3200, 5, 4.0},
	"conv2d_slim8x2_f32":              {1500, 1, 1},
	// Not measured on a GPU: an eighth of what loads of an H200's L1 caches would allow.
	"conv2d_depthwise_f32":             {1500, 0.5, 0.4},
	"conv2d_depthwise_packed_f32":      {2000, 1.5, 0.8},
	"conv2d_depthwise_packed_ssbo_f32": {2000, 1.1, 0.8},
	"conv2d_depthwise_packed_f16":      {2000, 1.4, 0.7},
	"conv2d_depthwise_packed_ssbo_f16": {2000, 1.2, 0.7},
	"conv2d_shared64_f32":              {9000, 1.4, 0.6},
	"conv2d_regtile16_f32":             {2200, 5, 1.8},
	"conv2d_regtile4_f32":              {1300, 3, 1.2},
	"conv2d_packed16x8_f16":            {3000, 14, 1.8},
	"conv2d_packed8x8_f16":             {5000, 12, 1.7},
	"conv2d_packed8x4_f16":             {5000, 9, 1.5},
	"conv2d_packed4x4_f16":             {3500, 5, 1.0},
	"conv2d_packed8x8_quad_f16":        {4500, 2, 2.4},
	"conv2d_packed8x4_ssbo_f16":        {4500, 2.5, 1.0},
	"conv2d_slim8x2_f16":               {2000, 0.5, 0.5},
	// On matrix units; drivers on the CPU have none.
	"conv2d_coopmat128x128_f16":        {87000, 1, 1},
	"conv2d_coopmat64x128_f16":         {80000, 1, 1},
	"conv2d_coopmat64x64_f16":          {75000, 1, 1},
	"conv2d_coopmat64x64x64_f16":       {81000, 1, 1},
	"conv2d_coopmat32x32_f16":          {35000, 1, 1},
	"conv2d_coopmat32x32x64_f16":       {40000, 1, 1},
	"conv2d_coopmat64x64_split_f16":    {75000, 1, 1},
	"conv2d_coopmat64x64x64_split_f16": {90000, 1, 1},
	"conv2d_coopmat32x32_split_f16":    {35000, 1, 1},
	"conv2d_coopmat32x32x64_split_f16": {40000, 1, 1},
	// By eight subgroups, or with two steps on their way, not measured: the rule takes them for a little slower, and tuning finds where they are faster.
	"conv2d_coopmat128x128_eight_f16":        {86500, 1, 1},
	"conv2d_coopmat128x128_ahead_f16":        {86000, 1, 1},
	"conv2d_coopmat64x128_ahead_f16":         {79000, 1, 1},
	"conv2d_coopmat64x64x64_ahead_f16":       {80000, 1, 1},
	"conv2d_coopmat32x32x64_ahead_f16":       {39000, 1, 1},
	"conv2d_coopmat64x64x64_ahead_split_f16": {89000, 1, 1},
	"conv2d_coopmat32x32x64_ahead_split_f16": {39000, 1, 1},
	// Through shared memory, which is ordinary memory for drivers on the CPU.
	"conv2d_tile128x128_f32":     {14000, 1, 0.5},
	"conv2d_tile64x64_f32":       {17500, 1, 0.5},
	"conv2d_tile32x32_f32":       {12000, 1, 0.5},
	"conv2d_tile64x64_split_f32": {17500, 0.9, 0.4},
	"conv2d_tile32x32_split_f32": {12000, 0.9, 0.4},
	"conv2d_tile128x128_f16":     {14000, 1, 0.4},
	"conv2d_tile64x64_f16":       {17500, 1, 0.4},
	"conv2d_tile32x32_f16":       {12000, 1, 0.4},
	"conv2d_tile64x64_split_f16": {17500, 0.9, 0.3},
	"conv2d_tile32x32_split_f16": {12000, 0.9, 0.3},
	// With products in float16, not measured. GPUs without matrix units make up to twice as many of them; those with them make as many or, where
	// they are made for games, twice as many, which only tuning can tell. Drivers on the CPU convert each of them to float32 and back.
	"conv2d_tile128x128_f16a":        {20000, 0.5, 0.2},
	"conv2d_tile64x64_f16a":          {25000, 0.5, 0.2},
	"conv2d_tile32x32_f16a":          {16000, 0.5, 0.2},
	"conv2d_tile64x64_split_f16a":    {25000, 0.4, 0.2},
	"conv2d_tile32x32_split_f16a":    {16000, 0.4, 0.2},
	"conv2d_coopmat128x128_f16a":     {55000, 1, 1},
	"conv2d_coopmat64x128_f16a":      {70000, 1, 1},
	"conv2d_coopmat64x64_f16a":       {65000, 1, 1},
	"conv2d_coopmat64x64_split_f16a": {65000, 1, 1},
	"conv2d_coopmat32x32_f16a":       {30000, 1, 1},
	"conv2d_coopmat32x32_split_f16a": {30000, 1, 1},
}

// What bounds small layers on a GPU, measured on an NVIDIA H200 with one picture.
const (
	launchSeconds = 4e-6   // a dispatch that has nothing to do, with the barrier before it
	serialRate    = 0.25e9 // multiply-accumulates a second of one invocation when there are few others
	arrival       = 0.5e-6 // inputs and weights of a step of conv2d_walk.glsl arrive, and a barrier is met
	otherSteps    = 2.25   // what begins and ends a tile takes as long as so many steps
)

// inMemory is how many times slower a kernel is when what belongs into registers lies in memory: float32 tiles on an NVIDIA H200 were 10 times slower so.
const inMemory = 8

// The GPU of the rates has 132 multiprocessors, and workgroups for 128 of them keep it busy. Others are taken to have as large a part of its rate and
// bandwidth as of its multiprocessors, where their driver tells how many there are.
const (
	largeGPU    = 132
	largeGroups = 128
)

// An integrated GPU is taken for this, which is Intel's Xe and AMD's of the last years within a factor of three, by their data sheets (not measured). What
// counts is that it has fewer multiprocessors than a discrete one, of half the rate, and less memory bandwidth for its rate: sums that are divided among
// workgroups gain less there, and cost more.
const (
	integratedCores     = 16   // unless the driver tells
	integratedRate      = 0.5  // of a multiprocessor of the large GPU
	integratedStep      = 2    // times longer for the products of a step, without matrix units
	integratedBandwidth = 60e9 // bytes a second
)

// multiprocessors is how many a GPU has, or is taken to have.
func (lim *Limits) multiprocessors() int {
	switch {
	case lim.Multiprocessors > 0:
		return lim.Multiprocessors
	case lim.Integrated:
		return integratedCores
	}
	return largeGPU
}

// fillingGroups is how many workgroups keep a GPU busy.
func (lim *Limits) fillingGroups() int { return max(1, lim.multiprocessors()*largeGroups/largeGPU) }

// part is the part of the large GPU's rate that a GPU has. Drivers on the CPU have rates of their own.
func (lim *Limits) part() float64 {
	if lim.kind() != gpu {
		return 1
	}
	part := float64(lim.multiprocessors()) / largeGPU
	if lim.Integrated {
		part *= integratedRate
	}
	return part
}

// What makes kernels on matrix units slower than their rates, which are of subgroups of 32.
const (
	mostSums = 128 // of an invocation: no GPU has more than 256 registers for one, and operands and addresses want theirs
	// Narrow subgroups are Intel's, whose compiler makes many instructions of a matrix that is loaded from shared memory. By its own estimate (not
	// measured; docs/benchmarks/compilers.md) a tile of 64×64 makes 1.9 times as many products a cycle as conv2d_tile64x64 with subgroups of 16, and
	// 1.4 times as many with subgroups of 8. Those are left to tuning: llama.cpp measured its own kernels on such GPUs, and found them slower.
	mostNarrowSums = 16
	narrow         = 3
	narrowest      = 5
)

// fewRegisters tells whether a GPU has too few registers for tiles: 64 for an invocation where others have 128 to 256. Vulkan has no property for
// that; Arm's Mali and Broadcom's V3D, which are so (docs/benchmarks/compilers.md), have subgroups of 16 at most, which Intel's GPUs have beside wider ones,
// and as little shared memory as the specification allows, or twice that.
func (lim *Limits) fewRegisters() bool {
	isNarrow := lim.SubgroupSize > 0 && max(lim.SubgroupSize, lim.MaxSubgroupSize) <= 16
	return lim.kind() == gpu && (lim.MaxComputeSharedMemorySize <= 16<<10 || lim.MaxComputeSharedMemorySize <= 32<<10 && isNarrow)
}

// burden is how many times slower than its rate a kernel on matrix units is.
func (lim *Limits) burden(v *shaders.Variant) float64 {
	a, ok := lim.arrangement(v)
	if !ok {
		return 1
	}
	sums := v.FilterBlock * v.PixelTile / a.invocations()
	switch {
	case sums > mostSums, a.subgroup < usualSubgroup && sums > mostNarrowSums:
		return inMemory
	case a.subgroup < usualSubgroup/2:
		return narrowest
	case a.subgroup < usualSubgroup:
		return narrow
	}
	return 1
}

// stepSeconds is how long a workgroup takes for a step of conv2d_walk.glsl when it has a multiprocessor to itself.
func (lim *Limits) stepSeconds(v *shaders.Variant) float64 {
	each := 4e-12
	switch {
	case v.Matrix:
		each = 1.1e-12
	case lim.Integrated:
		each *= integratedStep
	}
	return arrival + each*float64(v.FilterBlock*v.PixelTile*v.StepChannels)
}

// rate is the rate of a convolution kernel in multiply-accumulates a second.
func (lim *Limits) rate(v *shaders.Variant) float64 {
	if v.Emulated {
		return 1e8 // only where it is asked for
	}
	r := rates[v.Name][lim.kind()]
	if lim.fewRegisters() && !v.FewRegisters {
		r = min(r, rates["conv2d_slim8x2_f32"][gpu]) / inMemory // shared memory is ordinary memory there, and makes nothing faster
	}
	return 1e9 * r * lim.part()
}

// bandwidth is in bytes a second.
func (lim *Limits) bandwidth() float64 {
	if lim.Integrated {
		return integratedBandwidth
	}
	return [...]float64{3000e9, 3e9, 1e9}[lim.kind()] * lim.part()
}

// whyConv says in a few words what the rule goes by in taking a candidate.
func (lim *Limits) whyConv(c *Candidate) string {
	switch {
	case lim.fewRegisters():
		return "a GPU with few registers, where larger tiles would lie in memory"
	case lim.kind() == gpu:
		return fmt.Sprintf("the tile and the division of sums that keep a GPU of %d multiprocessors busiest", lim.multiprocessors())
	}
	why := "a driver on the CPU"
	for _, v := range c.Variants() {
		if v.FilterBlock == 0 {
			continue // what makes products decides
		}
		if len(v.Texels) > 0 {
			why += ", which fetches whole vectors from texel buffers"
		}
		if v.Quad {
			why += ", where a quad shares the weights that it fetches"
		}
		break
	}
	return why
}

// packedLocalSize is the local size of the packed kernels. A software driver runs a workgroup on one thread, and one
// of a subgroup's size wastes the least at the end of a picture. A GPU whose subgroups are all wider than 32 would leave invocations of each idle.
func (lim *Limits) packedLocalSize() int {
	size := max(32, lim.MinSubgroupSize)
	if lim.SoftwareDriver {
		size = max(lim.SubgroupSize, 4)
	}
	return int(min(size, lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0]))
}
