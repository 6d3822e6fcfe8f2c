package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

func TestProfileWritesEveryFormat(t *testing.T) {
	world(t)
	b := []backend.Backend{cpu.New(cpu.Options{Threads: 1})}
	profile := func(format string) outcome {
		return run(t, t.Context(), strings.NewReader(""), nil, b, "profile", "colour.safetensors", "--backend", "cpu", "--batch", "2", "--runs", "2", "-f", format)
	}
	o := profile("json")
	var p struct {
		Network      string
		Batch        int
		RunSeconds   float64 `json:"run_seconds"`
		Verification struct{ Right bool }
		Nodes        []struct {
			Name, Op, Kernel string
			Seconds          float64
		}
	}
	if err := json.Unmarshal([]byte(o.stdout), &p); err != nil || o.code != exitOK || p.Batch != 2 || !p.Verification.Right || !(p.RunSeconds > 0) || len(p.Nodes) == 0 {
		t.Fatalf("%v, exit code %d, %+v, %s", err, o.code, p, o.stderr)
	}
	named := 0
	for _, n := range p.Nodes {
		if n.Op != "" && n.Kernel != "" {
			named++
		}
	}
	if named == 0 {
		t.Errorf("no node of the graph: %+v", p.Nodes)
	}
	rows, err := csv.NewReader(strings.NewReader(profile("csv").stdout)).ReadAll()
	if err != nil || len(rows) != len(p.Nodes)+1 {
		t.Errorf("got %v, %d rows", err, len(rows))
	}
	for format, want := range map[string]string{"table": "verified: greatest error", "svg": "<svg xmlns", "trace": `"traceEvents"`} {
		if o := profile(format); o.code != exitOK || !strings.Contains(o.stdout, want) {
			t.Errorf("%s: exit code %d, %.300s", format, o.code, o.stdout)
		}
	}
}

// talkative is a backend whose compiler says something.
type talkative struct {
	backend.Backend
	reports []backend.KernelReport
	err     error
}

func (b talkative) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := b.Backend.Open(ctx, id)
	return talkativeDevice{d, b}, err
}

type talkativeDevice struct {
	backend.Device
	b talkative
}

func (d talkativeDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	return talkativeExecutable{e, d.b}, err
}

type talkativeExecutable struct {
	backend.Executable
	b talkative
}

func (e talkativeExecutable) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	return e.Executable.(backend.Profiler).Profile(ctx, in, out)
}

func (e talkativeExecutable) Kernels(context.Context) ([]backend.KernelReport, error) {
	return e.b.reports, e.b.err
}

// TestProfileTellsWhatTheCompilerSays: all of it in JSON, what makes a kernel slow in the table.
func TestProfileTellsWhatTheCompilerSays(t *testing.T) {
	world(t)
	b := talkative{Backend: cpu.New(cpu.Options{Threads: 1}), reports: []backend.KernelReport{
		{Kernel: "lean", Nodes: []string{"conv"}, SubgroupSize: 16, Statistics: []backend.KernelStatistic{{Name: "Registers", Value: 40}}},
		{Kernel: "fat", Nodes: []string{"fc", "softmax"}, Spilled: 48, Statistics: []backend.KernelStatistic{{Name: "Spill Count", Description: "of registers", Value: 48}}},
	}}
	do := func(format string) outcome {
		return run(t, t.Context(), nil, nil, []backend.Backend{b}, "profile", "colour.safetensors", "--backend", "cpu", "--runs", "1", "--no-peak", "-f", format)
	}
	if o := do("table"); o.code != exitOK || !strings.HasSuffix(o.stdout, "\n\nspilled: fat of fc (2 nodes) has 48 of what belongs into registers in memory, by the driver's count\n") {
		t.Errorf("got %+v, want the kernel that spills, and it alone", o)
	}
	var got struct{ Kernels []backend.KernelReport }
	if o := do("json"); json.Unmarshal([]byte(o.stdout), &got) != nil || !reflect.DeepEqual(got.Kernels, b.reports) {
		t.Errorf("got %+v, want %+v", got.Kernels, b.reports)
	}
	b.reports, b.err = nil, backend.Unsupported("kernel statistics", "a driver that tells", "none")
	if o := do("table"); o.code != exitOK || strings.Contains(o.stdout, "spilled") {
		t.Errorf("a driver that says nothing: got %+v", o)
	}
	b.err = backend.ErrDeviceLost
	if o := do("table"); o.code == exitOK || !strings.Contains(o.stderr, "device lost") {
		t.Errorf("a device that is lost: got %+v", o)
	}
}

// TestProfileHasNoNumberForAWrongAnswer whether or not the run that is profiled is the wrong one.
func TestProfileHasNoNumberForAWrongAnswer(t *testing.T) {
	world(t)
	do := func(b backend.Backend) outcome {
		return run(t, t.Context(), strings.NewReader(""), nil, []backend.Backend{b}, "profile", "colour.safetensors", "--backend", b.Name(), "--runs", "1")
	}
	if o := do(spoiled{Backend: reference.New(), delta: 1}); o.code != exitNotConformant || o.stdout != "" || !strings.Contains(o.stderr, "wrong answer") {
		t.Errorf("exit code %d, %s%s", o.code, o.stdout, o.stderr)
	}
	if o := do(spoiled{Backend: reference.New()}); o.code != exitOK || !strings.Contains(o.stdout, "because") || !strings.Contains(o.stdout, "copy") {
		t.Errorf("without the error: exit code %d, %s%s", o.code, o.stdout, o.stderr)
	}
	if o := do(reference.New()); o.code != exitRun || !strings.Contains(o.stderr, "unsupported: profile") {
		t.Errorf("a backend that cannot: exit code %d, %s", o.code, o.stderr)
	}
}

func TestProfileUsage(t *testing.T) {
	world(t)
	for want, args := range map[string][]string{
		"table|json|csv|trace|svg": {"--format", "dot"}, "--batch and --runs": {"--batch", "0"}, "at least 1": {"--runs", "0"}, "accepts at most 1": {"a", "b"},
	} {
		if o := do(t, append([]string{"profile"}, args...)...); o.code != exitUsage || !strings.Contains(o.stderr, want) {
			t.Errorf("%v: exit code %d, %s", args, o.code, o.stderr)
		}
	}
}
