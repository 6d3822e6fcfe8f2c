//go:build unix

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/report"
)

// scriptedFailure in the environment names a case that the scripted program says has failed.
const scriptedFailure = "RESNET_RUN_TEST_SCRIPTED_FAILURE"

func init() { otherPrograms["scripted"] = func() int { return scripted(os.Args[1:]) } }

// scripted speaks as a child does, in a moment: every case that it is asked for passes, but for one.
func scripted(args []string) int {
	value := func(flag string) string { return args[slices.Index(args, flag)+1] }
	out := json.NewEncoder(os.Stdout)
	say := func(l childLine) {
		if err := out.Encode(l); err != nil {
			panic(err)
		}
	}
	p, err := conformance.ParseProfile(value("--profile"))
	if err != nil {
		panic(err)
	}
	cases, err := conformance.Select(conformance.Cases(), p, value("--filter"))
	if err != nil {
		panic(err)
	}
	if after := value("--after"); after != "" {
		cases = cases[1+slices.IndexFunc(cases, func(c conformance.Case) bool { return c.Name == after }):]
	}
	name := os.Getenv("RESNET_RUN_TEST_SCRIPTED_NAME")
	say(childLine{Device: &report.Facts{DeviceInfo: backend.DeviceInfo{Backend: "vulkan", ID: value("--device"), Name: "Scripted" + name, Type: backend.DiscreteGPU, Driver: "1", API: "2"}}})
	for i := range cases {
		c := &cases[i]
		say(childLine{Begin: c.Name})
		f := conformance.Judge("y", "op", graph.NewShape(1), []float32{1.5}, []float64{1.5}, []float64{0})
		r := report.NewCaseResult(conformance.Result{Case: c, Status: conformance.Passed, Worst: &f})
		if c.Name == os.Getenv(scriptedFailure) {
			r.Status, r.Error = conformance.Failed, "as it was told"
		}
		say(childLine{Result: &r})
		if c.Name == os.Getenv("RESNET_RUN_TEST_SCRIPTED_DEATH") && !slices.Contains(args, c.Name) { // not again after it
			return 77
		}
	}
	say(childLine{End: &childEnd{}})
	return exitOK
}

// lockedText takes what a program and its child write at the same time.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// script runs the command with scripted children.
func script(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	var out strings.Builder
	var errs lockedText
	r := &backend.Registry{}
	for _, b := range []backend.Backend{noVulkan, reference.New()} {
		if err := r.Register(b); err != nil {
			t.Fatal(err)
		}
	}
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, getenv: func(string) string { return "" }, registry: r}
	a.self = func(ctx context.Context, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, os.Args[0], args...)
		c.Env = append(append(os.Environ(), actAsProgram+"=scripted"), env...)
		return c
	}
	code := a.run(t.Context(), append([]string{"conformance"}, args...))
	return outcome{out.String(), errs.String(), code}
}

func TestPackageIsWrittenAndVerified(t *testing.T) {
	file := filepath.Join(t.TempDir(), "submission.zip")
	o := script(t, nil, "--backend", "vulkan", "--device", "uuid", "--package", file, "--known", "no/such/case=not needed")
	if o.code != exitOK || !strings.Contains(o.stdout, "verdict   conformant") {
		t.Fatalf("got %+v", o)
	}
	o = script(t, nil, "verify", file)
	for _, want := range []string{"profile   quick, ", "seed 3, 1 waivers", "note      waiver \"no/such/case\" is about no case of the profile\n", "device    vulkan:uuid: Scripted (1, 2)", "result    the package holds; it says: conformant\n"} {
		if o.code != exitOK || !strings.Contains(o.stdout, want) {
			t.Errorf("got %+v, want %q", o, want)
		}
	}
	o = script(t, nil, "verify", "--rerun", "30", "--format", "json", file)
	var v report.Verification
	if err := json.Unmarshal([]byte(o.stdout), &v); err != nil || o.code != exitOK || !v.Holds || len(v.Reruns) != 1 || v.Reruns[0].Cases != 30 || v.Reruns[0].Same != 30 || v.Reruns[0].Target != "vulkan:uuid" {
		t.Errorf("got %v, %+v", err, o)
	}
	// Another device is here, or none; and a case comes out in another way than the package says.
	if o := script(t, []string{"RESNET_RUN_TEST_SCRIPTED_NAME=2"}, "verify", "--rerun", "3", file); o.code != exitNoDevice || !strings.Contains(o.stderr, `name: want "Scripted", got "Scripted2"`) {
		t.Errorf("another device: got %+v", o)
	}
	sample := sampleOf(t, file)
	o = script(t, []string{scriptedFailure + "=" + sample}, "verify", "--rerun", "3", file)
	if o.code != exitNotConformant || !strings.Contains(o.stdout, "problem   rerun on vulkan:uuid, case "+sample+": want passed as in the package, got failed as it was told") || !strings.Contains(o.stdout, "2 of 3 cases") {
		t.Errorf("another outcome: got %+v", o)
	}

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/3] ^= 1
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if o := script(t, nil, "verify", file); o.code != exitInput || !strings.Contains(o.stderr, "read conformance package: ") || o.stdout != "" {
		t.Errorf("damaged: got %+v", o)
	}
}

// sampleOf is a case that --rerun 3 runs.
func sampleOf(t *testing.T, file string) string {
	t.Helper()
	p, err := readPackage(file)
	if err != nil {
		t.Fatal(err)
	}
	return p.Sample(3)[1]
}

// TestAProcessThatEndsBetweenCasesIsReplaced: no case is to blame, so none has failed, and none is run twice.
func TestAProcessThatEndsBetweenCasesIsReplaced(t *testing.T) {
	for _, last := range []string{"relu/n2-c3-h4-w4/ordinary", "relu/n2-c3-h4-w4/integers"} {
		o := script(t, []string{"RESNET_RUN_TEST_SCRIPTED_DEATH=" + last}, "--backend", "vulkan", "--device", "uuid", "--filter", "^relu/n[12]-c[13]-", "--format", "json")
		c := parsed(t, o)
		if d := c.Devices[0]; o.code != exitOK || !c.Conformant || len(d.Results) != c.Cases || d.Summary.Passed != c.Cases || !strings.Contains(o.stderr, "ended after "+last+": exit status 77; going on in another") {
			t.Errorf("got %+v", o)
		}
	}
}

func TestPackageOfAFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "submission.zip")
	o := script(t, []string{scriptedFailure + "=contract/info"}, "--backend", "vulkan", "--device", "uuid", "--package", file)
	if o.code != exitNotConformant {
		t.Fatalf("got %+v", o)
	}
	if o := script(t, nil, "verify", file); o.code != exitNotConformant || !strings.Contains(o.stdout, "the package holds; it says: not conformant: 1 of ") || !strings.Contains(o.stderr, "holds, and says: not conformant") {
		t.Errorf("got %+v", o)
	}
}

func TestVerifyUsage(t *testing.T) {
	for _, test := range []struct {
		args, want string
		code       int
	}{
		{"verify", "accepts 1 arg", exitUsage},
		{"verify --rerun -1 x", "--rerun: want 0 to 500, got -1", exitUsage},
		{"verify --rerun 501 x", "--rerun: want 0 to 500, got 501", exitUsage},
		{"verify --format html x", "want table|json", exitUsage},
		{"verify gone.zip", "gone.zip", exitInput},
		{"verify .", "want a file, got .", exitInput},
		{"verify conformance_verify_test.go", "want a zip archive", exitInput},
	} {
		if o := conform(t, strings.Fields(test.args)...); o.code != test.code || !strings.Contains(o.stderr, test.want) {
			t.Errorf("%s: got %+v, want %q", test.args, o, test.want)
		}
	}
}
