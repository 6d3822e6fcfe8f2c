package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
)

// Conformance is the outcome of the conformance suite on one or several devices.
type Conformance struct {
	Version     Version     `json:"version"`
	Program     string      `json:"program,omitempty"` // SHA-256 of the program's file in hexadecimal, empty when unknown
	Profile     string      `json:"profile"`
	Filter      string      `json:"filter,omitempty"`
	Strict      bool        `json:"strict"`
	Timeout     string      `json:"timeout"`          // of a case, for example "2m0s"
	Repeat      int         `json:"repeat,omitempty"` // how many times in a row each case was run; 0 is once
	Known       []Exception `json:"known,omitempty"`
	Limits      []Exception `json:"limits,omitempty"`
	Cases       int         `json:"cases"` // that were chosen, for each device
	Started     time.Time   `json:"started"`
	Seconds     float64     `json:"seconds"`     // of all devices
	Interrupted bool        `json:"interrupted"` // there are results of a part of the cases only
	Conformant  bool        `json:"conformant"`  // every device is
	Verdict     string      `json:"verdict"`     // why it is not conformant, else empty
	// Missing are backends without a device, where all were asked for.
	Missing []Missing            `json:"missing,omitempty"`
	Devices []*DeviceConformance `json:"devices"`
}

// Exception is [conformance.Exception] with the names that JSON has.
type Exception struct {
	Case   string `json:"case"`
	Reason string `json:"reason"`
}

// DeviceConformance is the outcome on one device.
type DeviceConformance struct {
	Target     string              `json:"target"` // what chose it: "backend:device", or a list of them
	Device     Facts               `json:"device"` // empty before it has been opened
	Seconds    float64             `json:"seconds"`
	Conformant bool                `json:"conformant"`
	Verdict    string              `json:"verdict"`         // why it is not conformant, else empty
	Error      string              `json:"error,omitempty"` // why the run ended early, other than by interruption
	Summary    conformance.Summary `json:"summary"`
	NotRun     int                 `json:"not_run,omitempty"` // cases without a result, since the run ended early
	Results    []CaseResult        `json:"results"`
	// Rerun is the command that runs one case again, up to the case's name.
	Rerun string `json:"rerun"`
}

// Facts is backend.DeviceInfo that can be read back from JSON.
type Facts struct{ backend.DeviceInfo }

// UnmarshalJSON reads what the marshalling of backend.DeviceInfo wrote.
func (f *Facts) UnmarshalJSON(data []byte) error {
	type plain backend.DeviceInfo // without its methods
	v := struct {
		*plain
		Type string `json:"type"`
	}{plain: (*plain)(&f.DeviceInfo)}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	for t := backend.InvalidDevice; t <= backend.Other; t++ {
		if t.String() == v.Type {
			f.Type = t
			return nil
		}
	}
	return fmt.Errorf("read device: type: want one of those of backend.DeviceType, got %.40q", v.Type)
}

// CaseResult is the outcome of one case.
type CaseResult struct {
	Case     string             `json:"case"`
	Class    string             `json:"class"`
	Status   conformance.Status `json:"status"`
	Error    string             `json:"error,omitempty"`
	Reason   string             `json:"reason,omitempty"`   // of the exception that applies
	Runs     int                `json:"runs,omitempty"`     // how many times it was run
	Failures int                `json:"failures,omitempty"` // of these runs
	Seconds  float64            `json:"seconds"`            // of all runs
	Worst    *Worst             `json:"worst,omitempty"`    // where the error is the greatest part of its bound
}

// Group is the first part of the case's name: what is tested.
func (r CaseResult) Group() string {
	name, _, _ := strings.Cut(r.Case, "/")
	return name
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
	if err != nil {
		return fmt.Errorf("read number: want one, \"NaN\", \"+Inf\" or \"-Inf\", got %.40q", data)
	}
	*n = Number(f)
	return nil
}

// NewCaseResult makes a result fit for JSON.
func NewCaseResult(r conformance.Result) CaseResult {
	v := CaseResult{Case: r.Case.Name, Class: r.Case.Class.String(), Status: r.Status, Reason: r.Reason, Runs: r.Runs, Failures: r.Failures, Seconds: r.Duration.Seconds()}
	if r.Err != nil {
		v.Error = r.Err.Error()
	}
	if r.Worst != nil {
		w := newWorst(*r.Worst)
		v.Worst = &w
	}
	return v
}

func newWorst(f conformance.Finding) Worst {
	return Worst{f.Node, f.Op, f.Elements, f.Failed, f.Place, Number(f.Fraction), Number(f.ULP), Number(f.Got), Number(f.Want), Number(f.Bound), f.Pattern}
}

// Open sets what the opened device of a backend tells of itself.
func (d *DeviceConformance) Open(name string, info backend.DeviceInfo) {
	d.Device, d.Target = Facts{info}, JoinTarget(name, info.ID)
	d.Rerun = "resnet-run conformance --backend " + shellQuote(name)
	if d.Target != name {
		d.Rerun += " --device " + shellQuote(info.ID)
	}
	d.Rerun += " --filter"
}

// JoinTarget names a device of a backend: "backend:device". Names with commas between them are one device, a schedule over
// several, and need no other.
func JoinTarget(backend, device string) string {
	if strings.Contains(backend, ",") {
		return backend
	}
	return backend + ":" + device
}

// SplitTarget is the inverse of [JoinTarget]; device is what follows the first colon, and empty for a list.
func SplitTarget(target string) (backend, device string) {
	if strings.Contains(target, ",") {
		return target, ""
	}
	backend, device, _ = strings.Cut(target, ":")
	return backend, device
}

// Add appends a result and counts it.
func (d *DeviceConformance) Add(r CaseResult) {
	d.Results = append(d.Results, r)
	d.Summary.Add(conformance.Result{Status: r.Status})
}

// Counts are the numbers of cases by outcome, and of those that were not run if there are any.
func (d *DeviceConformance) Counts() string {
	if d.NotRun == 0 {
		return d.Summary.String()
	}
	return fmt.Sprintf("%v; %d not run", d.Summary, d.NotRun)
}

// Runs counts the runs of all cases, and those that did not hold: more than there are cases where each is run several times.
func (d *DeviceConformance) Runs() (all, failed int) {
	for _, r := range d.Results {
		all += r.Runs
		failed += r.Failures
	}
	return all, failed
}

// Name is the device's name, or before it has told it what chose it.
func (d *DeviceConformance) Name() string {
	if d.Device.Name == "" {
		return d.Target
	}
	return d.Device.Name
}

// Finish works out what follows from the results. It may be called again when there are more.
func (c *Conformance) Finish(interrupted bool) {
	c.Interrupted, c.Seconds = interrupted, 0
	var errs []error
	for _, d := range c.Devices {
		c.Seconds += d.Seconds
		d.NotRun = max(0, c.Cases-len(d.Results))
		err := conformance.Verdict(d.Summary, c.Strict)
		switch {
		case d.Error != "":
			err = errors.New(d.Error)
		case err == nil && len(d.Results) < c.Cases:
			err = fmt.Errorf("interrupted after %d of %d cases", len(d.Results), c.Cases)
		}
		d.Conformant, d.Verdict = err == nil, ""
		if err == nil {
			continue
		}
		d.Verdict = err.Error()
		if len(c.Devices) > 1 {
			err = fmt.Errorf("%s: %w", d.Name(), err)
		}
		errs = append(errs, err)
	}
	c.Conformant, c.Verdict = len(errs) == 0 && len(c.Devices) > 0, ""
	if !c.Conformant {
		texts := make([]string, len(errs))
		for i, err := range errs {
			texts[i] = err.Error()
		}
		c.Verdict = cmp.Or(strings.Join(texts, "; "), "no device")
	}
}

// mostReportBytes is the size to which a report is read: a hundred times a full run on three devices.
const mostReportBytes = 512 << 20

// ReadConformance reads what [WriteConformance] wrote as JSON. What follows from the results is worked out again.
//
// Errors: text that is no such report, with the field that is wrong.
func ReadConformance(r io.Reader) (Conformance, error) {
	var c Conformance
	limited := &io.LimitedReader{R: r, N: mostReportBytes}
	d := json.NewDecoder(limited)
	if err := d.Decode(&c); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("want at most %d bytes", mostReportBytes)
		}
		return c, fmt.Errorf("read conformance report: %w", err)
	}
	for i, d := range c.Devices {
		if d == nil {
			return c, fmt.Errorf("read conformance report: devices: entry %d: want an object, got null", i)
		}
		d.Summary = conformance.Summary{}
		for _, r := range d.Results {
			d.Summary.Add(conformance.Result{Status: r.Status})
		}
	}
	c.Finish(c.Interrupted)
	return c, nil
}

// ConformanceFormats are the formats of [WriteConformance].
var ConformanceFormats = []Format{Table, JSON, JUnit, HTML}

// CaseFormats are the formats of [WriteCases].
var CaseFormats = []Format{Table, JSON}

// WriteConformance writes the outcome. Tables have a row a group of cases, and every case that did not pass.
func WriteConformance(w io.Writer, f Format, c Conformance) error {
	switch f {
	case JSON:
		c.Devices = slices.Clone(c.Devices)
		if c.Devices == nil {
			c.Devices = []*DeviceConformance{}
		}
		for i, d := range c.Devices {
			if d.Results == nil {
				v := *d
				v.Results = []CaseResult{}
				c.Devices[i] = &v
			}
		}
		return writeJSON(w, c)
	case JUnit:
		return writeJUnit(w, c)
	case HTML:
		return writeConformanceHTML(w, c)
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

func groups(d *DeviceConformance) []*group {
	var list []*group
	byName := map[string]*group{}
	for _, r := range d.Results {
		name := r.Group()
		g := byName[name]
		if g == nil {
			g = &group{name: name}
			byName[name] = g
			list = append(list, g)
		}
		g.Add(conformance.Result{Status: r.Status})
		g.seconds += r.Seconds
		if r.Worst != nil && (float64(r.Worst.Fraction) > g.worst || g.place == "") {
			g.worst, g.place = float64(r.Worst.Fraction), r.Case
		}
	}
	return list
}

// groupNames are the groups of all devices in the order of the suite.
func groupNames(c Conformance) []string {
	var names []string
	seen := map[string]bool{}
	for _, d := range c.Devices {
		for _, r := range d.Results {
			if n := r.Group(); !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return names
}
