package report

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/conformance"
)

func writeConformanceTable(w io.Writer, c Conformance) error {
	rows := matrixRows(c)
	if len(c.Devices) == 1 {
		rows = groupRows(c.Devices[0])
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("WORST: the greatest error as a part of its bound; above 1 is a failure.\n")
	for _, d := range c.Devices {
		for _, r := range d.Results {
			writeOutcome(&b, c, d, r)
		}
	}
	for _, d := range c.Devices {
		f := d.Device
		fmt.Fprintf(&b, "\ndevice    %s: %s (%v, %s, %s, %s)\n", f.Backend, Printable(d.Name()), f.Type, Printable(f.Driver), Printable(f.API), f.ID)
		if c.Repeat > 1 {
			runs, failed := d.Runs()
			fmt.Fprintf(&b, "runs      %d, of which %d failed\n", runs, failed)
		}
		if len(c.Devices) > 1 {
			fmt.Fprintf(&b, "cases     %s\nverdict   %s\n", d.Counts(), verdict(d.Conformant, d.Verdict))
		}
	}
	for _, m := range c.Missing {
		fmt.Fprintf(&b, "\nno device %s: %s\n", m.Backend, Printable(m.Reason))
	}
	if len(c.Devices) > 1 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "program   resnet-run %s, %s, %s\nprofile   %s, %.1f s, begun %s\n",
		strings.TrimSpace(c.Version.Version+" "+c.Version.Revision), c.Version.Go, c.Version.Platform, c.Profile+times(c.Repeat), c.Seconds, c.Started.UTC().Format(time.RFC3339))
	if len(c.Devices) == 1 {
		fmt.Fprintf(&b, "cases     %s\n", c.Devices[0].Counts())
	}
	if c.Interrupted {
		b.WriteString("          interrupted: there are results of a part of the cases only\n")
	}
	fmt.Fprintf(&b, "verdict   %s\n", Printable(verdict(c.Conformant, c.Verdict)))
	_, err := io.WriteString(w, b.String())
	return err
}

// times says how often each case was run, unless it was once.
func times(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(", each case %d times", n)
}

func verdict(conformant bool, why string) string {
	if conformant {
		return "conformant"
	}
	return "not conformant: " + why
}

// groupRows are the groups of one device with all their counts.
func groupRows(d *DeviceConformance) [][]string {
	rows := [][]string{{"CASES", ">PASSED", ">FAILED", ">EXPECTED", ">UNEXPECTED", ">REFUSED", ">SKIPPED", ">WORST", ">SECONDS", "WORST CASE"}}
	for _, g := range groups(d) {
		rows = append(rows, []string{g.name, strconv.Itoa(g.Passed), strconv.Itoa(g.Failed), strconv.Itoa(g.ExpectedFailures), strconv.Itoa(g.UnexpectedPasses),
			strconv.Itoa(g.Refused), strconv.Itoa(g.Skipped), fmt.Sprintf("%.3g", g.worst), fmt.Sprintf("%.1f", g.seconds), g.place})
	}
	return rows
}

// matrixRows are the groups by device: how many of them passed, and what else became of them.
func matrixRows(c Conformance) [][]string {
	head := []string{"CASES"}
	cells := make([]map[string]string, len(c.Devices))
	for i, d := range c.Devices {
		head = append(head, d.Device.Backend+": "+d.Name(), ">WORST")
		cells[i] = map[string]string{}
		for _, g := range groups(d) {
			cells[i][g.name] = counts(g.Summary)
			cells[i][g.name+"\x00worst"] = fmt.Sprintf("%.3g", g.worst)
		}
	}
	rows := [][]string{head}
	for _, n := range groupNames(c) {
		row := []string{n}
		for i := range c.Devices {
			row = append(row, cmp.Or(cells[i][n], "not run"), cells[i][n+"\x00worst"])
		}
		rows = append(rows, row)
	}
	return rows
}

// counts is a summary as short as can be: "12 passed, 3 FAILED".
func counts(s conformance.Summary) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{s.Passed, "passed"}, {s.Failed, "FAILED"}, {s.ExpectedFailures, "expected to fail"}, {s.UnexpectedPasses, "passed unexpectedly"}, {s.Refused, "refused"}, {s.Skipped, "skipped"}} {
		if p.n > 0 {
			parts = append(parts, strconv.Itoa(p.n)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}

// writeOutcome writes a case that did not pass.
func writeOutcome(b *strings.Builder, c Conformance, d *DeviceConformance, r CaseResult) {
	if r.Status == conformance.Passed {
		return
	}
	where := ""
	if len(c.Devices) > 1 {
		where = " on " + Printable(d.Name())
	}
	fmt.Fprintf(b, "\n%v%s: %s\n", r.Status, where, r.Case)
	for _, text := range []string{r.Reason, r.Error} {
		for line := range strings.Lines(text) {
			b.WriteString("    " + Printable(strings.TrimSuffix(line, "\n")) + "\n")
		}
	}
	if r.Status == conformance.Failed {
		fmt.Fprintf(b, "    again: %s %s\n", d.Rerun, r.Case)
	}
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
