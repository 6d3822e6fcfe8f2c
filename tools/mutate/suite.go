package main

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/shaders"
)

// options are those of the worker, with the same names in JSON.
type options struct {
	Kernels      []string `json:"kernels,omitempty"`
	MaxChunk     int      `json:"max_chunk,omitempty"`
	ForceStaging bool     `json:"force_staging,omitempty"`
	Half         bool     `json:"half,omitempty"`       // store float16
	HalfTerms    bool     `json:"half_terms,omitempty"` // and multiply in it
	Fences       bool     `json:"fences,omitempty"`     // behind each tensor
}

// The drivers, by the names that stages have for them.
const (
	lavapipe    = "lavapipe"
	swiftShader = "SwiftShader"
)

// stage is a part of the suite on a driver. A mutant passes them in order until one kills it.
type stage struct {
	Name    string
	Driver  string
	Options options
	Cases   []string
	First   bool // for mutants that are expected to survive, and for a first look, these stages are enough
	// InBounds turns on GPU-assisted validation, which has kernels check every access: drivers that run on the CPU leave out
	// what lies outside of a binding, where a GPU may damage other memory. Kernels take many times as long to compile with it.
	InBounds bool
	Alone    bool // one case, with more time
	// GoTests, instead of cases, are packages whose unit tests are run: what they kill, the suite did not.
	GoTests []string
}

// opsOf are the operations that each variant computes; what the planner packs only between convolutions runs in blocks and
// networks. Not here is what cannot be made to run: variants for very large tensors alone, those on matrix units (what emulates them is of
// the same source), and measurements.
var opsOf = map[string][]string{
	"pack_f32": {"conv2d"}, "unpack_f32": {"conv2d"},
	"winograd_input2_f32": {"conv2d"}, "winograd_input4_f32": {"conv2d"}, "winograd_output2_f32": {"conv2d"}, "winograd_output4_f32": {"conv2d"},
	"winograd_input2_ssbo_f32": {"conv2d"}, "winograd_input4_ssbo_f32": {"conv2d"}, "winograd_output2_ssbo_f32": {"conv2d"}, "winograd_output4_ssbo_f32": {"conv2d"},
	"max_pool_packed_f32": {"block", "network"}, "avg_pool_packed_f32": {"block", "network"}, "global_avg_pool_packed_f32": {"block", "network"},
	"conv2d_regtile16_f32": {"conv2d"}, "conv2d_regtile4_f32": {"conv2d"}, "conv2d_shared64_f32": {"conv2d"},
	"relu_f32": {"relu"}, "add_f32": {"add"}, "batch_norm_f32": {"batch_norm"}, "max_pool_f32": {"max_pool"}, "avg_pool_f32": {"avg_pool"},
	"gate_f32": {"gate"}, "gate_add_f32": {"gate"}, "gate_packed_f32": {"gate", "block"}, "gate_add_packed_f32": {"gate", "block"}, "gate_f16": {"gate", "block"}, "gate_add_f16": {"gate", "block"},
	"batch_norm_packed_f32": {"block", "network"}, "batch_norm_f16": {"block", "network"},
	"split_attention_f32": {"split_attention"}, "split_attention_add_f32": {"split_attention"}, "split_attention_packed_f32": {"split_attention", "block"},
	"split_attention_add_packed_f32": {"split_attention", "block"}, "split_attention_f16": {"split_attention", "block"}, "split_attention_add_f16": {"split_attention", "block"},
	"group_norm_f32": {"group_norm"}, "group_norm_parts_f32": {"group_norm"}, "group_norm_merge_f32": {"group_norm"}, "group_norm_packed_f32": {"group_norm", "block"},
	"group_norm_parts_packed_f32": {"group_norm", "block"}, "group_norm_f16": {"group_norm", "block"}, "group_norm_parts_f16": {"group_norm", "block"},
	"channels_f32": {"channel_pad", "channel_slice", "concat"}, "channels_packed_f32": {"channel_slice", "concat", "block"}, "channels_f16": {"channel_slice", "concat", "block"},
	"spatial_pad_f32": {"spatial_pad"}, "spatial_pad_packed_f32": {"spatial_pad", "block"}, "spatial_pad_f16": {"spatial_pad", "block"},
	"pack_f16": {"conv2d"}, "unpack_f16": {"conv2d"}, "conv2d_reduce_f16": {"conv2d"}, "conv2d_reduce_f32": {"conv2d"}, "linear_split_f32": {"linear"},
	"add_f16": {"block", "network"}, "max_pool_packed_f16": {"block", "network"}, "global_avg_pool_packed_f16": {"block", "network"},
	"global_avg_pool_f32": {"global_avg_pool"}, "linear_f32": {"linear"}, "softmax_f32": {"softmax"}, "subsample_f32": {"subsample"}, "subsample_packed_f32": {"block", "network"}, "subsample_f16": {"block", "network"},
}

func init() {
	for _, v := range shaders.Manifest {
		if v.Source == "conv2d_packed.comp" || v.Source == "conv2d_slim.comp" || v.Source == "conv2d_tile.comp" || v.Source == "conv2d_depthwise.comp" || v.Emulated {
			opsOf[v.Name] = []string{"conv2d"}
		}
	}
}

// fallback computes the convolutions that a forced kernel does not.
const fallback = "conv2d_regtile4_f32"

// forcedBy are the kernels of package plan that make it run a variant for convolutions, nil where it is not of one.
func forcedBy(variant string) []string {
	switch {
	case variant == "conv2d_reduce_f16":
		return []string{"conv2d_coopmat32x32_split_emulated_f16", fallback}
	case variant == "conv2d_reduce_f32":
		return []string{"conv2d_tile32x32_split_f32", fallback}
	case variant == "pack_f16" || variant == "unpack_f16":
		return []string{"conv2d_packed8x4_f16", fallback}
	case strings.HasPrefix(variant, "conv2d_") || variant == "linear_split_f32":
		return slices.Compact([]string{variant, fallback})
	case strings.HasPrefix(variant, "winograd_"):
		products := "conv2d_packed8x4_f32"
		if strings.Contains(variant, "_ssbo") {
			products = "conv2d_packed8x4_ssbo_f32"
		}
		m := "4"
		if strings.Contains(variant, "put2_") {
			m = "2"
		}
		return []string{"winograd" + m + "_" + products, fallback}
	case variant == "pack_f32" || variant == "unpack_f32":
		return []string{"conv2d_packed8x4_f32", fallback}
	}
	return nil
}

// firstCases is how many cases of quick see a mutant first: of those that die, nearly all die of these.
const firstCases = 24

// glanceCases is how many of them each variant gets before any gets the rest.
const glanceCases = 4

// inBoundsCases is how many cases check every access: a kernel that leaves its tensors does so in most.
const inBoundsCases = 8

const manyRows = "softmax/n65541-c2/many-rows"

func isWinograd(o options) bool {
	return len(o.Kernels) > 0 && strings.HasPrefix(o.Kernels[0], "winograd")
}

// isDepthwise reports whether all kernels are for depthwise convolutions alone.
func isDepthwise(forced []options) bool {
	return !slices.ContainsFunc(forced, func(o options) bool {
		return len(o.Kernels) == 0 || !strings.HasPrefix(o.Kernels[0], "conv2d_depthwise")
	})
}

// depthwise matches the convolutions with a filter for each channel that are made for it: three pictures, a last vector that is not full, all epilogues and values.
var depthwise = regexp.MustCompile(`^conv2d/n3-c21-.*-k21-g21/`)

// suite chooses cases.
type suite struct{ all []conformance.Case }

// pick lists the cases of a profile that keep wants, in an order in which a fault shows soon: by turns one of each
// operation, whole numbers, whose bound is zero, and others in turns, and geometry mixed by a hash.
func (s suite) pick(p conformance.Profile, keep func(op string) bool) []string {
	type entry struct {
		name     string
		integers bool
		hash     uint32
		turn     int
	}
	groups := map[string][]entry{}
	for _, c := range s.all {
		op, _, _ := strings.Cut(c.Name, "/")
		if c.Profile > p || !keep(op) || c.OpensDevice { // the worker has one
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(c.Name)) //nolint:errcheck // a hash takes everything
		groups[op] = append(groups[op], entry{name: c.Name, integers: c.Values == conformance.Integers, hash: h.Sum32()})
	}
	var out []entry
	for op, g := range groups {
		sort.Slice(g, func(i, j int) bool { return g[i].hash < g[j].hash })
		turns := map[bool]int{}
		for _, e := range g {
			e.turn = 2 * turns[e.integers]
			if !e.integers {
				e.turn++
			}
			turns[e.integers]++
			if op == "network" { // their float64 runs take seconds
				e.turn += 1 << 20
			}
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].turn != out[j].turn {
			return out[i].turn < out[j].turn
		}
		return out[i].hash < out[j].hash
	})
	names := make([]string, len(out))
	for i, e := range out {
		names[i] = e.name
	}
	return names
}

// graphCases are the parts of the suite with more than one operation or more than one run.
var graphCases = []string{"block", "network", "replay", "concurrent", "recompile", "buffers", "cancel", "outputs", "inputs", "contract"}

func oneOf(names []string) func(string) bool {
	return func(op string) bool { return slices.Contains(names, op) }
}

// shaderStages are those of a mutant that changes these variants.
func (s suite) shaderStages(variants []string) []stage {
	var ops []string
	var forced []options
	for _, v := range variants {
		o := options{Kernels: forcedBy(v), Half: shaders.Lookup(v).Half, HalfTerms: shaders.Lookup(v).HalfTerms > 0}
		if !slices.ContainsFunc(forced, func(p options) bool {
			return p.Half == o.Half && p.HalfTerms == o.HalfTerms && slices.Equal(p.Kernels, o.Kernels)
		}) {
			forced = append(forced, o)
		}
		for _, op := range opsOf[v] {
			if !slices.Contains(ops, op) {
				ops = append(ops, op)
			}
		}
	}
	choosing := slices.ContainsFunc(forced, func(o options) bool { return len(o.Kernels) > 0 })
	what := strings.Join(ops, ", ")
	var out []stage
	add := func(first bool, driver, name string, cases []string) {
		for _, o := range forced {
			out = append(out, stage{First: first, Name: stageName(driver, name, o), Driver: driver, Options: o, Cases: cases})
		}
	}
	quick := s.pick(conformance.Quick, oneOf(ops))
	switch direct := slices.ContainsFunc(forced, func(o options) bool { return !isWinograd(o) }); {
	case !direct:
		quick = transformedFirst(quick)
	case isDepthwise(forced):
		quick = firstOf(quick, depthwise)
	case choosing:
		quick = specialSoon(quick)
	}
	few := len(quick)
	if choosing { // the others compile in no time
		few = min(firstCases, len(quick))
	}
	if glance := min(glanceCases, few); choosing { // a mutant of one variant need not pass through all cases of those before it
		add(true, lavapipe, what+" of quick, the first", quick[:glance])
		add(true, lavapipe, what+" of quick", quick[glance:few])
	} else {
		add(true, lavapipe, what+" of quick", quick[:few])
	}
	out = append(out, s.inBounds(ops, forced, quick)...)
	out = append(out, fenced(what, forced, quick)...)
	add(false, lavapipe, what+" of quick", quick[few:])
	add(false, lavapipe, "blocks, networks and runs of quick", s.pick(conformance.Quick, oneOf(graphCases)))
	add(false, swiftShader, what+" of quick", quick)
	full := s.pick(conformance.Full, oneOf(append([]string{"block"}, ops...)))
	add(false, lavapipe, what+" and blocks of full", slices.DeleteFunc(full, func(c string) bool { return slices.Contains(quick, c) }))
	return out
}

// fencedCases is how many cases are run with fences behind the tensors.
const fencedCases = 8

// fenced are the stages in which a kernel is seen that leaves its tensors.
func fenced(what string, forced []options, cases []string) (out []stage) {
	for _, o := range forced {
		some := cases // transforms take few cases with tails
		if !isWinograd(o) && !isDepthwise(forced) {
			some = firstOf(cases, tails)
		}
		o.Fences = true
		out = append(out, stage{First: true, Name: stageName(lavapipe, what+" of quick", o), Driver: lavapipe, Options: o, Cases: some[:min(fencedCases, len(some))]})
	}
	return out
}

// tails matches convolutions with several pictures, and a last vector of channels and filters with one that exists; and linear layers with rows that
// fill no tile.
var tails = regexp.MustCompile(`^(conv2d/n[2-9]-c(5|17|33|65|513)-h\d+-w\d+-k(5|17|19|33|65|513)-g1/|linear/n7-)`)

// inBounds are the stages in which kernels check each access, for some of the cases.
func (s suite) inBounds(ops []string, forced []options, cases []string) (out []stage) {
	single := slices.DeleteFunc(slices.Clone(ops), func(op string) bool { return slices.Contains(graphCases, op) })
	if len(single) > 0 { // their kernels are fewer, and it takes seconds to compile one that checks
		cases = slices.DeleteFunc(slices.Clone(cases), func(c string) bool { op, _, _ := strings.Cut(c, "/"); return !slices.Contains(single, op) })
		ops = single
	}
	stands := standsFor(forced)
	for i, o := range forced {
		checked := cases[:min(len(cases), inBoundsCases)]
		switch {
		case len(o.Kernels) > 0 && i == stands:
			checked = checked[:min(1, len(checked))]
			if !isWinograd(o) && !isDepthwise(forced) {
				if list := withTails(cases); len(list) > 0 {
					checked = list
				}
			}
		case len(o.Kernels) > 0 || o.Half: // packed kernels in float16 that check take minutes to compile
			continue
		case slices.Contains(cases, manyRows): // the only one whose dispatch has workgroups with nothing to do
			checked = append(slices.Clone(checked), manyRows)
		}
		out = append(out, stage{First: true, InBounds: true, Name: stageName(lavapipe, strings.Join(ops, ", ")+", each access checked", o), Driver: lavapipe, Options: o, Cases: checked})
	}
	return out
}

// standsFor is the one of some forced kernels whose accesses are checked for all, since they share their loads and stores: of those that emulate matrix units
// the smallest, as the others take minutes to compile, else the first.
func standsFor(forced []options) int {
	return max(0, slices.IndexFunc(forced, func(o options) bool {
		return len(o.Kernels) > 0 && strings.HasPrefix(o.Kernels[0], "conv2d_coopmat32x32_emulated")
	}))
}

// withTails are two of the cases that fill no tile, or those there are: one of any epilogue, and one that adds a shortcut.
func withTails(cases []string) (list []string) {
	for _, epilogue := range []string{"", "-add-"} {
		if i := slices.IndexFunc(cases, func(c string) bool { return tails.MatchString(c) && strings.Contains(c, epilogue) }); i >= 0 {
			list = append(list, cases[i])
		}
	}
	return slices.Compact(list)
}

// optionsOf are the options under which files that are about some kernels, or lay out for all of them, decide anything.
var optionsOf = map[string][]options{
	"pack.go": {
		{Kernels: []string{"conv2d_tile64x64_f32", "conv2d_packed8x4_f32", fallback}},
		{Half: true, Kernels: []string{"conv2d_coopmat64x64_emulated_f16", "conv2d_packed8x4_f16", fallback}},
		{Half: true, Kernels: []string{"conv2d_packed16x8_f16", fallback}},
		{Kernels: []string{fallback}},
	},
	"format.go":     {{}, {Half: true}, {Half: true, MaxChunk: 2}, {Kernels: []string{fallback}}},
	"formats.go":    {{}, {Half: true}, {Half: true, MaxChunk: 2}},
	"group_norm.go": {{}, {Half: true, MaxChunk: 2}},
	"partition.go":  {{Kernels: []string{"conv2d_packed8x4_f32", fallback}}, {Kernels: []string{"winograd4_conv2d_packed8x4_f32", "conv2d_packed16x4_quad_f32", fallback}}},
	"half.go":       {{Half: true}, {Half: true, Kernels: []string{"conv2d_packed8x4_f16", fallback}, MaxChunk: 2}},
	"tile.go": {
		{Kernels: []string{"conv2d_tile64x64_f32", fallback}, MaxChunk: 2},
		{Kernels: []string{"conv2d_tile32x32_split_f32", "conv2d_tile32x32_f32", fallback}},
	},
	"coopmat.go": {
		{Half: true, Kernels: []string{"conv2d_coopmat64x64_emulated_f16", fallback}},
		{Half: true, Kernels: []string{"conv2d_coopmat32x32_split_emulated_f16", "conv2d_coopmat32x32_emulated_f16", fallback}},
	},
}

// alsoStages are further stages of files whose functions are of single operations: kernels that no rule chooses on a driver that runs on the CPU, and
// kernels on float16 whose accesses are checked.
func (s suite) alsoStages(file string) []stage {
	add := func(what string, o options, cases []string, inBounds bool) stage {
		return stage{First: true, InBounds: inBounds, Name: stageName(lavapipe, what, o), Driver: lavapipe, Options: o, Cases: cases}
	}
	quick := func(ops ...string) []string { return s.pick(conformance.Quick, oneOf(ops)) }
	switch strings.TrimPrefix(file, planDir) {
	case "conv.go", "winograd.go": // what they say of dispatches that are divided, on the driver where some are
		var out []stage
		for _, o := range optionsOf["partition.go"] {
			first := firstOf(quick("conv2d"), divided)
			out = append(out, stage{First: true, Name: stageName(swiftShader, "conv2d of quick, the largest", o), Driver: swiftShader, Options: o, Cases: first[:firstCases]})
		}
		return out
	case "kernel.go":
		split := options{Kernels: forcedBy("linear_split_f32")}
		return []stage{
			add("linear of quick", split, quick("linear"), false),
			add("pools of quick", options{Half: true}, quick("max_pool", "avg_pool", "global_avg_pool"), false),
		}
	case "backend/vulkan/binding.go": // what is bound behind a tensor
		return []stage{add("conv2d, relu, add and outputs of quick", options{Fences: true}, quick("conv2d", "relu", "add", "outputs")[:firstCases], false)}
	case "half.go":
		return []stage{
			add("relu and add, each access checked", options{Half: true}, quick("relu", "add")[:inBoundsCases], true),
			add("relu and add of quick", options{Half: true, Fences: true}, quick("relu", "add"), false),
		}
	}
	return nil
}

// batch matches cases whose batch has several parts when they are of 2 pictures.
var batch = regexp.MustCompile(`(/|-)n(3|5|7|8|32)(-|/|$)`)

// goStages are those of a mutant of Go code: the quick profile as the planner decides for the driver, then where it decides
// otherwise. The numbers of the kernels are not in question, so one driver is enough.
func (s suite) goStages(file string) []stage {
	quick := s.pick(conformance.Quick, func(string) bool { return true })
	if deciding := optionsOf[strings.TrimPrefix(file, planDir)]; deciding != nil {
		var out []stage
		driver := lavapipe
		if strings.HasSuffix(file, "/partition.go") { // lavapipe's texel buffers hold everything
			driver = swiftShader
		}
		ops := []string{"conv2d", "gate", "relu", "add", "max_pool", "avg_pool", "global_avg_pool"}
		switch strings.TrimPrefix(file, planDir) {
		case "group_norm.go":
			ops = append(ops, "group_norm")
		case "formats.go":
			ops = append(ops, "batch_norm", "split_attention", "concat", "channel_slice", "channel_pad", "spatial_pad", "subsample")
		}
		for _, o := range deciding {
			cases := s.pick(conformance.Quick, oneOf(append(ops, graphCases...)))
			if driver == swiftShader {
				cases = firstOf(cases, divided)
			}
			out = append(out, stage{First: true, Name: stageName(driver, "convolutions, blocks, networks and runs of quick", o), Driver: driver, Options: o, Cases: cases})
		}
		out = append(out, s.alsoStages(file)...)
		return append(out, stage{First: true, Name: "unit tests", GoTests: []string{"./backend/vulkan/internal/plan"}})
	}
	few := min(3*firstCases, len(quick))
	name := stageName(lavapipe, "quick", options{})
	out := []stage{{First: true, Name: name, Driver: lavapipe, Cases: quick[:few]}}
	o := options{Kernels: []string{"conv2d_shared64_f32"}, MaxChunk: 2, ForceStaging: true}
	packed := options{Kernels: []string{"winograd4_conv2d_packed8x4_f32", "conv2d_packed8x4_f32", fallback}, MaxChunk: 2}
	// Few of the batches are convolutions that go through transforms. Staged, their weights are packed in pieces.
	convs := options{Kernels: packed.Kernels, ForceStaging: true}
	out = append(out, stage{First: true, Name: stageName(lavapipe, "conv2d of quick", convs), Driver: lavapipe, Options: convs,
		Cases: transformedFirst(s.pick(conformance.Quick, oneOf([]string{"conv2d"})))})
	out = append(out, s.alsoStages(file)...)
	var batches []string
	for _, c := range quick {
		if batch.MatchString(c) {
			batches = append(batches, c)
		}
	}
	out = append(out,
		stage{First: true, Name: stageName(lavapipe, "batches of quick", o), Driver: lavapipe, Options: o, Cases: batches[:min(2*firstCases, len(batches))]},
		stage{First: true, Name: stageName(lavapipe, "batches of quick", packed), Driver: lavapipe, Options: packed, Cases: batches[:min(firstCases, len(batches))]},
		stage{Name: name, Driver: lavapipe, Cases: quick[few:]},
		stage{Name: stageName(lavapipe, "quick", o), Driver: lavapipe, Options: o, Cases: quick},
	)
	tests := []string{"./backend/vulkan/internal/plan"}
	if strings.HasPrefix(file, "backend/internal/arena/") {
		tests = append([]string{"./backend/internal/arena"}, tests...)
	}
	if !strings.HasPrefix(file, "backend/vulkan/binding") {
		out = append(out, stage{First: true, Name: "unit tests", GoTests: tests})
	}
	return out
}

func stageName(driver, what string, o options) string {
	name := driver + ": " + what
	if len(o.Kernels) > 0 {
		name += " with " + o.Kernels[0]
	}
	if o.Half {
		name += ", float16"
	}
	if o.HalfTerms {
		name += " arithmetic"
	}
	if o.MaxChunk > 0 {
		name += fmt.Sprintf(", in parts of %d pictures", o.MaxChunk)
	}
	if o.Fences {
		name += ", with fences"
	}
	if o.ForceStaging {
		name += ", through staging memory"
	}
	return name
}
