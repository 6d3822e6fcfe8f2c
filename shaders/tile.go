package shaders

import (
	"fmt"
	"slices"
)

// walkSpec are the constants of conv2d_walk.glsl.
var walkSpec = append(slices.Clone(convSpec), "few", "whole", "direct")

// tileVariants are convolutions through shared memory on packed channels.
var tileVariants = []Variant{
	tile("conv2d_tile128x128_f32", [2]int{128, 128}, [2]int{8, 8}),
	tile("conv2d_tile64x64_f32", [2]int{64, 64}, [2]int{8, 4}),
	tile("conv2d_tile32x32_f32", [2]int{32, 32}, [2]int{4, 4}),
	split(tile("conv2d_tile64x64_split_f32", [2]int{64, 64}, [2]int{8, 4})),
	split(tile("conv2d_tile32x32_split_f32", [2]int{32, 32}, [2]int{4, 4})),
	half(tile("conv2d_tile128x128_f16", [2]int{128, 128}, [2]int{8, 8})),
	half(tile("conv2d_tile64x64_f16", [2]int{64, 64}, [2]int{8, 4})),
	half(tile("conv2d_tile32x32_f16", [2]int{32, 32}, [2]int{4, 4})),
	half(split(tile("conv2d_tile64x64_split_f16", [2]int{64, 64}, [2]int{8, 4}))),
	half(split(tile("conv2d_tile32x32_split_f16", [2]int{32, 32}, [2]int{4, 4}))),
	halfTile(tile("conv2d_tile128x128_f16a", [2]int{128, 128}, [2]int{8, 8})),
	halfTile(tile("conv2d_tile64x64_f16a", [2]int{64, 64}, [2]int{8, 4})),
	halfTile(tile("conv2d_tile32x32_f16a", [2]int{32, 32}, [2]int{4, 4})),
	halfTile(split(tile("conv2d_tile64x64_split_f16a", [2]int{64, 64}, [2]int{8, 4}))),
	halfTile(split(tile("conv2d_tile32x32_split_f16a", [2]int{32, 32}, [2]int{4, 4}))),
	reduce("conv2d_reduce_f32"), half(reduce("conv2d_reduce_f16")),
}

// tile is a row of conv2d_tile.comp with a tile of filters × pixels a workgroup, and a part of it an invocation.
func tile(name string, all, own [2]int) Variant {
	return Variant{
		Name: name, Source: "conv2d_tile.comp", Target: target, Bindings: 4, PushBytes: 40,
		Spec:    append([]string{""}, walkSpec[1:]...), // the local size is part of the tile
		Defines: []string{fmt.Sprint("BM=", all[0]), fmt.Sprint("BN=", all[1]), fmt.Sprint("TM=", own[0]), fmt.Sprint("TN=", own[1])},
		// Two steps of 16 channels of float32.
		StepChannels: 16, SharedBytes: 2 * 16 * 4 * (all[0] + all[1]), LocalSize: all[0] / own[0] * (all[1] / own[1]),
		FilterBlock: all[0], PixelTile: all[1], Optimize: true,
	}
}

// split makes a variant one that divides the steps of a tile among workgroups; one of conv2d_reduce.comp follows it.
func split(v Variant) Variant {
	v.Defines, v.Split, v.PushBytes, v.Optimize = append(v.Defines, "SPLIT"), true, 48, false // optimized, it would lose the binding of the shortcut
	return v
}

// halfTile makes a variant of conv2d_tile.comp one for float16 that multiplies in it: its tiles in shared memory are of float16 then.
func halfTile(v Variant) Variant {
	v.SharedBytes /= 2
	return halfTerms(half(v))
}

// halfTerms makes a variant for float16 one whose products of a step are made and added in float16.
func halfTerms(v Variant) Variant {
	v.Defines, v.HalfTerms = append(v.Defines, "HALF_TERMS"), v.StepChannels
	return v
}

func reduce(name string) Variant {
	return Variant{Name: name, Source: "conv2d_reduce.comp", Target: target, Bindings: 3, PushBytes: 8, Spec: []string{"WG", "addShortcut", "applyReLU"}}
}
