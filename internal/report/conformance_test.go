package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
)

// evil is text that must not become part of a page's own code.
const evil = `<script>alert("1")</script><img onerror=alert(2)> ' " & {{.}}`

// sample is a report of two devices: all is well on the first; the second has an outcome of every kind.
func sample() Conformance {
	c := Conformance{
		Version: Version{Version: "v1.2.3", Revision: "abc123", Go: "go1.26", Platform: "linux/amd64"}, Profile: "quick", Timeout: "2m0s",
		Known: []Exception{{"softmax/known", "a reason"}}, Limits: []Exception{{"softmax/limit", "would burn"}},
		Cases: 7, Started: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), Missing: []Missing{{"vulkan", "no loader"}},
	}
	good, bad := &DeviceConformance{Seconds: 1.5}, &DeviceConformance{Seconds: 2}
	good.Open("cpu", backend.DeviceInfo{Backend: "cpu", ID: "cpu", Name: "Good Device", Type: backend.CPU, MemoryBytes: 2 << 30, Properties: map[string]string{"threads": "2"}})
	bad.Open("zero", backend.DeviceInfo{Backend: "zero", ID: "a b'c", Name: "Bad " + evil, Type: backend.DiscreteGPU, Driver: evil, API: evil, Properties: map[string]string{evil: evil}})
	worst := func(f float64) *Worst {
		return &Worst{Node: "y", Op: "conv2d", Elements: 10, Place: []int{0, 3, 1, 2}, Fraction: Number(f), ULP: 2.5, Got: 1, Want: 2, Bound: 0.5}
	}
	for i := range 7 {
		good.Add(CaseResult{Case: []string{"contract/a", "conv2d/a", "conv2d/b", "conv2d/c", "softmax/known", "softmax/limit", "softmax/pass"}[i], Class: "class A", Status: conformance.Passed, Worst: worst(float64(i) / 10)})
	}
	nan := worst(math.NaN())
	nan.Got, nan.Pattern, nan.Failed = Number(math.NaN()), "every 4th channel", 3
	for _, r := range []CaseResult{
		{Case: "contract/a", Class: "behaviour", Status: conformance.Passed},
		{Case: "conv2d/a", Class: "class A", Status: conformance.Failed, Error: "out of bounds: " + evil + strings.Repeat("x", 5000), Worst: nan},
		{Case: "conv2d/b", Class: "class A", Status: conformance.Refused, Error: "refused: groups"},
		{Case: "conv2d/c", Class: "class A", Status: conformance.Refused, Error: "refused: groups"},
		{Case: "softmax/known", Class: "class A", Status: conformance.ExpectedFailure, Error: "wrong", Reason: "a reason"},
		{Case: "softmax/limit", Class: "class A", Status: conformance.Skipped, Reason: "would burn"},
	} {
		bad.Add(r)
	}
	c.Devices = []*DeviceConformance{good, bad}
	c.Finish(true)
	return c
}

func write(t *testing.T, f Format, c Conformance) string {
	t.Helper()
	var b strings.Builder
	if err := WriteConformance(&b, f, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestVerdictOfSeveralDevices(t *testing.T) {
	c := sample()
	if !c.Devices[0].Conformant || c.Devices[1].Conformant || c.Conformant || !strings.HasPrefix(c.Verdict, "Bad ") || !strings.HasSuffix(c.Verdict, ": 1 of 3 cases failed") || c.Seconds != 3.5 {
		t.Errorf("got %q, %+v", c.Verdict, c)
	}
	c.Devices = c.Devices[:1]
	if c.Finish(false); !c.Conformant || c.Verdict != "" {
		t.Errorf("one good device: got %q", c.Verdict)
	}
	c.Cases = 8
	if c.Finish(true); c.Conformant || c.Verdict != "interrupted after 7 of 8 cases" {
		t.Errorf("interrupted: got %q", c.Verdict)
	}
	c.Devices[0].Error = "device lost"
	if c.Finish(false); c.Conformant || c.Verdict != "device lost" {
		t.Errorf("with an error: got %q", c.Verdict)
	}
	c.Devices = nil
	if c.Finish(false); c.Conformant || c.Verdict != "no device" {
		t.Errorf("no device: got %q", c.Verdict)
	}
}

func TestConformanceJSONComesBack(t *testing.T) {
	want := sample()
	text := write(t, JSON, want)
	got, err := ReadConformance(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if again := write(t, JSON, got); again != text {
		t.Errorf("got\n%s\nwant\n%s", again, text)
	}
	if !reflect.DeepEqual(got.Devices[0], want.Devices[0]) {
		t.Errorf("got %+v, want %+v", got.Devices[0], want.Devices[0])
	}
	// What follows from the results is not believed.
	lie := strings.ReplaceAll(strings.ReplaceAll(text, `"conformant": false`, `"conformant": true`), `"passed": 1,`, `"passed": 999,`)
	if got, err := ReadConformance(strings.NewReader(lie)); err != nil || got.Conformant || got.Devices[1].Summary.Passed != 1 {
		t.Errorf("a lie was believed: %v, %+v", err, got.Devices[1].Summary)
	}
	for bad, want := range map[string]string{
		"":                    "EOF",
		"[]":                  "cannot unmarshal array",
		`{"devices": [null]}`: "entry 0: want an object, got null",
		`{"devices": 7}`:      "devices",
		`{"devices": [{"device": {"type": "toaster"}}]}`:                           `got "toaster"`,
		`{"devices": [{"results": [{"status": "fine"}]}]}`:                         `unknown name "fine"`,
		`{"devices": [{"results": [{"status": "passed", "worst": {"ulp": {}}}]}]}`: "read number: want one",
	} {
		if _, err := ReadConformance(strings.NewReader(bad)); err == nil || !strings.HasPrefix(err.Error(), "read conformance report: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", bad, err, want)
		}
	}
}

func TestDevicesComeBack(t *testing.T) {
	want := Devices{Devices: []Device{{3, sample().Devices[0].Device.DeviceInfo}}, Missing: []Missing{{"vulkan", "no loader"}}}
	var b strings.Builder
	if err := WriteDevices(&b, JSON, want, false); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadDevices(strings.NewReader(b.String())); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "7", `{"devices": [7]}`} {
		if _, err := ReadDevices(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func TestConformanceTableOfSeveralDevices(t *testing.T) {
	got := write(t, Table, sample())
	for _, want := range []string{
		"CASES     cpu: Good Device  WORST  zero: Bad <script>", "conv2d    3 passed            0.3  1 FAILED, 2 refused", "softmax   3 passed            0.6  1 expected to fail, 1 skipped",
		"\nfailed on Bad ", "    again: resnet-run conformance --backend zero --device 'a b'\\''c' --filter conv2d/a\n", "\nno device vulkan: no loader\n",
		"interrupted: there are results of a part", "verdict   conformant\n", "verdict   not conformant: Bad ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table lacks %q:\n%s", want, got)
		}
	}
}

func TestConformanceHTMLTellsEverything(t *testing.T) {
	got := write(t, HTML, sample())
	for _, want := range []string{
		"Not conformant", "1 of 3 cases failed", "v1.2.3", "abc123", "6 May 2026, 07:08 UTC", "quick, 7 cases a device", "Good Device", "the run was interrupted: 13 results",
		"every 4th channel", "place <b>[0 3 1 2]</b>", "<b>NaN</b> of the bound", "<b>2.5</b> ULP", "<b>3</b> of 10 elements", "cut here; the JSON report has the whole message",
		"resnet-run conformance --backend zero --device &#39;a b&#39;\\&#39;&#39;c&#39; --filter conv2d/a", "No device of backend vulkan: no loader",
		"1 of 3 failed", "3/3", "not run", "would burn", "a reason", "refused: groups", "<b>2</b> on Bad ", "All 7 cases", "prefers-color-scheme: dark", "<meta name=\"viewport\"",
		"<title>2 cases: error from 0.1 to 0.3 of its bound</title>", "<title>1 cases: error beyond its bound</title>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(got, "<img") || strings.Count(got, "<script") != 1 || strings.Contains(got, "alert(\"1\")") {
		t.Error("text of a device became part of the page")
	}
	if strings.Index(got, `id="failures"`) > strings.Index(got, `id="devices"`) {
		t.Error("failures do not come first")
	}
	selfContained(t, got)
}

// selfContained holds a page to asking for nothing, being well formed, and saying so to the browser.
func selfContained(t *testing.T, page string) {
	t.Helper()
	if m := regexp.MustCompile(`(?i)(src|href|action)\s*=|url\(|@import|https?:|<link|<iframe`).FindAllString(page, -1); m != nil {
		t.Errorf("the page asks for something: %q", m)
	}
	if !strings.Contains(page, `content="default-src 'none';`) {
		t.Error("the page has no content security policy")
	}
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
	}
}

func TestConformanceHTMLOfGoodEmptyAndManyDevices(t *testing.T) {
	c := sample()
	c.Devices = c.Devices[:1]
	c.Finish(false)
	if got := write(t, HTML, c); !strings.Contains(got, "✓</span> Conformant</h1>") || !strings.Contains(got, "7 cases passed on 1 device, every number") || strings.Contains(got, `id="failures"`) || strings.Contains(got, `id="exceptions"`) {
		t.Errorf("a good device: got %s", got)
	}
	c.Devices = nil
	c.Finish(true)
	if got := write(t, HTML, c); !strings.Contains(got, "Interrupted, not yet conformant") || strings.Contains(got, `id="all"`) {
		t.Errorf("no device: got %s", got)
	}
}

// TestConformanceHTMLOfManyCasesIsSmall has as many cases as three devices have in the largest profile, all failing on one.
func TestConformanceHTMLOfManyCasesIsSmall(t *testing.T) {
	c := Conformance{Cases: 8000, Profile: "long"}
	for i := range 3 {
		d := &DeviceConformance{}
		d.Open("b", backend.DeviceInfo{Backend: "b", ID: fmt.Sprint(i), Name: fmt.Sprint("device ", i)})
		for k := range c.Cases {
			r := CaseResult{Case: fmt.Sprintf("conv2d/n2-c17-h9-w7-k19-g1/r3-s2-stride2,1-pad1,0,1,0-dil1,2/bias-add-relu/%d", k), Class: "class A", Status: conformance.Passed, Worst: &Worst{Fraction: 0.5, Place: []int{1, 2, 3, 4}}}
			if i == 1 {
				r.Status, r.Error = conformance.Failed, strings.Repeat("wrong ", 300)
			}
			if i == 2 {
				r.Status, r.Error, r.Worst = conformance.Refused, "refused: no conv2d", nil
			}
			d.Add(r)
		}
		c.Devices = append(c.Devices, d)
	}
	c.Finish(false)
	got := write(t, HTML, c)
	if len(got) > 3<<20 {
		t.Errorf("got a page of %d bytes, want at most 3 MiB", len(got))
	}
	for _, want := range []string{"7850 more are not listed here", "and 7800 more", "conv2d/n2-c17-h9-w7-k19-g1/r3-s2-stride2,1-pad1,0,1,0-dil1,2/bias-add-relu/7999<"} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestJUnitHasASuiteForEachDevice(t *testing.T) {
	var s junitSuites
	if err := xml.Unmarshal([]byte(write(t, JUnit, sample())), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Suites) != 2 || s.Suites[0].Failures != 0 || s.Suites[0].Tests != 7 || s.Suites[1].Failures != 1 || s.Suites[1].Skipped != 5 || s.Suites[1].Tests != 7 {
		t.Errorf("got %+v", s.Suites)
	}
}

// TestEveryFormatCountsWhatWasNotRun has a device that is lost before the last four of its cases, alone and beside another.
func TestEveryFormatCountsWhatWasNotRun(t *testing.T) {
	const four, none = `"not_run": 4`, `"not_run"`
	for _, beside := range []bool{false, true} {
		c := sample()
		lost := c.Devices[0]
		lost.Results, lost.Summary, lost.Error = lost.Results[:3], conformance.Summary{Run: 3, Passed: 3}, "device lost"
		if c.Cases = 7; !beside {
			c.Devices = c.Devices[:1]
		}
		c.Finish(false)
		for f, want := range map[Format]string{
			Table: "cases     3 run: 3 passed, 0 failed, 0 expected failures, 0 unexpected passes; 0 refused, 0 skipped; 4 not run\n",
			JSON:  four,
			JUnit: `<property name="not_run" value="4"></property>`,
			HTML:  "not run",
		} {
			if got := write(t, f, c); !strings.Contains(got, want) {
				t.Errorf("format %v, beside another %t: want %q, got\n%s", f, beside, want, got)
			}
		}
		var s junitSuites
		if err := xml.Unmarshal([]byte(write(t, JUnit, c)), &s); err != nil {
			t.Fatal(err)
		}
		last := s.Suites[0].Cases[3]
		if s.Suites[0].Tests != 4 || s.Suites[0].Failures != 1 || last.Name != "4 cases not run" || last.Failure == nil || last.Failure.Message != "4 of 7 cases were not run" || last.Failure.Text != "device lost" {
			t.Errorf("JUnit: got %+v", s.Suites[0])
		}
	}
	c := sample()
	c.Devices = c.Devices[:1]
	c.Finish(false)
	for _, f := range ConformanceFormats {
		if got := write(t, f, c); strings.Contains(got, "not run") || f == JSON && strings.Contains(got, none) {
			t.Errorf("format %v of a whole run: got\n%s", f, got)
		}
	}
}

func TestHistogramCountsEveryCase(t *testing.T) {
	d := &DeviceConformance{}
	fractions := []float64{0, 1e-9, 1e-4, 1.1e-4, 0.02, 0.3, 0.30001, 1, 1.0001, math.Inf(1), math.NaN()}
	for _, f := range fractions {
		d.Add(CaseResult{Status: conformance.Passed, Worst: &Worst{Fraction: Number(f)}})
	}
	d.Add(CaseResult{Status: conformance.Passed})
	h := newHistogram(d)
	scale([]histogram{h})
	var got []int
	for i, b := range h.Bars {
		got = append(got, b.N)
		if b.Y+b.H > h.Height || b.Y < 0 || b.X+b.W > h.Width+1 || i > 0 && b.X < h.Bars[i-1].X+h.Bars[i-1].W {
			t.Errorf("bar %d is out of place: %+v", i, b)
		}
	}
	if want := []int{1, 2, 1, 0, 0, 0, 1, 0, 1, 2, 3}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "conv2d/n1,2-x": "conv2d/n1,2-x", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "ü": "'ü'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestFactsComeBack(t *testing.T) {
	for typ := backend.InvalidDevice; typ <= backend.Other; typ++ {
		want := Facts{backend.DeviceInfo{Backend: "b", Type: typ, MemoryBytes: 5}}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Facts
		if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %+v, %v", typ, got, err)
		}
	}
}
