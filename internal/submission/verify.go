package submission

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/report"
)

// Problem is one thing that does not hold.
type Problem struct {
	Where string `json:"where"` // a member, or a device with a case
	Text  string `json:"text"`  // what was wanted and what was found
}

// String returns "where: text".
func (p Problem) String() string { return p.Where + ": " + p.Text }

// mostProblems is how many are listed; a package that was made up may have one in each result.
const mostProblems = 100

// check collects problems.
type check struct {
	p        *Package
	problems []Problem
	more     int
	notes    []string
	// known and limits find the declared waiver for a case.
	known, limits func(string) (conformance.Exception, bool)
}

// mostWaivers is how many are read: each is tried on every case.
const mostWaivers = 1000

func none(string) (conformance.Exception, bool) { return conformance.Exception{}, false }

func (k *check) problem(where, format string, args ...any) {
	if len(k.problems) == mostProblems {
		k.more++
		return
	}
	k.problems = append(k.problems, Problem{where, report.Printable(fmt.Sprintf(format, args...))})
}

// Verify checks the package against itself and against the suite of this program, whose file has the SHA-256 program. It
// returns every problem, and notes on what is no problem but good to know.
func (p *Package) Verify(program string) (problems []Problem, notes []string) {
	k := &check{p: p, known: none, limits: none}
	k.sums()
	k.frame()
	for i, d := range p.Report.Devices {
		k.device(fmt.Sprintf("device %d (%s)", i, report.Printable(d.Target)), d)
	}
	k.totals()
	k.derived(program)
	k.unusedWaivers()
	if k.more > 0 {
		k.problems = append(k.problems, Problem{"package", fmt.Sprintf("%d more problems", k.more)})
	}
	return k.problems, k.notes
}

// sums holds every member to its checksum, and the list to the members.
func (k *check) sums() {
	left := slices.Clone(members[:len(members)-1])
	for line := range strings.Lines(string(k.p.content[sumsName])) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		i := slices.Index(left, name)
		switch {
		case !ok || i < 0:
			k.problem(sumsName, "want one line with checksum and name for each of %v, got %.100q", members[:len(members)-1], line)
		case sum != fmt.Sprintf("%x", sha256.Sum256(k.p.content[name])):
			k.problem(name, "want the checksum in %s, %.64q, got %x", sumsName, sum, sha256.Sum256(k.p.content[name]))
			left = slices.Delete(left, i, i+1)
		default:
			left = slices.Delete(left, i, i+1)
		}
	}
	for _, name := range left {
		k.problem(name, "it has no checksum in %s", sumsName)
	}
}

// frame checks what the report says of the whole run.
func (k *check) frame() {
	c := k.p.Report
	if _, err := conformance.ParseProfile(c.Profile); err != nil {
		k.problem(reportName, "%v", err)
	}
	if c.Filter != "" {
		k.problem(reportName, "filter: want a whole profile, got %q", c.Filter)
	}
	if c.Interrupted {
		k.problem(reportName, "interrupted: want a run to its end")
	}
	if len(c.Devices) == 0 {
		k.problem(reportName, "devices: want at least one")
	}
	if n := len(profileCases(c.Profile)); c.Cases != n {
		k.problem(reportName, "cases: want the %d of profile %s, got %d", n, c.Profile, c.Cases)
	}
	if _, err := time.ParseDuration(c.Timeout); err != nil {
		k.problem(reportName, "timeout: want a duration, got %.40q", c.Timeout)
	}
	if n := len(c.Known) + len(c.Limits); n > mostWaivers {
		k.problem(reportName, "waivers: want at most %d, got %d", mostWaivers, n)
		return
	}
	for _, list := range []struct {
		from []report.Exception
		to   *func(string) (conformance.Exception, bool)
	}{{c.Known, &k.known}, {c.Limits, &k.limits}} {
		match, err := conformance.MatchExceptions(exceptions(list.from))
		if err != nil {
			k.problem(reportName, "waivers: %v", err)
			continue
		}
		*list.to = match
	}
	if c.Version.Revision == "" || c.Version.Modified {
		k.notes = append(k.notes, "the program was not built from a recorded revision")
	}
}

func exceptions(list []report.Exception) []conformance.Exception {
	var out []conformance.Exception
	for _, e := range list {
		out = append(out, conformance.Exception(e))
	}
	return out
}

// device checks the results of one device: the list of cases, then each.
func (k *check) device(where string, d *report.DeviceConformance) {
	cases := profileCases(k.p.Report.Profile)
	byName := map[string]*conformance.Case{}
	for i := range cases {
		byName[cases[i].Name] = &cases[i]
	}
	seen := map[string]bool{}
	for _, r := range d.Results {
		at := fmt.Sprintf("%s, case %.120s", where, report.Printable(r.Case))
		c := byName[r.Case]
		switch {
		case c == nil:
			k.problem(at, "profile %s has no such case", k.p.Report.Profile)
		case seen[r.Case]:
			k.problem(at, "it has a second result")
		default:
			k.result(at, c, r)
		}
		seen[r.Case] = true
	}
	for _, c := range cases {
		if !seen[c.Name] {
			k.problem(fmt.Sprintf("%s, case %s", where, c.Name), "it has no result")
		}
	}
	inOrder := func(a, b report.CaseResult) bool { return a.Case == b.Case }
	if sorted := ordered(d.Results, cases); len(d.Results) == len(cases) && len(sorted) == len(cases) && !slices.EqualFunc(d.Results, sorted, inOrder) {
		k.problem(where, "the cases are not in the order of the suite")
	}
	k.facts(where, d)
}

// ordered are the results in the order of the suite.
func ordered(results []report.CaseResult, cases []conformance.Case) []report.CaseResult {
	byName := map[string]report.CaseResult{}
	for _, r := range results {
		byName[r.Case] = r
	}
	var out []report.CaseResult
	for _, c := range cases {
		if r, ok := byName[c.Name]; ok {
			out = append(out, r)
		}
	}
	return out
}

// facts checks what the report says of the device, and what follows from its results.
func (k *check) facts(where string, d *report.DeviceConformance) {
	if d.Device.Name == "" || d.Device.Type == backend.InvalidDevice {
		k.problem(where, "device: want a name and a type, got %q, %v", d.Device.Name, d.Device.Type)
	}
	name, _ := report.SplitTarget(d.Target)
	again := report.DeviceConformance{}
	again.Open(name, d.Device.DeviceInfo)
	if again.Target != d.Target || again.Rerun != d.Rerun {
		k.problem(where, "want target %q and the command %q, got %q and %q", again.Target, again.Rerun, d.Target, d.Rerun)
	}
	if !(d.Seconds >= 0) || math.IsInf(d.Seconds, 0) {
		k.problem(where, "seconds: want 0 or more, got %v", d.Seconds)
	}
	var s conformance.Summary
	for _, r := range d.Results {
		s.Add(conformance.Result{Status: r.Status})
	}
	if n := max(0, k.p.Report.Cases-len(d.Results)); n != d.NotRun {
		k.problem(where, "not_run: want the cases without a result, %d, got %d", n, d.NotRun)
	}
	if s != d.Summary {
		k.problem(where, "summary: want what the results add up to, %v, got %v", s, d.Summary)
	}
}

// totals holds the verdicts to the counts.
func (k *check) totals() {
	c := k.p.Report
	c.Devices = nil
	for _, d := range k.p.Report.Devices {
		v := *d
		c.Devices = append(c.Devices, &v)
	}
	c.Finish(k.p.Report.Interrupted)
	for i, d := range k.p.Report.Devices {
		if w := c.Devices[i]; d.Conformant != w.Conformant || d.Verdict != w.Verdict {
			k.problem(fmt.Sprintf("device %d (%s)", i, report.Printable(d.Target)), "verdict: want conformant %t %q, got conformant %t %q", w.Conformant, w.Verdict, d.Conformant, d.Verdict)
		}
	}
	if g := k.p.Report; g.Conformant != c.Conformant || g.Verdict != c.Verdict {
		k.problem(reportName, "verdict: want conformant %t %q, got conformant %t %q", c.Conformant, c.Verdict, g.Conformant, g.Verdict)
	}
}

// derived makes the other members again. Statement and front have a form of their own version; the pages are compared
// only when the same program made them.
func (k *check) derived(program string) {
	same := program != "" && program == k.p.Report.Program
	again := front
	if same {
		again = contents
	}
	want, err := again(k.p.Report)
	if err != nil {
		k.problem(reportName, "%v", err)
		return
	}
	for _, name := range members[:len(members)-1] {
		if data, made := want[name]; made && !bytes.Equal(data, k.p.content[name]) {
			k.problem(name, "it does not follow from the results in %s", reportName)
		}
	}
	if !same {
		k.notes = append(k.notes, fmt.Sprintf("another build made the package (resnet-run %s): %s and %s were not made again", report.Printable(k.p.Report.Version.Version), pageName, junitName))
	}
}

// Sample names n cases of the package, or all when there are fewer, to be run again: those that the checksum of the report
// chooses, so that the choice is nobody's and can be made again.
func (p *Package) Sample(n int) []string {
	salt := sha256.Sum256(p.content[reportName])
	type drawn struct {
		name string
		key  [sha256.Size]byte
	}
	var all []drawn
	for _, c := range profileCases(p.Report.Profile) {
		all = append(all, drawn{c.Name, sha256.Sum256(append(salt[:], c.Name...))})
	}
	slices.SortFunc(all, func(a, b drawn) int { return bytes.Compare(a.key[:], b.key[:]) })
	var names []string
	for _, d := range all[:max(0, min(n, len(all)))] {
		names = append(names, d.name)
	}
	return names
}
