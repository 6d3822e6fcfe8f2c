package shaders

import (
	"fmt"
	"slices"
)

// matrixSpec are the constants of conv2d_coopmat.comp: SG is the size of a subgroup, MM, NN and KK the shape of the matrices.
var matrixSpec = append(slices.Clone(walkSpec), "SG", "MM", "NN", "KK")

// matrixVariants are convolutions on matrix units, and the same indexing by loops for tiles that fit into the shared memory of drivers on the CPU.
var matrixVariants = func() (list []Variant) {
	list = append(list, Variant{
		Name: "peak_coopmat_f16", Source: "peak_coopmat.comp", Target: target, Bindings: 1, PushBytes: 12, Spec: []string{"WG", "MM", "NN", "KK"}, Matrix: true, Newer: true,
	}, matrix([3]int{128, 128, 32}, [2]int{2, 2}, false, false), matrix([3]int{64, 128, 32}, [2]int{1, 4}, false, false), matrix([3]int{64, 128, 32}, [2]int{1, 4}, false, true))
	for _, tile := range [][3]int{{64, 64, 32}, {32, 32, 32}, {64, 64, 64}, {32, 32, 64}} {
		grid := [2]int{2, tile[1] / 32}
		for _, emulated := range []bool{false, true} {
			if v := matrix(tile, grid, false, emulated); v.SharedBytes <= 32<<10 || !emulated {
				list = append(list, v, matrix(tile, grid, true, emulated))
			}
		}
	}
	for _, v := range list { // of the steps of 32 channels; one shape less is emulated, which takes long
		if v.StepChannels == 32 && !(v.FilterBlock == 64 && v.PixelTile == 128 && v.Emulated) {
			v.Name, v.Defines = v.Name+"a", slices.Clone(v.Defines)
			list = append(list, halfTerms(v))
		}
	}
	return list
}()

// matrix is a row of conv2d_coopmat.comp with a tile of filters × pixels × channels of a step.
func matrix(tile [3]int, grid [2]int, parts, emulated bool) Variant {
	name := fmt.Sprintf("conv2d_coopmat%dx%d", tile[0], tile[1])
	if tile[2] != 32 {
		name += fmt.Sprint("x", tile[2])
	}
	v := Variant{
		Source: "conv2d_coopmat.comp", Target: target, Bindings: 4, PushBytes: 40, Spec: matrixSpec, FilterBlock: tile[0], PixelTile: tile[1], StepChannels: tile[2], Grid: grid,
		Defines: []string{fmt.Sprint("BM=", tile[0]), fmt.Sprint("BN=", tile[1]), fmt.Sprintf("BK=%du", tile[2]), fmt.Sprint("WM=", grid[0]), fmt.Sprint("WN=", grid[1])},
		// Two steps, each row with 16 bytes more than its channels take, and the bias.
		SharedBytes: 2*(2*tile[2]+16)*(tile[0]+tile[1]) + 4*tile[0],
		Half:        true, Matrix: !emulated, Emulated: emulated, Newer: !emulated,
	}
	if parts {
		v = split(v)
		name += "_split"
	}
	if emulated {
		v.Defines = append(v.Defines, "EMULATE")
		name += "_emulated"
	}
	v.Name = name + "_f16"
	return v
}
