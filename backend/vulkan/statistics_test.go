package vulkan

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/shaders"
)

// compileEnv asks TestCompilersKeepSumsInRegisters for the devices of RESNET_RUN_TEST_ICD, in this process. "rule" shows the kernels that the rule
// chooses for resnet50, the name of one of its nodes all that could compute it.
const compileEnv = "RESNET_RUN_COMPILE"

// absentGPUs are GPUs for which Mesa's RADV compiles without having one: with subgroups of 64 alone, with those of 32 as well, and with matrix units, under the
// older name and the newer one.
var absentGPUs = []string{"vega10", "navi21", "gfx1100", "navi31"}

// TestCompilersKeepSumsInRegisters has a driver for real GPUs compile the kernels that the rule chooses, where no GPU is needed for that: none may keep
// in memory what belongs into registers, which costs a kernel most of its speed. docs/benchmarks/compilers.md has what it shows with -v, and other drivers.
func TestCompilersKeepSumsInRegisters(t *testing.T) {
	if what := os.Getenv(compileEnv); what != "" {
		vktest.UseTestDrivers()
		compileOnAll(t, what)
		return
	}
	drivers, _ := filepath.Glob("/usr/share/vulkan/icd.d/radeon_icd*.json")
	if len(drivers) == 0 {
		t.Skip("Mesa's driver for AMD's GPUs is not installed")
	}
	for _, gpu := range absentGPUs {
		t.Run(gpu, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()[:strings.IndexByte(t.Name(), '/')]+"$", "-test.v")
			cmd.Env = append(os.Environ(), compileEnv+"=rule", vktest.ICDEnv+"="+drivers[0], "RADV_FORCE_FAMILY="+gpu)
			out, err := cmd.CombinedOutput()
			switch {
			case strings.Contains(string(out), noSuchDevice), strings.Contains(string(out), "Unknown family"):
				t.Skipf("this version of Mesa does not know it, or does not compile without a GPU:\n%.300s", out)
			case err != nil || !strings.Contains(string(out), "kernels of"):
				t.Errorf("%v:\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// noSuchDevice is what the process says that should have compiled for a GPU.
const noSuchDevice = "no device to compile for"

func compileOnAll(t *testing.T, what string) {
	inst, list, err := (&vulkan{}).enumerate(t.Context())
	if err != nil {
		t.Skipf("%s: %v", noSuchDevice, err)
	}
	defer inst.Close()
	for _, c := range list {
		for _, p := range []Precision{Float32, Half} {
			for _, batch := range []int{1, 64} {
				t.Run(fmt.Sprintf("%s/%v/batch%d", c.info.Name, p, batch), func(t *testing.T) { compileOn(t, inst, c, what, p, batch) })
			}
		}
	}
}

// compileOn compiles kernels of resnet50 without running them: a device that is not there can do no more.
func compileOn(t *testing.T, inst *vk.Instance, c candidate, what string, p Precision, batch int) {
	features := wantedFeatures(&c.facts)
	if features.PipelineExecutableInfo = c.facts.Features.PipelineExecutableInfo; !features.PipelineExecutableInfo {
		t.Skipf("%s: %s does not tell what it compiled (VK_KHR_pipeline_executable_properties)", noSuchDevice, c.info.Name)
	}
	family, _ := c.facts.ComputeQueue()
	dev, err := inst.CreateDevice(c.handle, vk.DeviceOptions{QueueFamily: family, Features: features})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Destroy()
	d := &device{info: c.info, facts: c.facts, limits: limits(&c.facts), inst: inst, dev: dev}
	d.configure(Options{Precision: p, NoCache: true})
	k, err := newKernels(d)
	if err != nil {
		t.Fatal(err)
	}
	defer k.destroy()
	k.statistics = true
	steps := chosenSteps(t, d, what, batch)
	times := map[string]int{}
	var distinct []*plan.Step
	for _, s := range steps {
		if times[pipelineKey(s)]++; times[pipelineKey(s)] == 1 {
			distinct = append(distinct, s)
		}
	}
	t.Logf("%d kernels of %d dispatches", len(distinct), len(steps))
	for _, s := range distinct {
		kn, err := k.get(s)
		if err != nil {
			t.Error(err)
			continue
		}
		executables, err := dev.Statistics(kn.pipeline)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range executables {
			invocations := s.Variant.LocalSize
			if invocations == 0 {
				invocations = int(s.Spec[0])
			}
			t.Logf("%d× %s, %d invocations, subgroups of %d: %v", times[pipelineKey(s)], s.Variant.Name, invocations, e.SubgroupSize, e.Statistics)
			if n := spilled(e.Statistics); n > 0 && what == "rule" {
				t.Errorf("%s, which the rule chooses: %v of what belongs into registers lie in memory", s.Variant.Name, n)
			}
			if n := vectorRegisters(e.Statistics); s.Variant.FewRegisters && n > fewestRegisters {
				t.Errorf("%s takes %v registers of an invocation, want at most %d", s.Variant.Name, n, fewestRegisters)
			}
		}
	}
}

// fewestRegisters is what an invocation has on the GPUs that have the fewest, Arm's and Broadcom's.
const fewestRegisters = 64

// vectorRegisters is how many registers of an invocation RADV takes, 0 of other drivers.
func vectorRegisters(list []vk.Statistic) float64 {
	i := slices.IndexFunc(list, func(s vk.Statistic) bool { return s.Name == "VGPRs" })
	if i < 0 {
		return 0
	}
	return list[i].Value
}

// chosenSteps are the dispatches of resnet50 by the rule, and what it would choose on a GPU with few registers, or those of all candidates of one of its nodes.
func chosenSteps(t *testing.T, d *device, what string, batch int) (steps []*plan.Step) {
	g, err := pass.Run(seededNetwork(t, "resnet50", batch, 224), pass.Default())
	if err != nil {
		t.Fatal(err)
	}
	if what == "rule" {
		p, err := plan.Build(d.limits, d.planOptions(), g)
		if err != nil {
			t.Fatal(err)
		}
		opt := d.planOptions()
		for i := range shaders.Manifest {
			if v := &shaders.Manifest[i]; v.FewRegisters {
				opt.Variants = append(opt.Variants, v.Name)
			}
		}
		few, err := plan.Build(d.limits, opt, g)
		if err != nil {
			t.Fatal(err)
		}
		return append(p.Steps, few.Steps...)
	}
	i := slices.IndexFunc(g.Nodes, func(n *graph.Node) bool { return n.Name == what })
	if i < 0 {
		t.Fatalf("resnet50 has no node %q", what)
	}
	n := g.Nodes[i]
	list, err := plan.Candidates(d.limits, d.planOptions(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		opt := d.planOptions()
		opt.Judge = only(c.Name)
		g, err := graphOf(n, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Build(d.limits, opt, g)
		if err != nil {
			t.Error(err)
			continue
		}
		steps = append(steps, p.Steps...)
	}
	return steps
}

// spilled is how much a compiler keeps in memory of what belongs into registers, in whatever unit: statistics have no common names.
func spilled(list []vk.Statistic) (most float64) {
	for _, s := range list {
		switch strings.ToLower(s.Name) {
		case "spilled vgprs", "scratch size", // RADV
			"spill count", "scratch memory size", // ANV
			"stp count",        // Turnip
			"tmu spills",       // V3DV
			"spills to memory": // NVK
			most = max(most, s.Value)
		}
	}
	return most
}

func TestSpilledFindsWhatDriversCallIt(t *testing.T) {
	for _, c := range []struct {
		list []vk.Statistic
		want float64
	}{
		{nil, 0},
		{[]vk.Statistic{{Name: "SGPRs", Value: 96}, {Name: "Spilled SGPRs", Value: 4}, {Name: "Spilled VGPRs", Value: 0}, {Name: "Scratch size", Value: 0}}, 0}, // spilled scalars lie in vector registers
		{[]vk.Statistic{{Name: "VGPRs", Value: 256}, {Name: "Spilled VGPRs", Value: 68}, {Name: "Scratch size", Value: 8704}}, 8704},
		{[]vk.Statistic{{Name: "Spill Count", Value: 3}, {Name: "Fill Count", Value: 8}}, 3},
		{[]vk.Statistic{{Name: "STP Count", Value: 30}}, 30},
		{[]vk.Statistic{{Name: "Spill Size", Value: 64}, {Name: "TMU Spills", Value: 64}, {Name: "TMU Fills", Value: 64}}, 64},
		{[]vk.Statistic{{Name: "Spills to memory", Value: 2}, {Name: "Spills to reg", Value: 9}}, 2},
	} {
		if got := spilled(c.list); got != c.want {
			t.Errorf("%v: got %v, want %v", c.list, got, c.want)
		}
	}
}
