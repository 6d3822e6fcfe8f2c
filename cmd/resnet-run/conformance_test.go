package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// zeroBackend is the reference with a softmax that gives zeros.
type zeroBackend struct{ backend.Backend }

func (zeroBackend) Name() string { return "zero" }

func (z zeroBackend) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := z.Backend.Open(ctx, id)
	return zeroDevice{d}, err
}

type zeroDevice struct{ backend.Device }

func (z zeroDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := z.Device.Compile(ctx, g)
	if err != nil || g.Nodes[0].Op != (graph.Softmax{}) {
		return e, err
	}
	return zeroExecutable{e}, nil
}

type zeroExecutable struct{ backend.Executable }

func (z zeroExecutable) Run(ctx context.Context, _, out []backend.Buffer) error {
	return out[0].Write(ctx, make([]byte, out[0].Type().SizeBytes()))
}

// conform runs the command on the reference or on the broken backend.
func conform(t *testing.T, args ...string) outcome {
	t.Helper()
	backends := []backend.Backend{noVulkan, reference.New(), zeroBackend{reference.New()}}
	return run(t, t.Context(), strings.NewReader(""), nil, backends, append([]string{"conformance"}, args...)...)
}

func TestConformanceOfARightDevice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	o := conform(t, "--backend", "reference", "--filter", "^(softmax|contract)/", "--out", dir, "--strict")
	if o.code != exitOK || !strings.Contains(o.stdout, "verdict   conformant\n") || !strings.Contains(o.stdout, "float64 reference") || strings.Contains(o.stderr, "failed") {
		t.Errorf("got %+v", o)
	}
	for _, f := range conformanceFiles {
		data, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil || len(data) < 200 {
			t.Errorf("%s: %d bytes, %v", f.name, len(data), err)
		}
		if f.name == "conformance.txt" && string(data) != o.stdout {
			t.Errorf("%s differs from standard output", f.name)
		}
	}
}

func TestConformanceOfAWrongDevice(t *testing.T) {
	const filter = "^softmax/n3-c33/|^relu/n2-c5-h7-w9/nan"
	o := conform(t, "--backend", "zero", "--filter", filter)
	for _, want := range []string{"failed: softmax/n3-c33/ordinary\n", "all zero", "again: resnet-run conformance --backend zero --device cpu --filter softmax/n3-c33/ordinary\n",
		"3 run: 1 passed, 2 failed", "verdict   not conformant: 2 of 3 cases failed"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("table lacks %q:\n%s", want, o.stdout)
		}
	}
	if o.code != exitNotConformant || !strings.Contains(o.stderr, "not conformant: 2 of 3 cases failed") {
		t.Errorf("got exit code %d, want %d; %s", o.code, exitNotConformant, o.stderr)
	}

	o = conform(t, "--backend", "zero", "--filter", filter, "--format", "json")
	var report struct {
		Conformant bool
		Devices    []struct {
			Device  struct{ Name, Driver string }
			Summary struct{ Run, Failed int }
			Results []struct {
				Case, Status, Error string
				Worst               struct {
					Place    []int
					Fraction any
					Pattern  string
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(o.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Devices) != 1 {
		t.Fatalf("got %d devices", len(report.Devices))
	}
	d := report.Devices[0]
	r := d.Results
	if report.Conformant || d.Device.Name == "" || d.Summary.Failed != 2 || len(r) != 3 || r[0].Case != "relu/n2-c5-h7-w9/nan" || r[0].Status != "passed" ||
		r[1].Status != "failed" || r[1].Worst.Pattern != "all zero" || len(r[1].Worst.Place) != 2 || r[1].Error == "" {
		t.Errorf("got %+v", report)
	}

	o = conform(t, "--backend", "zero", "--filter", filter, "--format", "junit")
	var suites struct {
		Suite struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Failure string `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(o.stdout), &suites); err != nil {
		t.Fatal(err)
	}
	if s := suites.Suite; s.Tests != 3 || s.Failures != 2 || len(s.Cases) != 3 || s.Cases[0].Failure != "" || !strings.Contains(s.Cases[1].Failure, "all zero") {
		t.Errorf("got %+v", s)
	}
}

func TestConformanceExceptions(t *testing.T) {
	known := []string{"--backend", "zero", "--filter", "^softmax/n3-c33/", "--known", "softmax/n3-c33/.*=zeros: known"}
	if o := conform(t, known...); o.code != exitOK || !strings.Contains(o.stdout, "2 expected failures") || !strings.Contains(o.stdout, "    zeros: known\n") {
		t.Errorf("known: got %+v", o)
	}
	if o := conform(t, append([]string{"--strict", "--known", "relu/.*=not so"}, append(known, "--filter", "relu/n2-c5-h7-w9/nan")...)...); o.code != exitNotConformant || !strings.Contains(o.stderr, "listed as known failures") {
		t.Errorf("unexpected pass: got %+v", o)
	}
	if o := conform(t, "--backend", "zero", "--filter", "^softmax/n3-c33/", "--limit", "softmax/n3-c33/ordinary=never", "--limit", "softmax/n3-c33/integers=never"); o.code != exitNotConformant || !strings.Contains(o.stderr, "no case was run") {
		t.Errorf("limits: got %+v", o)
	}
}

func TestConformanceUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"read --format: want table|json|junit|html": {"--format", "csv"},
		"--profile: read profile: want quick":       {"--profile", "huge"},
		"no case of profile quick matches":          {"--filter", "nothing"},
		"--filter: read filter":                     {"--filter", "("},
		"--known: want CASE=REASON":                 {"--known", "x"},
		"--limit: want CASE=REASON":                 {"--limit", "x="},
		"--timeout: want a time above 0":            {"--timeout", "0s"},
		"select backend \"cuda\"":                   {"--backend", "cuda"},
	} {
		if o := conform(t, args...); o.code != exitUsage || !strings.Contains(o.stderr, want) || o.stdout != "" {
			t.Errorf("%v: got %+v, want %q", args, o, want)
		}
	}
	if o := conform(t, "--backend", "vulkan"); o.code != exitNoDevice {
		t.Errorf("no device: got %+v", o)
	}
}

func TestConformanceList(t *testing.T) {
	o := conform(t, "--list", "--filter", "^softmax/n3-c33/")
	if lines := strings.Split(strings.TrimSpace(o.stdout), "\n"); o.code != exitOK || len(lines) != 3 || !strings.HasPrefix(lines[1], "softmax/n3-c33/ordinary  class A  quick ") {
		t.Errorf("got %+v", o)
	}
	o = conform(t, "--list", "--profile", "full", "--format", "json")
	var list []struct{ Case, Class, Profile, Reason string }
	if err := json.Unmarshal([]byte(o.stdout), &list); err != nil || len(list) < 5000 || list[0].Reason == "" {
		t.Errorf("%d cases, %v", len(list), err)
	}
}

// TestInterruptedConformanceReportsTheResultsSoFar cancels after the first case that fails.
func TestInterruptedConformanceReportsTheResultsSoFar(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := []backend.Backend{cancelling{zeroBackend{reference.New()}, cancel}}
	o := run(t, ctx, strings.NewReader(""), nil, b, "conformance", "--backend", "zero", "--filter", "^(relu|softmax)/n[123]", "--format", "json")
	var report struct {
		Interrupted, Conformant bool
		Verdict                 string
		Devices                 []struct{ Results []struct{ Case string } }
	}
	if err := json.Unmarshal([]byte(o.stdout), &report); err != nil {
		t.Fatalf("%v: %+v", err, o)
	}
	if r := report.Devices[0].Results; o.code != exitInterrupted || !report.Interrupted || report.Conformant || len(r) < 10 || !strings.HasPrefix(r[0].Case, "relu/") {
		t.Errorf("got exit code %d, %+v", o.code, report)
	}
}

// cancelling cancels when a softmax is compiled.
type cancelling struct {
	zeroBackend
	cancel func()
}

func (c cancelling) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := c.Backend.Open(ctx, id)
	return cancellingDevice{d, c.cancel}, err
}

type cancellingDevice struct {
	backend.Device
	cancel func()
}

func (c cancellingDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if g.Nodes[0].Op == (graph.Softmax{}) {
		c.cancel()
	}
	return c.Device.Compile(ctx, g)
}
