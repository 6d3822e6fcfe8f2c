package shaders

import (
	"fmt"
	"slices"
)

// matrixSpec are the constants of conv2d_coopmat.comp: SG is the size of a subgroup, MM, NN and KK the shape of the matrices, WM and WN how many subgroups
// stand along filters and along pixels; full: the filters of a group fill its blocks.
var matrixSpec = append(slices.Clone(walkSpec), "SG", "MM", "NN", "KK", "WM", "WN", "full")

// matrixVariants are convolutions on matrix units, and the same indexing by loops for tiles that fit into the shared memory of drivers on the CPU.
var matrixVariants = func() (list []Variant) {
	list = append(list, Variant{
		Name: "peak_coopmat_f16", Source: "peak_coopmat.comp", Target: target, Bindings: 1, PushBytes: 12, Spec: []string{"WG", "MM", "NN", "KK"}, Matrix: true, Newer: true,
	})
	large := []Variant{
		matrix([3]int{128, 128, 32}, [2]int{2, 2}, matrixForm{}), matrix([3]int{64, 128, 32}, [2]int{1, 4}, matrixForm{}),
		matrix([3]int{64, 128, 32}, [2]int{1, 4}, matrixForm{emulated: true}),
	}
	var small, ahead []Variant
	for _, tile := range [][3]int{{64, 64, 32}, {32, 32, 32}, {64, 64, 64}, {32, 32, 64}} {
		grid := [2]int{2, tile[1] / 32}
		for _, emulated := range []bool{false, true} {
			if v := matrix(tile, grid, matrixForm{emulated: emulated}); v.SharedBytes <= 32<<10 || !emulated {
				small = append(small, v, matrix(tile, grid, matrixForm{emulated: emulated, split: true}))
			}
		}
		if tile[2] == 64 {
			ahead = append(ahead, matrix(tile, grid, matrixForm{ahead: true}), matrix(tile, grid, matrixForm{ahead: true, split: true}))
		}
	}
	list = append(list, large...)
	list = append(list, small...)
	for _, v := range slices.Concat(large, small) { // of the steps of 32 channels; one shape less is emulated, which takes long
		if v.StepChannels == 32 && !(v.FilterBlock == 64 && v.PixelTile == 128 && v.Emulated) {
			v.Name, v.Defines = v.Name+"a", slices.Clone(v.Defines)
			list = append(list, halfTerms(v))
		}
	}
	return append(append(list, ahead...),
		matrix([3]int{128, 128, 32}, [2]int{2, 4}, matrixForm{eight: true}),
		matrix([3]int{128, 128, 32}, [2]int{2, 2}, matrixForm{ahead: true}), matrix([3]int{64, 128, 32}, [2]int{1, 4}, matrixForm{ahead: true}),
		matrix([3]int{64, 128, 32}, [2]int{1, 4}, matrixForm{ahead: true, emulated: true}), matrix([3]int{32, 32, 64}, [2]int{2, 1}, matrixForm{ahead: true, split: true, emulated: true}))
}()

// matrixForm is what a row of conv2d_coopmat.comp has beside its tile.
type matrixForm struct {
	ahead, split, emulated bool

	eight bool // subgroups, where another row has the same tile with fewer: each makes less and needs fewer registers
}

// matrix is a row of conv2d_coopmat.comp with a tile of filters × pixels × channels of a step.
func matrix(tile [3]int, grid [2]int, form matrixForm) Variant {
	name := fmt.Sprintf("conv2d_coopmat%dx%d", tile[0], tile[1])
	if tile[2] != 32 {
		name += fmt.Sprint("x", tile[2])
	}
	v := Variant{
		Source: "conv2d_coopmat.comp", Target: target, Bindings: 4, PushBytes: 40, Spec: matrixSpec, FilterBlock: tile[0], PixelTile: tile[1], StepChannels: tile[2], Grid: grid,
		Defines: []string{fmt.Sprint("BM=", tile[0]), fmt.Sprint("BN=", tile[1]), fmt.Sprintf("BK=%du", tile[2])},
		// Two steps, each row with 16 bytes more than its channels take, and the bias.
		SharedBytes: 2*(2*tile[2]+16)*(tile[0]+tile[1]) + 4*tile[0],
		Half:        true, Matrix: !form.emulated, Emulated: form.emulated, Newer: !form.emulated,
	}
	if form.eight {
		name += "_eight"
	}
	if form.ahead {
		v.Defines = append(v.Defines, "AHEAD")
		name += "_ahead"
	}
	if form.split {
		v = split(v)
		name += "_split"
	}
	if form.emulated {
		v.Defines = append(v.Defines, "EMULATE")
		name += "_emulated"
	}
	v.Name = name + "_f16"
	return v
}
