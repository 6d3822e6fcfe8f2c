package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/report"
)

// parsed reads the report that a command printed.
func parsed(t *testing.T, o outcome) report.Conformance {
	t.Helper()
	c, err := report.ReadConformance(strings.NewReader(o.stdout))
	if err != nil {
		t.Fatalf("%v: %+v", err, o)
	}
	return c
}

func TestConformanceOnSeveralDevices(t *testing.T) {
	for _, test := range []struct {
		args    string
		targets []string
		missing int
	}{
		{"--backend all", []string{"reference:cpu", "zero:cpu"}, 1},
		{"--backend zero --backend reference:0", []string{"zero:cpu", "reference:cpu"}, 0},
		{"--backend reference --backend reference:0 --backend zero:float64", []string{"reference:cpu", "zero:cpu"}, 0},
		{"--backend zero --device 0 --device float64", []string{"zero:cpu"}, 0},
		{"--backend zero --device cpu", []string{"zero:cpu"}, 0},
		{"--backend zero:0 --device 0", []string{"zero:cpu"}, 0},
	} {
		o := conform(t, append(strings.Fields(test.args), "--filter", "^softmax/n3-c33/", "--format", "json")...)
		c := parsed(t, o)
		var got []string
		for _, d := range c.Devices {
			got = append(got, d.Target)
			wrong := strings.HasPrefix(d.Target, "zero")
			if d.Conformant == wrong || len(d.Results) != 2 || d.Seconds <= 0 || d.Seconds > c.Seconds {
				t.Errorf("%s: device %+v", test.args, d)
			}
		}
		if !reflect.DeepEqual(got, test.targets) || len(c.Missing) != test.missing || o.code != exitNotConformant || !strings.Contains(o.stderr, "2 of 2 cases failed") {
			t.Errorf("%s: got %v, missing %v, want %v; %+v", test.args, got, c.Missing, test.targets, o)
		}
	}
}

func TestConformanceDeviceUsage(t *testing.T) {
	for _, test := range []struct {
		args, want string
		code       int
	}{
		{"--backend all --backend zero", "--backend all: want it alone", exitUsage},
		{"--backend all --device 0", "--backend all: want it alone", exitUsage},
		{"--backend auto --backend zero", "--backend auto: want it alone", exitUsage},
		{"--backend zero --backend reference --device 0", "want --backend NAME:DEVICE", exitUsage},
		{"--backend zero:0 --device 0 --device 1", "name two devices: want one", exitUsage},
		{"--backend zero:0 --device 1", "name two devices: want one", exitUsage},
		{"--backend zero --backend cuda", `select backend "cuda"`, exitUsage},
		{"--backend zero --backend reference:7", "no device of that index", exitNoDevice},
		{"--backend zero --backend vulkan", "install libvulkan1", exitNoDevice},
		{"--memory 5GB", "--memory: read size: want a number of bytes", exitUsage},
		{"--known ([=x", "--known: read exception", exitUsage},
		{"--package x.zip --filter relu", "--package: want a whole profile", exitUsage},
		{"--repeat 0", "--repeat: want 1 to 1000000, got 0", exitUsage},
		{"--list --format html", "want table|json", exitUsage},
		{"--resume gone", "--resume: open gone", exitUsage},
	} {
		if o := conform(t, strings.Fields(test.args)...); o.code != test.code || !strings.Contains(o.stderr, test.want) || o.stdout != "" {
			t.Errorf("%s: got %+v, want exit code %d, %q", test.args, o, test.code, test.want)
		}
	}
	// A device by the environment is a default, and says nothing where several are asked for.
	env := map[string]string{"RESNET_RUN_DEVICE": "0"}
	o := run(t, t.Context(), strings.NewReader(""), env, []backend.Backend{reference.New()}, "conformance", "--backend", "all", "--filter", "softmax/n3-c33/ordinary")
	if o.code != exitOK {
		t.Errorf("with RESNET_RUN_DEVICE: got %+v", o)
	}
}

func TestConformanceWithoutAnyDevice(t *testing.T) {
	o := run(t, t.Context(), strings.NewReader(""), nil, []backend.Backend{noVulkan}, "conformance", "--backend", "all")
	if o.code != exitNoDevice || o.stdout != "" {
		t.Errorf("got %+v", o)
	}
}

// interrupted makes a report that ends in the midst, in a new folder.
func interrupted(t *testing.T, args ...string) (dir string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir = t.TempDir()
	b := []backend.Backend{cancelling{zeroBackend{reference.New()}, cancel}, reference.New()}
	o := run(t, ctx, strings.NewReader(""), nil, b, append([]string{"conformance", "--filter", "^(relu|softmax)/n[123]-c[13]", "--out", dir}, args...)...)
	if o.code != exitInterrupted {
		t.Fatalf("got %+v", o)
	}
	return dir
}

func TestInterruptedReportsSaySo(t *testing.T) {
	dir := interrupted(t, "--backend", "zero")
	for file, want := range map[string]string{
		"conformance.txt": "interrupted: there are results of a part", "conformance.json": `"interrupted": true`,
		"conformance.xml": `name="interrupted" value="true"`, "conformance.html": "Interrupted, not yet conformant",
	} {
		if data, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !bytes.Contains(data, []byte(want)) {
			t.Errorf("%s: want %q: %v", file, want, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestResumeGoesOnWhereAnInterruptedRunEnded(t *testing.T) {
	dir := interrupted(t, "--backend", "zero", "--backend", "reference", "--known", "softmax/n3-c33/.*=zeros", "--timeout", "1m")
	before := parsed(t, outcome{stdout: readFile(t, filepath.Join(dir, "conformance.json"))})
	if n := len(before.Devices[0].Results); n < 5 || n >= before.Cases || len(before.Devices[1].Results) != 0 {
		t.Fatalf("got %d of %d results", n, before.Cases)
	}
	o := conform(t, "--resume", dir, "--format", "json")
	got := parsed(t, o)
	// Not c2, among which a worst number is NaN, which is unequal to itself.
	whole := parsed(t, conform(t, "--backend", "zero", "--backend", "reference", "--filter", "^(relu|softmax)/n[123]-c[13]", "--known", "softmax/n3-c33/.*=zeros", "--format", "json"))
	if o.code != exitNotConformant || got.Interrupted || !got.Started.Equal(before.Started) || got.Timeout != "1m0s" || len(got.Devices) != 2 {
		t.Errorf("got exit code %d, %+v", o.code, got)
	}
	for i, d := range got.Devices {
		w := whole.Devices[i]
		if d.Summary != w.Summary || len(d.Results) != got.Cases || d.Verdict != w.Verdict || d.Summary.ExpectedFailures != 2*(1-i) {
			t.Errorf("device %d: got %v, %q, want %v, %q", i, d.Summary, d.Verdict, w.Summary, w.Verdict)
		}
		for k, r := range d.Results {
			if r.Case != w.Results[k].Case || r.Status != w.Results[k].Status {
				t.Fatalf("result %d: got %+v, want %+v", k, r, w.Results[k])
			}
		}
	}
	if first := got.Devices[0].Results[0]; first.Seconds != before.Devices[0].Results[0].Seconds {
		t.Error("a case that had a result was run again")
	}
	// The folder that is resumed gets the reports, and a run that is complete has nothing to do.
	if text := readFile(t, filepath.Join(dir, "conformance.txt")); strings.Contains(text, "interrupted") {
		t.Errorf("got %s", text)
	}
	if again := parsed(t, conform(t, "--resume", filepath.Join(dir, "conformance.json"), "--format", "json")); !reflect.DeepEqual(again, got) {
		t.Errorf("resumed when complete: got %+v, want %+v", again, got)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestResumeRefusesWhatIsNotItsOwn(t *testing.T) {
	dir := interrupted(t, "--backend", "zero")
	path := filepath.Join(dir, "conformance.json")
	good := readFile(t, path)
	for _, test := range []struct {
		old, new, args, want string
		code                 int
	}{
		{`"program": "`, `"program": "0`, "", "program (SHA-256 of its file): want ", exitUsage},
		{`"go": "go`, `"go": "gone`, "", "go: want go", exitUsage},
		{`"platform": "`, `"platform": "solaris/`, "", "platform: want ", exitUsage},
		{`"case": "relu/n1-c1-h3-w3/ordinary"`, `"case": "relu/other"`, "", `result 0: want that of case "relu/n1-c1-h3-w3/ordinary", got "relu/other"`, exitUsage},
		{`"filter": "`, `"filter": "^relu.*|`, "", "cases: want ", exitUsage},
		{`"timeout": "5m0s"`, `"timeout": "soon"`, "", `timeout: want a duration, got "soon"`, exitUsage},
		{`"profile": "quick"`, `"profile": "huge"`, "", "--profile: read profile", exitUsage},
		{`"name": "float64 reference"`, `"name": "another"`, "", `not the device of the results so far: name: want "another", got "float64 reference"`, exitNoDevice},
		{`"arithmetic": "float64"`, `"arithmetic": "int8"`, "", `properties.arithmetic: want "int8", got "float64"`, exitNoDevice},
		{`"target": "zero:cpu"`, `"target": "cuda:cpu"`, "", `select backend "cuda"`, exitUsage},
		{`"status": "passed"`, `"status": "splendid"`, "", `unknown name "splendid"`, exitUsage},
		{good, "{", "", "read conformance report: ", exitUsage},
		{`"devices": [`, `"devices": [], "other": [`, "", "devices: want at least one", exitUsage},
		{"", "", "--backend zero", "--backend: want none with --resume", exitUsage},
		{"", "", "--device 0", "--device: want none with --resume", exitUsage},
		{"", "", "--profile full", "--profile: want as in the report that is resumed, \"quick\", got \"full\"", exitUsage},
		{"", "", "--repeat 3", "--repeat: want as in the report that is resumed, \"1\", got \"3\"", exitUsage},
		{"", "", "--strict", "--strict: want as in the report", exitUsage},
		{"", "", "--known relu/.*=x", "--known: want as in the report", exitUsage},
	} {
		bad := strings.Replace(good, test.old, test.new, 1)
		if test.args == "" && bad == good {
			t.Fatalf("the report has no %q", test.old)
		}
		if err := os.WriteFile(path, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		o := conform(t, append([]string{"--resume", dir}, strings.Fields(test.args)...)...)
		if o.code != test.code || !strings.Contains(o.stderr, test.want) || o.stdout != "" {
			t.Errorf("%s%s: got %+v, want exit code %d, %q", test.new, test.args, o, test.code, test.want)
		}
		if readFile(t, path) != bad {
			t.Errorf("%s%s: the report was changed", test.new, test.args)
		}
	}
}

func TestConformanceBarIsDrawn(t *testing.T) {
	var b bytes.Buffer
	p := newTimedBar(&b, "conformance", 100)
	p.describe("conformance, a device")
	for range 100 {
		p.add()
	}
	p.finish()
	if got := b.String(); !strings.Contains(got, "conformance, a device") || !strings.Contains(got, "100/100") && !strings.Contains(got, "/100") {
		t.Errorf("got %q", got)
	}
	if a := (&app{stdout: &b, stderr: &b}); a.conformanceBar(1000).bar != nil {
		t.Error("a bar was made for a writer that is no terminal")
	}
}
