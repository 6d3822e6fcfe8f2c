package vulkan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
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
			out, err := vktest.InProcess(t, "^TestCompilersKeepSumsInRegisters$", compileEnv+"=rule", vktest.ICDEnv+"="+drivers[0], "RADV_FORCE_FAMILY="+gpu)
			switch {
			case strings.Contains(out, noSuchDevice), strings.Contains(out, "Unknown family"):
				t.Skipf("this version of Mesa does not know it, or does not compile without a GPU:\n%.300s", out)
			case err != nil || !strings.Contains(out, "kernels of"):
				t.Errorf("%v:\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// noSuchDevice is what the process says that should have compiled for a GPU.
const noSuchDevice = "no device to compile for"

func compileOnAll(t *testing.T, what string) {
	validated := Options{Validation: true, OnMessage: func(m string) { t.Error(m) }}
	inst, list, err := (&vulkan{validated}).enumerate(t.Context())
	if errors.Is(err, vk.ErrNoValidationLayer) { // where somebody compiles by hand
		inst, list, err = (&vulkan{}).enumerate(t.Context())
	}
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
	comp, err := newCompiler(inst, c, Options{Precision: p})
	if backend.IsUnsupported(err) {
		t.Skipf("%s: %v", noSuchDevice, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer comp.close()
	steps := chosenSteps(t, &comp.device, what, batch)
	list, err := comp.report(t.Context(), steps)
	checkReports(t, steps, list, err)
	t.Logf("%d kernels of %d dispatches", len(list), len(steps))
	for _, r := range list {
		t.Logf("%s for %d nodes, %d invocations, subgroups of %d: %v", r.Kernel, len(r.Nodes), r.Invocations, r.SubgroupSize, texts(r.Statistics))
		if r.Spilled > 0 && what == "rule" {
			t.Errorf("%s, which the rule chooses: %v of what belongs into registers lie in memory", r.Kernel, r.Spilled)
		}
		if n := vectorRegisters(r.Statistics); shaders.Lookup(r.Kernel).FewRegisters && n > fewestRegisters {
			t.Errorf("%s takes %v registers of an invocation, want at most %d", r.Kernel, n, fewestRegisters)
		}
	}
}

func texts(list []backend.KernelStatistic) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%s %.6g, ", s.Name, s.Value)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// fewestRegisters is what an invocation has on the GPUs that have the fewest, Arm's and Broadcom's.
const fewestRegisters = 64

// vectorRegisters is how many registers of an invocation RADV takes, 0 of other drivers.
func vectorRegisters(list []backend.KernelStatistic) float64 {
	i := slices.IndexFunc(list, func(s backend.KernelStatistic) bool { return s.Name == "VGPRs" })
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

// TestKernelsAreReported for an executable, where the driver has the extension, and refused with a reason where not.
func TestKernelsAreReported(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 2, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		defer closeAll(in, out)
		r := e.(backend.KernelReporter)
		list, err := r.Kernels(t.Context())
		if !d.facts.Features.PipelineExecutableInfo {
			if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), "VK_KHR_pipeline_executable_properties") {
				t.Errorf("got %v, %v, want what is missing", list, err)
			}
		} else {
			checkReports(t, e.(*executable).plan.Steps, list, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Kernels(ctx); err == nil || !errors.Is(err, context.Canceled) && !backend.IsUnsupported(err) {
			t.Errorf("cancelled: got %v", err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Kernels(t.Context()); !errors.Is(err, backend.ErrClosed) {
			t.Errorf("closed: got %v", err)
		}
	})
}

// checkReports wants each step's kernel and node in one report at least.
func checkReports(t *testing.T, steps []*plan.Step, list []backend.KernelReport, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if !slices.ContainsFunc(list, func(r backend.KernelReport) bool {
			return r.Kernel == s.Variant.Name && slices.Contains(r.Nodes, s.Node) && r.Invocations > 0 && len(r.Statistics) > 0
		}) {
			t.Errorf("no report of %s for node %q", s.Variant.Name, s.Node)
		}
	}
}

func TestSpilledFindsWhatDriversCallIt(t *testing.T) {
	for _, c := range []struct {
		list []backend.KernelStatistic
		want float64
	}{
		{nil, 0},
		{[]backend.KernelStatistic{{Name: "SGPRs", Value: 96}, {Name: "Spilled SGPRs", Value: 4}, {Name: "Spilled VGPRs", Value: 0}, {Name: "Scratch size", Value: 0}}, 0}, // spilled scalars lie in vector registers
		{[]backend.KernelStatistic{{Name: "VGPRs", Value: 256}, {Name: "Spilled VGPRs", Value: 68}, {Name: "Scratch size", Value: 8704}}, 8704},
		{[]backend.KernelStatistic{{Name: "Spill Count", Value: 3}, {Name: "Fill Count", Value: 8}}, 3},
		{[]backend.KernelStatistic{{Name: "STP Count", Value: 30}}, 30},
		{[]backend.KernelStatistic{{Name: "Scratch", Value: 0}, {Name: "Spills", Value: 7}, {Name: "Fills", Value: 9}}, 7},
		{[]backend.KernelStatistic{{Name: "Spill Size", Value: 64}, {Name: "TMU Spills", Value: 64}, {Name: "TMU Fills", Value: 64}}, 64},
		{[]backend.KernelStatistic{{Name: "Spills to memory", Value: 2}, {Name: "Spills to reg", Value: 9}}, 2},
	} {
		if got := spilled(c.list); got != c.want {
			t.Errorf("%v: got %v, want %v", c.list, got, c.want)
		}
	}
}
