package report

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/conformance"
)

//go:embed page.css page.js conformance.html comparison.html explanation.html
var pageFiles embed.FS

// pages are the templates of the HTML reports. Everything that is not ours is escaped by html/template.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"css":     func() template.CSS { return template.CSS(mustRead("page.css")) },
	"js":      func() template.JS { return template.JS(mustRead("page.js")) },
	"num":     num,
	"grouped": func(n int) string { return grouped(int64(n)) },
	"inc":     func(i int) int { return i + 1 },
}).ParseFS(pageFiles, "*.html"))

func mustRead(name string) string {
	text, err := pageFiles.ReadFile(name)
	if err != nil {
		panic("report: bug: " + err.Error()) // it is embedded
	}
	return string(text)
}

// How much of a report the page tells in full; what is left out is said there, and in the JSON form.
const (
	openFailures = 6
	mostFailures = 150
	mostWorst    = 40
	worstOfGroup = 3    // of one group on one device, so that the worst table is not of one op alone
	mostText     = 3000 // characters of one message
	mostNames    = 200  // cases of one reason
)

// conformancePage is what the template shows.
type conformancePage struct {
	Conformance
	State    state
	When     string
	Matrix   []matrixRow
	Failures []caseView
	More     []caseView // failures after the first few, folded up
	Left     int        // failures that are not listed
	Passed   int
	Ran      int
	Charts   []histogram
	Worst    []caseView
	Excepted []reasonView
	Cards    []deviceView
	All      []allRow
	Exact    int // cases with an error of 0
	Numbers  int // cases with a judged number
}

// state is how something went: a class of the style sheet, a mark that is readable without colour, and a word.
type state struct{ Class, Mark, Word string }

var (
	stateGood    = state{"good", "✓", "conformant"}
	stateBad     = state{"bad", "✗", "not conformant"}
	statePartial = state{"part", "…", "interrupted"}
)

type deviceView struct {
	*DeviceConformance
	State  state
	Tiles  []tile
	Facts  [][2]string
	Label  string
	Memory string
}

// tile is a number with what it counts.
type tile struct {
	N    string
	What string
	state
}

type matrixRow struct {
	Name  string
	Cells []matrixCell
}

type matrixCell struct {
	state
	Text  string
	Worst string
	Share float64 // of the bound, 0 to 100
	Over  bool    // beyond the bound
	Title string
}

type caseView struct {
	CaseResult
	Device  string
	Many    bool // there are several devices
	Text    string
	Cut     bool
	Command string
	Share   float64
	Over    bool
}

type reasonView struct {
	Status, Device, Reason string
	Cases                  []string
	Left                   int
}

type allRow struct {
	Case, Class string
	Cells       []allCell
}

type allCell struct{ Class, Text string }

func writeConformanceHTML(w io.Writer, c Conformance) error {
	if err := pages.ExecuteTemplate(w, "conformance.html", newConformancePage(c)); err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	return nil
}

func newConformancePage(c Conformance) conformancePage {
	p := conformancePage{Conformance: c, When: c.Started.UTC().Format("2 January 2006, 15:04 MST"), Matrix: matrix(c), All: allRows(c)}
	for _, d := range c.Devices {
		p.Cards = append(p.Cards, newDeviceView(c, d))
		p.Charts = append(p.Charts, newHistogram(d))
		p.addCases(c, d)
		p.Passed += d.Summary.Passed
		p.Ran += len(d.Results)
	}
	p.State = stateOf(c.Conformant, c.Interrupted && len(p.Failures) == 0)
	if len(p.Failures) > openFailures {
		p.Failures, p.More = p.Failures[:openFailures], p.Failures[openFailures:]
	}
	scale(p.Charts)
	p.Worst = worstOf(p.Worst)
	return p
}

// worstOf sorts by the part of the bound, the greatest and NaN first, and takes a few of each group and device.
func worstOf(list []caseView) []caseView {
	slices.SortStableFunc(list, func(a, b caseView) int {
		x, y := float64(a.Worst.Fraction), float64(b.Worst.Fraction)
		switch {
		case x == y, math.IsNaN(x) && math.IsNaN(y):
			return 0
		case x > y, math.IsNaN(x):
			return -1
		}
		return 1
	})
	taken := map[[2]string]int{}
	var out []caseView
	for _, v := range list {
		key := [2]string{v.Group(), v.Device}
		if taken[key]++; taken[key] <= worstOfGroup && len(out) < mostWorst {
			out = append(out, v)
		}
	}
	return out
}

func stateOf(conformant, interrupted bool) state {
	switch {
	case conformant:
		return stateGood
	case interrupted:
		return statePartial
	}
	return stateBad
}

// addCases sorts the results of a device into the parts of the page.
func (p *conformancePage) addCases(c Conformance, d *DeviceConformance) {
	for _, r := range d.Results {
		v := newCaseView(c, d, r)
		if r.Worst != nil {
			p.Numbers++
			if r.Worst.Fraction == 0 {
				p.Exact++
			} else {
				p.Worst = append(p.Worst, v)
			}
		}
		switch {
		case r.Status == conformance.Failed, r.Status == conformance.UnexpectedPass && c.Strict:
			if len(p.Failures) < mostFailures {
				p.Failures = append(p.Failures, v)
			} else {
				p.Left++
			}
		case r.Status != conformance.Passed:
			p.except(d, r, v.Text)
		}
	}
}

// except puts a case to others of the same outcome and reason.
func (p *conformancePage) except(d *DeviceConformance, r CaseResult, text string) {
	reason := cmp.Or(r.Reason, text)
	for i := range p.Excepted {
		if e := &p.Excepted[i]; e.Status == r.Status.String() && e.Device == d.Name() && e.Reason == reason {
			if len(e.Cases) < mostNames {
				e.Cases = append(e.Cases, r.Case)
			} else {
				e.Left++
			}
			return
		}
	}
	p.Excepted = append(p.Excepted, reasonView{Status: r.Status.String(), Device: d.Name(), Reason: reason, Cases: []string{r.Case}})
}

func newCaseView(c Conformance, d *DeviceConformance, r CaseResult) caseView {
	v := caseView{CaseResult: r, Device: d.Name(), Many: len(c.Devices) > 1, Text: r.Error, Command: d.Rerun + " " + shellQuote(r.Case)}
	if len(v.Text) > mostText {
		v.Text, v.Cut = strings.ToValidUTF8(v.Text[:mostText], ""), true
	}
	if r.Worst != nil {
		f := float64(r.Worst.Fraction)
		v.Share, v.Over = share(f), !(f <= 1)
	}
	return v
}

// share is a part of the bound as a percentage for a bar: 0 to 100, and at least 1 for what is not 0.
func share(fraction float64) float64 {
	switch {
	case fraction == 0:
		return 0
	case !(fraction < 1):
		return 100
	}
	return max(1, math.Round(1000*fraction)/10)
}

func newDeviceView(c Conformance, d *DeviceConformance) deviceView {
	v := deviceView{DeviceConformance: d, State: stateOf(d.Conformant, c.Interrupted && d.Error == "" && d.Summary.Failed == 0), Memory: "unknown"}
	if d.Device.MemoryBytes > 0 {
		v.Memory = bytes(d.Device.MemoryBytes)
	}
	s := d.Summary
	for _, t := range []struct {
		n    int
		what string
		when bool
		state
	}{
		{s.Passed, "passed", true, state{Class: "good", Mark: "✓"}},
		{s.Failed, "failed", true, state{Class: pick(s.Failed > 0, "bad", ""), Mark: "✗"}},
		{s.ExpectedFailures, "expected failures", s.ExpectedFailures > 0, state{Class: "part", Mark: "!"}},
		{s.UnexpectedPasses, "unexpected passes", s.UnexpectedPasses > 0, state{Class: "part", Mark: "?"}},
		{s.Refused, "refused", true, state{Class: pick(s.Refused > 0, "part", ""), Mark: "–"}},
		{s.Skipped, "skipped", true, state{Class: pick(s.Skipped > 0, "part", ""), Mark: "–"}},
		{d.NotRun, "not run", d.NotRun > 0, state{Class: "part", Mark: "…"}},
	} {
		if t.when {
			v.Tiles = append(v.Tiles, tile{grouped(int64(t.n)), t.what, t.state})
		}
	}
	names := make([]string, 0, len(d.Device.Properties))
	for n := range d.Device.Properties {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		v.Facts = append(v.Facts, [2]string{n, d.Device.Properties[n]})
	}
	return v
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// matrix is the table of groups by device.
func matrix(c Conformance) []matrixRow {
	cells := make([]map[string]matrixCell, len(c.Devices))
	for i, d := range c.Devices {
		cells[i] = map[string]matrixCell{}
		for _, g := range groups(d) {
			cells[i][g.name] = newMatrixCell(g)
		}
	}
	var rows []matrixRow
	for _, n := range groupNames(c) {
		row := matrixRow{Name: n}
		for i := range c.Devices {
			cell, ok := cells[i][n]
			if !ok {
				cell = matrixCell{state: state{"none", "·", ""}, Text: "not run"}
			}
			row.Cells = append(row.Cells, cell)
		}
		rows = append(rows, row)
	}
	return rows
}

func newMatrixCell(g *group) matrixCell {
	total := g.Run + g.Refused + g.Skipped
	m := matrixCell{Text: fmt.Sprintf("%d/%d", g.Passed, total), Title: counts(g.Summary), Worst: num(g.worst), Share: share(g.worst), Over: !(g.worst <= 1)}
	switch {
	case g.Failed > 0:
		m.state = state{"bad", "✗", ""}
		m.Text = fmt.Sprintf("%d of %d failed", g.Failed, total)
	case g.Passed == total:
		m.state = state{"good", "✓", ""}
	case g.Run == 0:
		m.state = state{"none", "–", ""}
		m.Text = counts(g.Summary)
	default:
		m.state = state{"part", "!", ""}
		m.Text = counts(g.Summary)
	}
	if g.place != "" {
		m.Title += "; worst " + m.Worst + " of the bound: " + g.place
	} else {
		m.Worst = ""
	}
	return m
}

// allRows has a row for each case that any device ran, in the order of the suite.
func allRows(c Conformance) []allRow {
	var rows []allRow
	at := map[string]int{}
	for i, d := range c.Devices {
		for _, r := range d.Results {
			k, ok := at[r.Case]
			if !ok {
				k = len(rows)
				at[r.Case] = k
				rows = append(rows, allRow{Case: r.Case, Class: r.Class, Cells: make([]allCell, len(c.Devices))})
			}
			rows[k].Cells[i] = newAllCell(r)
		}
	}
	return rows
}

func newAllCell(r CaseResult) allCell {
	text := "✓"
	if r.Worst != nil {
		text = "✓ " + num(float64(r.Worst.Fraction))
	}
	switch r.Status {
	case conformance.Passed:
		return allCell{"g", text}
	case conformance.Failed:
		return allCell{"b", "✗ failed"}
	}
	return allCell{"w", r.Status.String()}
}

// num writes a number with three digits.
func num(v any) string {
	f := 0.0
	switch v := v.(type) {
	case Number:
		f = float64(v)
	case float64:
		f = v
	}
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "∞"
	case math.IsInf(f, -1):
		return "−∞"
	}
	return fmt.Sprintf("%.3g", f)
}

// shellQuote makes one word of a shell's command line.
func shellQuote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,+@%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// RunCounts says how many runs there were on all devices, and how many failed.
func (c Conformance) RunCounts() string {
	all, failed := 0, 0
	for _, d := range c.Devices {
		a, f := d.Runs()
		all, failed = all+a, failed+f
	}
	return fmt.Sprintf("%s runs, of which %s failed", grouped(int64(all)), grouped(int64(failed)))
}

// Elapsed is the time of the run for people.
func (c Conformance) Elapsed() string {
	return time.Duration(c.Seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}
