package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
)

// Conformance is the outcome of the conformance suite on a device.
type Conformance struct {
	Version     Version             `json:"version"`
	Device      backend.DeviceInfo  `json:"device"`
	Profile     string              `json:"profile"`
	Filter      string              `json:"filter,omitempty"`
	Strict      bool                `json:"strict"`
	Started     time.Time           `json:"started"`
	Seconds     float64             `json:"seconds"`
	Interrupted bool                `json:"interrupted"` // there are results of a part of the cases only
	Conformant  bool                `json:"conformant"`
	Verdict     string              `json:"verdict"` // why it is not conformant, else empty
	Summary     conformance.Summary `json:"summary"`
	Results     []CaseResult        `json:"results"`
	// Rerun is the command that runs one case again, up to the case's name.
	Rerun string `json:"rerun"`
}

// CaseResult is the outcome of one case.
type CaseResult struct {
	Case    string             `json:"case"`
	Class   string             `json:"class"`
	Status  conformance.Status `json:"status"`
	Error   string             `json:"error,omitempty"`
	Reason  string             `json:"reason,omitempty"` // of the exception that applies
	Seconds float64            `json:"seconds"`
	Worst   *Worst             `json:"worst,omitempty"` // where the error is the greatest part of its bound
}

// Worst is [conformance.Finding] in numbers that JSON can hold.
type Worst struct {
	Node     string `json:"node"`
	Op       string `json:"op"`
	Elements int    `json:"elements"`
	Failed   int    `json:"failed"`
	Place    []int  `json:"place"`
	Fraction Number `json:"fraction"`
	ULP      Number `json:"ulp"`
	Got      Number `json:"got"`
	Want     Number `json:"want"`
	Bound    Number `json:"bound"`
	Pattern  string `json:"pattern,omitempty"`
}

// Number is a float64 that JSON has as a number, or as "NaN", "+Inf" or "-Inf".
type Number float64

// MarshalJSON writes the number.
func (n Number) MarshalJSON() ([]byte, error) {
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return json.Marshal(strconv.FormatFloat(f, 'g', -1, 64))
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (n *Number) UnmarshalJSON(data []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	*n = Number(f)
	return err
}

// NewCaseResult makes a result fit for JSON.
func NewCaseResult(r conformance.Result) CaseResult {
	v := CaseResult{Case: r.Case.Name, Class: r.Case.Class.String(), Status: r.Status, Reason: r.Reason, Seconds: r.Duration.Seconds()}
	if r.Err != nil {
		v.Error = r.Err.Error()
	}
	if f := r.Worst; f != nil {
		v.Worst = &Worst{f.Node, f.Op, f.Elements, f.Failed, f.Place, Number(f.Fraction), Number(f.ULP), Number(f.Got), Number(f.Want), Number(f.Bound), f.Pattern}
	}
	return v
}

// Add appends a result and counts it.
func (c *Conformance) Add(r CaseResult) {
	c.Results = append(c.Results, r)
	c.Summary.Add(conformance.Result{Status: r.Status})
}

// Finish works out what follows from the results.
func (c *Conformance) Finish(elapsed time.Duration, interrupted bool) {
	c.Seconds, c.Interrupted = elapsed.Seconds(), interrupted
	err := conformance.Verdict(c.Summary, c.Strict)
	if err == nil && interrupted {
		err = fmt.Errorf("interrupted after %d cases", len(c.Results))
	}
	if c.Conformant = err == nil; !c.Conformant {
		c.Verdict = err.Error()
	}
}

// JUnit is the XML format that build servers read.
const JUnit Format = "junit"

// ConformanceFormats are the formats of [WriteConformance].
var ConformanceFormats = []Format{Table, JSON, JUnit}

// WriteConformance writes the outcome. Tables have a row a group of cases, and every case that did not pass.
func WriteConformance(w io.Writer, f Format, c Conformance) error {
	switch f {
	case JSON:
		if c.Results == nil {
			c.Results = []CaseResult{}
		}
		return writeJSON(w, c)
	case JUnit:
		return writeJUnit(w, c)
	}
	return writeConformanceTable(w, c)
}

// group counts the cases that share the first part of their names.
type group struct {
	conformance.Summary
	name    string
	worst   float64
	place   string // the case with the worst
	seconds float64
}

func groups(c Conformance) []*group {
	var list []*group
	byName := map[string]*group{}
	for _, r := range c.Results {
		name, _, _ := strings.Cut(r.Case, "/")
		g := byName[name]
		if g == nil {
			g = &group{name: name}
			byName[name] = g
			list = append(list, g)
		}
		g.Add(conformance.Result{Status: r.Status})
		g.seconds += r.Seconds
		if r.Worst != nil && float64(r.Worst.Fraction) > g.worst {
			g.worst, g.place = float64(r.Worst.Fraction), r.Case
		}
	}
	return list
}

func writeConformanceTable(w io.Writer, c Conformance) error {
	rows := [][]string{{"CASES", ">PASSED", ">FAILED", ">EXPECTED", ">UNEXPECTED", ">REFUSED", ">SKIPPED", ">WORST", ">SECONDS", "WORST CASE"}}
	for _, g := range groups(c) {
		rows = append(rows, []string{g.name, strconv.Itoa(g.Passed), strconv.Itoa(g.Failed), strconv.Itoa(g.ExpectedFailures), strconv.Itoa(g.UnexpectedPasses),
			strconv.Itoa(g.Refused), strconv.Itoa(g.Skipped), fmt.Sprintf("%.3g", g.worst), fmt.Sprintf("%.1f", g.seconds), g.place})
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("WORST: the greatest error as a part of its bound; above 1 is a failure.\n")
	for _, r := range c.Results {
		if r.Status == conformance.Passed {
			continue
		}
		fmt.Fprintf(&b, "\n%v: %s\n", r.Status, r.Case)
		for _, text := range []string{r.Reason, r.Error} {
			for line := range strings.Lines(text) {
				b.WriteString("    " + Printable(strings.TrimSuffix(line, "\n")) + "\n")
			}
		}
		if r.Status == conformance.Failed {
			fmt.Fprintf(&b, "    again: %s %s\n", c.Rerun, r.Case)
		}
	}
	verdict := "conformant"
	if !c.Conformant {
		verdict = "not conformant: " + c.Verdict
	}
	fmt.Fprintf(&b, `
device    %s: %s (%v, %s, %s, %s)
program   resnet-run %s, %s, %s
profile   %s, %.1f s, begun %s
cases     %v
verdict   %s
`, c.Device.Backend, Printable(c.Device.Name), c.Device.Type, Printable(c.Device.Driver), Printable(c.Device.API), c.Device.ID,
		strings.TrimSpace(c.Version.Version+" "+c.Version.Revision), c.Version.Go, c.Version.Platform, c.Profile, c.Seconds, c.Started.UTC().Format(time.RFC3339), c.Summary, verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Time    string     `xml:"time,attr"`
	Failure *junitText `xml:"failure"`
	Skipped *junitText `xml:"skipped"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(w io.Writer, c Conformance) error {
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }
	s := junitSuite{
		Name: "conformance " + c.Device.Backend + " " + c.Device.Name, Time: seconds(c.Seconds), Timestamp: c.Started.UTC().Format("2006-01-02T15:04:05"),
		Properties: []junitProperty{
			{"backend", c.Device.Backend}, {"device", c.Device.Name}, {"id", c.Device.ID}, {"driver", c.Device.Driver}, {"api", c.Device.API},
			{"profile", c.Profile}, {"version", c.Version.Version}, {"revision", c.Version.Revision}, {"go", c.Version.Go}, {"platform", c.Version.Platform},
			{"verdict", c.Verdict},
		},
	}
	for _, r := range c.Results {
		class, _, _ := strings.Cut(r.Case, "/")
		v := junitCase{Class: "conformance." + class, Name: r.Case, Time: seconds(r.Seconds)}
		text := &junitText{Message: strings.TrimSpace(r.Status.String() + ": " + r.Reason), Text: r.Error}
		s.Tests++
		switch {
		case r.Status == conformance.Failed, r.Status == conformance.UnexpectedPass && c.Strict:
			v.Failure = text
			s.Failures++
		case r.Status != conformance.Passed && r.Status != conformance.UnexpectedPass:
			v.Skipped = text
			s.Skipped++
		}
		s.Cases = append(s.Cases, v)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Suite: s}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// WriteCases lists cases without running them.
func WriteCases(w io.Writer, f Format, cases []conformance.Case) error {
	if f == JSON {
		type listed struct {
			Case    string `json:"case"`
			Class   string `json:"class"`
			Profile string `json:"profile"`
			Reason  string `json:"reason"`
		}
		list := make([]listed, len(cases))
		for i, c := range cases {
			list[i] = listed{c.Name, c.Class.String(), c.Profile.String(), c.Reason}
		}
		return writeJSON(w, list)
	}
	rows := [][]string{{"CASE", "CLASS", "PROFILE", "REASON"}}
	for _, c := range cases {
		rows = append(rows, []string{c.Name, c.Class.String(), c.Profile.String(), c.Reason})
	}
	return writeTable(w, rows)
}
