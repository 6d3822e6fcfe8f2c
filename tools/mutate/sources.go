package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// goFile is a file of Go code with the functions that are mutated: those that decide what a run computes. What only
// refuses or words an error is left out.
type goFile struct {
	path      string
	functions []string
}

const planDir = "backend/vulkan/internal/plan/"

var goFiles = []goFile{
	{"backend/internal/arena/arena.go", []string{"Assign", "LargestLiveSet", "Align"}},
	{planDir + "memory.go", []string{"roots", "place", "lifetimes"}},
	{planDir + "pack.go", []string{"packConv", "biasOf", "packLinear", "packBatchNorm", "packFilters", "lay", "place"}},
	{planDir + "command.go", []string{"overlaps", "reads", "views", "ViewBytes", "SpareBytes", "write", "track", "conflict"}},
	{planDir + "conv.go", []string{"geometryOf", "pixels", "window", "spec", "denseConv", "packedConv", "packedTiles", "slimConv", "depthwiseConv", "onVectors", "slabs", "regtileSize"}},
	{planDir + "format.go", []string{"holds", "elems", "sizeBytes", "vectors", "suffix", "lanes", "units"}},
	{planDir + "formats.go", []string{
		"inFormats", "batchNormKernels", "gateKernels", "splitAttentionKernels", "channelKernels", "spatialPadKernels", "subsampleKernels",
	}},
	{planDir + "group_norm.go", []string{"partsOf", "groupNormKernels", "packGroupNorm"}},
	{planDir + "kernel.go", []string{
		"at", "sizeBytes", "withBatch", "candidatesOf", "flat", "elementwise", "poolCandidates", "globalPoolCandidates", "linearCandidates", "convert",
		"workgroupSize", "spread", "ceilDiv", "flag",
	}},
	{planDir + "plan.go", []string{"Build", "batchOf", "buildChunked", "emptyGraph", "steps", "addWeights", "passes", "slice", "appendCopy", "rest"}},
	{planDir + "program.go", []string{"key", "assemble", "tensor", "need", "add"}},
	{planDir + "winograd.go", []string{"newToomCook", "along", "set", "winogradConv", "fits", "packFilters", "packBias"}},
	{planDir + "coopmat.go", []string{"onMatrices"}},
	{planDir + "tile.go", []string{"tileConv", "few", "direct", "steps", "walkConv", "divide"}},
	{planDir + "partition.go", []string{"of", "partition", "perDispatch", "aligned", "byGroups", "byBlocks", "part"}},
	{planDir + "half.go", []string{"halfCandidates", "halfElementwise", "splitHalf", "precisions"}},
	{"backend/vulkan/binding.go", []string{"bind", "matches", "record", "writeSets"}},
}

const glslDir = "shaders/glsl/"

// unmeasured are the sources of which no mutants are made, and why: the suite as the worker runs it would never see them.
var unmeasured = map[string]string{
	"peak_coopmat.comp": "it measures and computes no node",
	"peak_copy.comp":    "it measures and computes no node",
	"peak_fma.comp":     "it measures and computes no node",
}

// unbreakable are the sources in which the operators find nothing, and why.
var unbreakable = map[string]string{
	"stored.glsl": "it names types, and with a wrong one nothing compiles",
}

// include is the line by which one source takes in another.
var include = regexp.MustCompile(`(?m)^#include "([^"]+)"`)

// generate makes every mutant, by file; the order is the same each time.
func generate(root string) ([]mutant, error) {
	entries, err := os.ReadDir(filepath.Join(root, glslDir))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, e := range entries {
		if unmeasured[e.Name()] != "" {
			continue
		}
		src, err := os.ReadFile(filepath.Join(root, glslDir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, glslMutants(glslDir+e.Name(), string(src))...)
	}
	for _, f := range goFiles {
		src, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			return nil, err
		}
		list, err := goMutants(f.path, string(src), f.functions)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	byHand, err := handwritten(root)
	if err != nil {
		return nil, err
	}
	return append(all, byHand...), nil
}

// handwritten applies the list of mistakes that operators cannot make.
func handwritten(root string) ([]mutant, error) {
	files := map[string][]mistake{}
	var names []string
	for _, m := range mistakes {
		if files[m.file] == nil {
			names = append(names, m.file)
		}
		files[m.file] = append(files[m.file], m)
	}
	sort.Strings(names)
	var out []mutant
	for _, name := range names {
		src, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		var edits []edit
		for _, m := range files[name] {
			if n := strings.Count(string(src), m.old); n != 1 {
				return nil, fmt.Errorf("mistake %q: want its text once in %s, got it %d times: %q", m.why, name, n, m.old)
			}
			at := strings.Index(string(src), m.old)
			edits = append(edits, edit{"byhand", at, at + len(m.old), m.new})
		}
		out = append(out, makeMutants(name, string(src), edits, func(i int) string { return files[name][i].why })...)
	}
	return out, nil
}
