package shaders

import "fmt"

// matrixSpec are the constants of conv2d_coopmat.comp: SG is the size of a subgroup, MM, NN and KK the shape of the matrices.
var matrixSpec = append(append([]string{}, convSpec...), "SG", "MM", "NN", "KK")

// matrixVariants are convolutions on matrix units, each with the same indexing by loops.
var matrixVariants = []Variant{
	matrix("conv2d_coopmat128x128_f16", 128, 128, [2]int{2, 4}, false),
	matrix("conv2d_coopmat64x64_f16", 64, 64, [2]int{2, 2}, false),
	matrix("conv2d_coopmat32x32_f16", 32, 32, [2]int{2, 1}, false),
	{
		Name: "peak_coopmat_f16", Source: "peak_coopmat.comp", Target: target, Bindings: 1, PushBytes: 12, Spec: []string{"WG", "MM", "NN", "KK"}, Matrix: true, Newer: true,
	},
	matrix("conv2d_coopmat128x128_emulated_f16", 128, 128, [2]int{2, 4}, true),
	matrix("conv2d_coopmat64x64_emulated_f16", 64, 64, [2]int{2, 2}, true),
	matrix("conv2d_coopmat32x32_emulated_f16", 32, 32, [2]int{2, 1}, true),
	split(matrix("conv2d_coopmat64x64_split_f16", 64, 64, [2]int{2, 2}, false)),
	split(matrix("conv2d_coopmat32x32_split_f16", 32, 32, [2]int{2, 1}, false)),
	split(matrix("conv2d_coopmat64x64_split_emulated_f16", 64, 64, [2]int{2, 2}, true)),
	split(matrix("conv2d_coopmat32x32_split_emulated_f16", 32, 32, [2]int{2, 1}, true)),
	{
		Name: "conv2d_reduce_f16", Source: "conv2d_reduce.comp", Target: target, Bindings: 3, PushBytes: 8, Spec: []string{"WG", "addShortcut", "applyReLU"}, Half: true,
	},
}

// split makes a variant one that divides the steps of a tile among workgroups; conv2d_reduce_f16 follows it.
func split(v Variant) Variant {
	v.Defines, v.Split, v.PushBytes = append(v.Defines, "SPLIT"), true, 48
	return v
}

// matrix is a row of conv2d_coopmat.comp with a tile of filters × pixels a workgroup.
func matrix(name string, filters, pixels int, grid [2]int, emulated bool) Variant {
	v := Variant{
		Name: name, Source: "conv2d_coopmat.comp", Target: target, Bindings: 4, PushBytes: 40, Spec: matrixSpec, FilterBlock: filters, PixelTile: pixels, Grid: grid,
		Defines: []string{fmt.Sprint("BM=", filters), fmt.Sprint("BN=", pixels), fmt.Sprint("WM=", grid[0]), fmt.Sprint("WN=", grid[1])},
		// Rows of 80 bytes for weights and inputs, a matrix of 256 float32 for each subgroup, and 16 bytes for each pixel.
		SharedBytes: 80*(filters+pixels) + 1024*grid[0]*grid[1] + 16*pixels,
		Half:        true, Matrix: !emulated, Emulated: emulated, Newer: !emulated,
	}
	if emulated {
		v.Defines = append(v.Defines, "EMULATE")
	}
	return v
}
