package submission

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/report"
)

const testProgram = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// honest is a report of the quick profile on two devices, as a run would make it: the numbers are made up, but each verdict
// follows from them. The second device has a known failure, a limit and refusals.
func honest() report.Conformance {
	cases := profileCases("quick")
	c := report.Conformance{
		Version: report.Version{Version: "v1.0.0", Revision: "abc", Go: "go1.26", Platform: "linux/amd64"}, Program: testProgram,
		Profile: "quick", Timeout: "2m0s", Cases: len(cases), Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Known: []report.Exception{{Case: "softmax/n3-c33/.*", Reason: "the driver's exp"}}, Limits: []report.Exception{{Case: "network/.*", Reason: "no memory"}},
	}
	for i, name := range []string{"First", "Second"} {
		d := &report.DeviceConformance{Seconds: 2}
		d.Open("vulkan", backend.DeviceInfo{Backend: "vulkan", ID: fmt.Sprint("uuid-", i), Name: name, Type: backend.DiscreteGPU, Driver: "driver 1", API: "Vulkan 1.3", Properties: map[string]string{pipelineCacheUUID: "cafe-" + name}})
		for k := range cases {
			d.Add(outcome(&cases[k], i))
		}
		c.Devices = append(c.Devices, d)
	}
	c.Finish(false)
	return c
}

func outcome(c *conformance.Case, device int) report.CaseResult {
	r := report.CaseResult{Case: c.Name, Class: c.Class.String(), Status: conformance.Passed, Seconds: 0.001}
	got, want, bound := float32(1.5), 1.5+1e-7, 4e-7
	switch known := strings.HasPrefix(c.Name, "softmax/n3-c33/"); {
	case strings.HasPrefix(c.Name, "network/"):
		r.Status, r.Reason, r.Seconds = conformance.Skipped, "no memory", 0
		return r
	case known && device == 0:
		r.Status, r.Reason = conformance.UnexpectedPass, "the driver's exp"
	case known:
		r.Status, r.Reason, r.Error, got = conformance.ExpectedFailure, "the driver's exp", "out of bounds", float32(math.NaN())
	case device == 1 && strings.HasPrefix(c.Name, "avg_pool/"):
		r.Status, r.Error = conformance.Refused, "refused: avg_pool"
		return r
	case c.Class == conformance.Behaviour || c.Class == conformance.Bits:
		return r
	}
	f := conformance.Judge("y", "op", oneElement, []float32{got}, []float64{want}, []float64{bound})
	r.Worst = &report.Worst{Node: "y", Op: "op", Elements: 7, Failed: f.Failed, Place: []int{0}, Fraction: report.Number(f.Fraction), ULP: report.Number(f.ULP), Got: report.Number(f.Got), Want: report.Number(f.Want), Bound: report.Number(f.Bound)}
	return r
}

func pack(t testing.TB, c report.Conformance) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(data []byte) (*Package, error) { return Read(bytes.NewReader(data), int64(len(data))) }

func TestHonestPackageHolds(t *testing.T) {
	data := pack(t, honest())
	if again := pack(t, honest()); !bytes.Equal(again, data) {
		t.Error("the same report gave another archive")
	}
	p, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	if problems, notes := p.Verify(testProgram); len(problems) > 0 || len(notes) > 0 {
		t.Errorf("got %v, %v", problems, notes)
	}
	if problems, notes := p.Verify("another"); len(problems) > 0 || len(notes) != 1 || !strings.Contains(notes[0], "another build made the package") {
		t.Errorf("for another build: got %v, %v", problems, notes)
	}
	if len(data) > 1<<20 {
		t.Errorf("the archive has %d bytes", len(data))
	}
	var front Front
	if err := json.Unmarshal(p.content[frontName], &front); err != nil {
		t.Fatal(err)
	}
	if front.Seed != conformance.Seed || front.Devices[1].PipelineCacheUUID != "cafe-Second" || len(front.Waivers) != 2 || front.Cases != len(p.Report.Devices[0].Results) || len(front.CasesSHA256) != 64 {
		t.Errorf("got %+v", front)
	}
	for _, want := range []string{"profile \"quick\"", "pipelineCacheUUID cafe-First", "verdict    CONFORMANT", "waivers    2", "known failure: softmax/n3-c33/.*\n             because the driver's exp", testProgram, "seed       3"} {
		if !strings.Contains(string(p.content[statementName]), want) {
			t.Errorf("the statement lacks %q:\n%s", want, p.content[statementName])
		}
	}
}

// TestSha256sumAgrees unpacks a package and has the tool of that name check it.
func TestSha256sumAgrees(t *testing.T) {
	tool, err := exec.LookPath("sha256sum")
	if err != nil {
		t.Skip("there is no sha256sum here")
	}
	dir := t.TempDir()
	p, err := read(pack(t, honest()))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range p.content {
		if err := writeFile(filepath.Join(dir, name), data); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), tool, "--check", "--strict", sumsName)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != len(members)-1 {
		t.Errorf("got %v: %s", err, out)
	}
}

func TestWriteRefusesWhatProvesNothing(t *testing.T) {
	for want, change := range map[string]func(*report.Conformance){
		"want a whole profile": func(c *report.Conformance) { c.Filter = "^relu" },
		"interrupted run":      func(c *report.Conformance) { c.Interrupted = true },
		"at least one device":  func(c *report.Conformance) { c.Devices = nil },
	} {
		c := honest()
		change(&c)
		if err := Write(io.Discard, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// find is the result of a case on the first device.
func find(c *report.Conformance, name string) *report.CaseResult {
	for i := range c.Devices[0].Results {
		if r := &c.Devices[0].Results[i]; r.Case == name {
			return r
		}
	}
	panic("no case " + name)
}

// tamperings change a report in a way that someone might who wants it to say more than was found, with what must be
// told. Everything else of the archive is made anew, checksums included.
var tamperings = map[string]struct {
	change func(*report.Conformance)
	want   string
}{
	"a case left out": {func(c *report.Conformance) {
		d := c.Devices[0]
		d.Results = slices.DeleteFunc(slices.Clone(d.Results), func(r report.CaseResult) bool { return r.Case == "contract/run/output-of-another-shape" })
		d.Summary.Run, d.Summary.Passed = d.Summary.Run-1, d.Summary.Passed-1
	}, "contract/run/output-of-another-shape: it has no result"},
	"a case twice": {func(c *report.Conformance) {
		d := c.Devices[0]
		d.Results = append(slices.Clone(d.Results), d.Results[40])
		d.Summary.Run, d.Summary.Passed = d.Summary.Run+1, d.Summary.Passed+1
	}, "it has a second result"},
	"a case that does not exist": {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Case = "relu/my-own" }, "case relu/my-own: profile quick has no such case"},
	"another order":              {func(c *report.Conformance) { r := c.Devices[1].Results; r[3], r[4] = r[4], r[3] }, "not in the order of the suite"},
	"another class":              {func(c *report.Conformance) { find(c, "softmax/n8-c10/ordinary").Class = "behaviour" }, `class: want class A, got "behaviour"`},
	"counts that do not add up":  {func(c *report.Conformance) { c.Devices[1].Summary.Refused-- }, "summary: want what the results add up to"},
	"cases called not run":       {func(c *report.Conformance) { c.Devices[0].NotRun = 3 }, "not_run: want the cases without a result, 0, got 3"},
	"a failure called passed":    {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Worst.Got = 9 }, "fraction: want"},
	"a failure with fixed numbers": {func(c *report.Conformance) {
		w := find(c, "relu/n1-c1-h3-w3/ordinary").Worst
		w.Got, w.Fraction, w.ULP, w.Failed = 9, 1.8749999749999999e7, 6.2914559e7, 1
	}, "status: want failed, since the error is"},
	"an error beside passed":      {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Error = "out of bounds" }, "status: want failed, since there is an error"},
	"numbers removed":             {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Worst = nil }, "want numbers for a case of class A that passed"},
	"a wider bound":               {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Worst.Bound = 1 }, "fraction: want"},
	"a negative bound":            {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Worst.Bound = -1 }, "bound: want 0 or more"},
	"an ULP that is not so":       {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Worst.ULP = 0 }, "ulp: want"},
	"failed elements that passed": {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Worst.Failed = 3 }, "failed: want a number that fits"},
	"a number that is no float32": {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Worst.Got = 0.1 }, "got: want a float32 number"},
	"a negative time":             {func(c *report.Conformance) { find(c, "relu/n1-c1-h3-w3/ordinary").Seconds = -1 }, "seconds: want 0 or more"},
	"a waiver that is not declared": {func(c *report.Conformance) {
		r := find(c, "relu/n1-c1-h3-w3/ordinary")
		r.Status, r.Error, r.Reason = conformance.ExpectedFailure, "wrong", "bad day"
	}, "waiver: expected failure, but no waiver for it is declared"},
	"a skip that is not declared": {func(c *report.Conformance) {
		*find(c, "relu/n1-c1-h3-w3/ordinary") = report.CaseResult{Case: "relu/n1-c1-h3-w3/ordinary", Class: "class A", Status: conformance.Skipped, Reason: "no time"}
	}, "waiver: skipped, but no waiver"},
	"a waiver taken away":        {func(c *report.Conformance) { c.Known = nil }, "no waiver for it is declared"},
	"a waiver that was not used": {func(c *report.Conformance) { c.Known = append(c.Known, report.Exception{Case: "relu/.*", Reason: "x"}) }, "waiver: want expected failure or unexpected pass"},
	"a limit that was run": {func(c *report.Conformance) {
		c.Limits = append(c.Limits, report.Exception{Case: "relu/.*", Reason: "x"})
	}, "waiver: want skipped, as a declared limit says"},
	"another reason":            {func(c *report.Conformance) { find(c, "softmax/n3-c33/ordinary").Reason = "looks fine" }, "reason: want that of the waiver"},
	"a waiver without a reason": {func(c *report.Conformance) { c.Known[0].Reason = "" }, "waivers: read exception"},
	"too many waivers":          {func(c *report.Conformance) { c.Known = make([]report.Exception, 1001) }, "waivers: want at most 1000, got 1002"},
	"a refusal without a text": {func(c *report.Conformance) {
		r := find(c, "relu/n1-c1-h3-w3/ordinary")
		r.Status, r.Worst = conformance.Refused, nil
	}, "error: want a text for a case that is refused"},
	"no status":                   {func(c *report.Conformance) { find(c, "contract/info").Status = conformance.Failed }, "error: want a text for a case that is failed"},
	"a verdict of its own":        {func(c *report.Conformance) { c.Devices[0].Verdict = "splendid" }, `verdict: want conformant true "", got conformant true "splendid"`},
	"conformant against the rest": {func(c *report.Conformance) { c.Conformant = false }, `conformance.json: verdict: want conformant true "", got conformant false ""`},
	"a smaller profile":           {func(c *report.Conformance) { c.Profile = "full" }, "cases: want the "},
	"no profile":                  {func(c *report.Conformance) { c.Profile = "huge" }, "read profile: want quick"},
	"a command to be copied":      {func(c *report.Conformance) { c.Devices[0].Rerun = "rm -rf / #" }, `the command "resnet-run conformance --backend vulkan --device uuid-0 --filter", got`},
	"another target":              {func(c *report.Conformance) { c.Devices[0].Target = "cuda:0" }, `want target "cuda:uuid-0"`},
	"a device without a name":     {func(c *report.Conformance) { c.Devices[0].Device.Name = "" }, "device: want a name and a type"},
	"no timeout":                  {func(c *report.Conformance) { c.Timeout = "" }, "timeout: want a duration"},
}

func TestTamperedReportsAreNamed(t *testing.T) {
	for name, test := range tamperings {
		t.Run(name, func(t *testing.T) {
			c := honest()
			test.change(&c)
			content, err := front(c) // without the pages, which another build would not make again
			if err != nil {
				t.Fatal(err)
			}
			problems, _ := (&Package{Report: c, content: content}).Verify("another")
			problems = slices.DeleteFunc(problems, func(p Problem) bool { return strings.HasSuffix(p.Text, "no checksum in "+sumsName) })
			if len(problems) == 0 || !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), test.want) }) {
				t.Errorf("got %v, want %q", problems[:min(5, len(problems))], test.want)
			}
			if len(problems) > mostProblems+1 {
				t.Errorf("got %d problems", len(problems))
			}
		})
	}
}

// archive writes members as they are given, with a list of checksums that fits when fix is set.
func archive(t *testing.T, content map[string][]byte, fix bool, names ...string) []byte {
	t.Helper()
	if fix {
		content[sumsName] = sums(content)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, n := range names {
		w, err := z.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var honestContents = sync.OnceValues(func() (map[string][]byte, error) { return contents(honest()) })

func TestTamperedMembersAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		fix    bool
		change func(map[string][]byte)
		want   string
	}{
		"statement":              {false, func(m map[string][]byte) { m[statementName] = append(m[statementName], "and it is fast\n"...) }, "STATEMENT.txt: want the checksum"},
		"statement and checksum": {true, func(m map[string][]byte) { m[statementName] = append(m[statementName], "and it is fast\n"...) }, "STATEMENT.txt: it does not follow from the results"},
		"front and checksum": {true, func(m map[string][]byte) {
			m[frontName] = bytes.Replace(m[frontName], []byte("Second"), []byte("Secund"), 1)
		}, "package.json: it does not follow"},
		"page and checksum": {true, func(m map[string][]byte) {
			m[pageName] = bytes.Replace(m[pageName], []byte("Conformant"), []byte("Perfect"), 1)
		}, "conformance.html: it does not follow"},
		"build server's":    {true, func(m map[string][]byte) { m[junitName] = append(m[junitName], ' ') }, "conformance.xml: it does not follow"},
		"the report's form": {true, func(m map[string][]byte) { m[reportName] = append(m[reportName], ' ') }, "conformance.json: it does not follow"},
		"report without a checksum": {false, func(m map[string][]byte) {
			m[reportName] = bytes.Replace(m[reportName], []byte(`"seconds": 0.001`), []byte(`"seconds": 0.002`), 1)
		}, "conformance.json: want the checksum"},
		"a line less": {false, func(m map[string][]byte) { m[sumsName] = m[sumsName][bytes.IndexByte(m[sumsName], '\n')+1:] }, "STATEMENT.txt: it has no checksum"},
		"a line more": {false, func(m map[string][]byte) {
			m[sumsName] = append(m[sumsName], fmt.Sprintf("%x  /etc/passwd\n", sha256.Sum256(nil))...)
		}, "SHA256SUMS: want one line"},
		"a line twice": {false, func(m map[string][]byte) { m[sumsName] = append(m[sumsName], m[sumsName]...) }, "SHA256SUMS: want one line"},
		"no line":      {false, func(m map[string][]byte) { m[sumsName] = nil }, "package.json: it has no checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := honestContents()
			if err != nil {
				t.Fatal(err)
			}
			content := map[string][]byte{}
			for k, v := range made {
				content[k] = slices.Clone(v)
			}
			test.change(content)
			p, err := read(archive(t, content, test.fix, members...))
			if err != nil {
				t.Fatal(err)
			}
			program := "another" // for which the pages are not made again, which takes long
			if strings.HasPrefix(test.want, "conformance.") && test.fix {
				if testing.Short() {
					t.Skip("makes every page again")
				}
				program = testProgram
			}
			problems, _ := p.Verify(program)
			if len(problems) == 0 || !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), test.want) }) {
				t.Errorf("got %v, want %q", problems, test.want)
			}
		})
	}
}
