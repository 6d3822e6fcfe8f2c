package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/bench"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// spoiled is the reference under another name, whose executables add delta to the first number of each result.
type spoiled struct {
	backend.Backend
	delta float32
	after func() // each run; may be nil
}

func (spoiled) Name() string { return "spoiled" }

func (s spoiled) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := s.Backend.Open(ctx, id)
	return spoiledDevice{d, s}, err
}

type spoiledDevice struct {
	backend.Device
	spoiled spoiled
}

func (d spoiledDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := d.Device.Compile(ctx, g)
	return spoiledExecutable{e, d.spoiled}, err
}

type spoiledExecutable struct {
	backend.Executable
	spoiled spoiled
}

func (e spoiledExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.Executable.Run(ctx, in, out); err != nil {
		return err
	}
	if e.spoiled.after != nil {
		defer e.spoiled.after()
	}
	return spoil(ctx, out[0], e.spoiled.delta)
}

// Profile has one step of a second and one of none.
func (e spoiledExecutable) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	name := e.Signature().Outputs[0].Name
	return []backend.NodeTime{{Node: name, Kernel: "slow", Seconds: 1, Reason: "because"}, {Kernel: "copy"}}, e.Run(ctx, in, out)
}

func spoil(ctx context.Context, out backend.Buffer, delta float32) error {
	x := graph.NewTensor(out.Type())
	if err := out.Read(ctx, x.Data); err != nil {
		return err
	}
	values := x.Float32s()
	values[0] += delta
	y, err := graph.FromFloat32s(out.Type().Shape, values)
	if err != nil {
		return err
	}
	return out.Write(ctx, y.Data)
}

// benchRun runs the command on the colour network.
func benchRun(t *testing.T, backends []backend.Backend, stdin string, args ...string) outcome {
	t.Helper()
	args = append([]string{"bench", "colour.safetensors", "--runs", "7", "--warmup", "0s"}, args...)
	return run(t, t.Context(), strings.NewReader(stdin), nil, backends, args...)
}

func TestBenchWritesEveryFormat(t *testing.T) {
	world(t)
	b := []backend.Backend{noVulkan, reference.New(), cpu.New(cpu.Options{Threads: 1})}
	o := benchRun(t, b, "", "--on", "all", "--on", "reference", "--batch", "1,2", "-f", "json")
	var r bench.Report
	d := json.NewDecoder(strings.NewReader(strings.ReplaceAll(o.stdout, `"type": "CPU"`, `"type": 4`)))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || o.code != exitOK {
		t.Fatalf("%v, exit code %d, %s", err, o.code, o.stderr)
	}
	if len(r.Results) != 4 || r.Format != bench.FormatVersion || len(r.Devices) != 2 {
		t.Fatalf("got %d results on %d devices, want every batch on cpu and reference", len(r.Results), len(r.Devices))
	}
	for i, want := range []struct {
		backend string
		batch   int
	}{{"cpu", 1}, {"cpu", 2}, {"reference", 1}, {"reference", 2}} {
		x := r.Results[i]
		if x.Backend != want.backend || x.Batch != want.batch || x.Status != bench.OK || x.Timing.Runs != 7 || x.Verification.Pictures != want.batch {
			t.Errorf("result %d: got %+v", i, x)
		}
	}
	if !strings.Contains(o.stderr, "pictures took") || !strings.Contains(o.stderr, "backend vulkan has no device") {
		t.Errorf("got stderr %q", o.stderr)
	}

	o = benchRun(t, b, "", "--on", "cpu", "-f", "csv")
	rows, err := csv.NewReader(strings.NewReader(o.stdout)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != "colour.safetensors" || rows[1][8] != "ok" || rows[1][9] != "7" {
		t.Errorf("got %v, %q", err, rows)
	}
	for format, want := range map[string]string{"table": "NETWORK             BATCH  DEVICE", "markdown": "| NETWORK | BATCH | DEVICE |"} {
		o = benchRun(t, b, "", "--on", "cpu", "-f", format)
		if o.code != exitOK || !strings.Contains(o.stdout, want) || !strings.Contains(o.stdout, "processor: ") {
			t.Errorf("%s: exit code %d, %s", format, o.code, o.stdout)
		}
	}
}

// TestBenchHasNoNumberForAWrongAnswer in any format.
func TestBenchHasNoNumberForAWrongAnswer(t *testing.T) {
	world(t)
	b := []backend.Backend{spoiled{Backend: reference.New(), delta: 1e-2}, reference.New()}
	for _, format := range []string{"table", "markdown", "csv", "json"} {
		o := benchRun(t, b, "", "--on", "spoiled", "-f", format)
		if o.code != exitNotConformant || !strings.Contains(o.stderr, "wrong answer") {
			t.Errorf("%s: exit code %d, stderr %s", format, o.code, o.stderr)
		}
		if !strings.Contains(strings.ToUpper(o.stdout), "WRONG") || !strings.Contains(o.stdout, "greatest error") {
			t.Errorf("%s does not tell: %s", format, o.stdout)
		}
		switch format {
		case "json":
			if strings.Contains(o.stdout, "median") || strings.Contains(o.stdout, "samples") {
				t.Errorf("there are times: %s", o.stdout)
			}
		case "csv":
			rows, err := csv.NewReader(strings.NewReader(o.stdout)).ReadAll()
			if err != nil || strings.Join(rows[1][9:21], "") != "" {
				t.Errorf("there are times: %v, %q", err, rows)
			}
		default:
			for _, line := range strings.Split(o.stdout, "\n") {
				if strings.Contains(line, "WRONG") && strings.Contains(line, "f32") && strings.Contains(strings.SplitN(line, "WRONG", 2)[0], "ms") {
					t.Errorf("there are times: %s", line)
				}
			}
		}
	}
	if o := benchRun(t, []backend.Backend{spoiled{Backend: reference.New()}}, "", "--on", "spoiled"); o.code != exitOK {
		t.Errorf("the same without the error: exit code %d, %s", o.code, o.stderr)
	}
	o := benchRun(t, b, "3\n", "--on", "spoiled", "--turns")
	if o.code != exitNotConformant || o.stdout != "" {
		t.Errorf("--turns: exit code %d, %q", o.code, o.stdout)
	}
}

// scaled changes the samples of a report.
func scaled(t *testing.T, text string, factor float64) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	for _, r := range doc["results"].([]any) {
		samples := r.(map[string]any)["timing"].(map[string]any)["samples"].([]any)
		for i := range samples {
			samples[i] = samples[i].(float64) * factor
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestBenchBaseline changes the baseline by factors that no noise of the machine reaches.
func TestBenchBaseline(t *testing.T) {
	world(t)
	b := []backend.Backend{reference.New()}
	o := benchRun(t, b, "", "--on", "reference", "-f", "json")
	if o.code != exitOK {
		t.Fatal(o.stderr)
	}
	for name, c := range map[string]struct {
		factor float64
		code   int
		want   string
	}{
		"slower": {1e-6, exitSlower, "slower (noise"},
		"faster": {1e6, exitOK, "faster (noise"},
	} {
		modeltest.WriteFile(t, name+".json", []byte(scaled(t, o.stdout, c.factor)))
		got := benchRun(t, b, "", "--on", "reference", "--baseline", name+".json")
		if got.code != c.code || !strings.Contains(got.stdout, c.want) {
			t.Errorf("%s: exit code %d, %s%s", name, got.code, got.stdout, got.stderr)
		}
	}
	got := benchRun(t, b, "", "--on", "reference", "--baseline", "faster.json", "--batch", "1,2")
	if got.code != exitOK || !strings.Contains(got.stdout, "faster (noise") {
		t.Errorf("one case more: exit code %d, %s", got.code, got.stdout)
	}
	got = benchRun(t, b, "", "--on", "reference", "--baseline", "slower.json", "--batch", "2")
	if got.code != exitUsage || !strings.Contains(got.stderr, "nothing was compared") || !strings.Contains(got.stdout, "in the baseline but not measured: colour.safetensors N1 f32 on reference") {
		t.Errorf("another case: exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	modeltest.WriteFile(t, "broken.json", []byte("{}"))
	for _, file := range []string{"broken.json", "gone.json"} {
		if got := benchRun(t, b, "", "--baseline", file); got.code != exitUsage || !strings.Contains(got.stderr, file) {
			t.Errorf("%s: exit code %d, %s", file, got.code, got.stderr)
		}
	}
}

func TestBenchTurns(t *testing.T) {
	world(t)
	o := benchRun(t, []backend.Backend{reference.New()}, "3\n1\n", "--on", "reference", "--turns")
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if o.code != exitOK || len(lines) != 3 {
		t.Fatalf("exit code %d, %q, %s", o.code, lines, o.stderr)
	}
	var ready turnsReady
	if err := json.Unmarshal([]byte(lines[0]), &ready); err != nil || ready.Backend != "reference" || len(ready.Output) != 3 || !ready.Verification.Right || ready.FLOPs == 0 {
		t.Errorf("got %v, %+v", err, ready)
	}
	for i, want := range []int{3, 1} {
		var s struct{ Seconds []float64 }
		if err := json.Unmarshal([]byte(lines[i+1]), &s); err != nil || len(s.Seconds) != want || !(s.Seconds[0] > 0) {
			t.Errorf("got %v, %v, want %d samples", err, s, want)
		}
	}
	for _, bad := range []string{"x\n", "0\n", "-1\n", "\n", "999999999\n"} {
		if o := benchRun(t, []backend.Backend{reference.New()}, bad, "--on", "reference", "--turns"); o.code != exitUsage || !strings.Contains(o.stderr, "want lines with a number") {
			t.Errorf("%q: exit code %d, %s", bad, o.code, o.stderr)
		}
	}
}

func TestBenchUsage(t *testing.T) {
	world(t)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--precision: want f32, f16, f16a, or auto", []string{"--precision", "f8"}},
		{"--batch: want at least 1", []string{"--batch", "1,0"}},
		{"--runs: want 0 to", []string{"--runs", "-1"}},
		{"--duration", []string{"--duration", "-1s"}},
		{"--tolerance", []string{"--tolerance", "NaN"}},
		{"--on nonsense", []string{"--on", "nonsense:1"}},
		{"want one model", []string{"colour.safetensors", "--weights", "x.pth"}},
		{"--turns: want one model", []string{"--turns", "--batch", "1,2"}},
		{"--turns: want neither --baseline", []string{"--turns", "--baseline", "x.json"}},
		{"--turns: want neither --baseline nor --format", []string{"--turns", "--format", "csv"}},
		{"MODEL: want each once, got colour.safetensors twice", []string{"colour.safetensors"}},
		{"--batch: want each once, got 2 twice", []string{"--batch", "2,1,2"}},
		{"--on: want each once, got cpu twice", []string{"--on", "cpu", "--on", "cpu"}},
		{"table|json|csv|markdown", []string{"--format", "dot"}},
	} {
		o := benchRun(t, nil, "", c.args...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.want) || o.stdout != "" {
			t.Errorf("%v: exit code %d, %q, want %q", c.args, o.code, o.stderr, c.want)
		}
	}
	o := benchRun(t, []backend.Backend{reference.New(), cpu.New(cpu.Options{Threads: 1})}, "", "--on", "reference", "--on", "cpu", "--precision", "f16,f32", "-f", "csv")
	if o.code != exitOK || strings.Count(o.stdout, ",f32,") != 2 || strings.Count(o.stderr, "left out with --precision f16") != 2 {
		t.Errorf("a precision that no device has: exit code %d, %s%s", o.code, o.stdout, o.stderr)
	}
	if o := do(t, "bench", "nonsense"); o.code != exitModel {
		t.Errorf("an unknown model: exit code %d, %s", o.code, o.stderr)
	}
	o = benchRun(t, []backend.Backend{noVulkan, reference.New()}, "", "--on", "reference", "--on", "vulkan")
	if o.code != exitNoDevice || !strings.Contains(o.stdout, "reference: float64 reference") {
		t.Errorf("a second device that is not there: exit code %d, %s%s", o.code, o.stdout, o.stderr)
	}
	if o := benchRun(t, []backend.Backend{noVulkan}, "", "--on", "vulkan"); o.code != exitNoDevice {
		t.Errorf("no device: exit code %d, %s", o.code, o.stderr)
	}
}

// TestBenchInterrupted: what was measured before Ctrl-C is reported.
func TestBenchInterrupted(t *testing.T) {
	world(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runs := 0
	b := spoiled{Backend: reference.New(), after: func() {
		if runs++; runs == 9 {
			cancel()
		}
	}}
	o := run(t, ctx, strings.NewReader(""), nil, []backend.Backend{b}, "bench", "colour.safetensors", "--on", "spoiled", "--duration", "1h", "--warmup", "0s", "-f", "json")
	var r struct {
		Interrupted bool
		Results     []bench.Result
	}
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || o.code != exitInterrupted {
		t.Fatalf("%v, exit code %d, %s", err, o.code, o.stderr)
	}
	if !r.Interrupted || len(r.Results) != 1 || r.Results[0].Status != bench.Interrupted || r.Results[0].Timing.Runs < 6 {
		t.Errorf("got %+v", r)
	}
}
