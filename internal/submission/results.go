package submission

import (
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/report"
)

// result holds one outcome to its own numbers, its class and the waivers.
func (k *check) result(at string, c *conformance.Case, r report.CaseResult) {
	if r.Class != c.Class.String() {
		k.problem(at, "class: want %v, got %.40q", c.Class, r.Class)
	}
	if !(r.Seconds >= 0) || math.IsInf(r.Seconds, 0) {
		k.problem(at, "seconds: want 0 or more, got %v", r.Seconds)
	}
	within := k.numbers(at, r)
	held := r.Status == conformance.Passed || r.Status == conformance.UnexpectedPass
	switch judged := c.Class == conformance.ClassA || c.Class == conformance.Exact || c.Class == conformance.Agreement; {
	case held && !within:
		k.problem(at, "status: want failed, since the error is %v of the bound, got %v", float64(r.Worst.Fraction), r.Status)
	case held && r.Error != "":
		k.problem(at, "status: want failed, since there is an error, %.200q, got %v", r.Error, r.Status)
	case held && judged && r.Worst == nil:
		k.problem(at, "worst: want numbers for a case of %v that passed, got none", c.Class)
	case !held && r.Status != conformance.Skipped && r.Error == "":
		k.problem(at, "error: want a text for a case that is %v, got none", r.Status)
	case r.Status == conformance.Skipped && (r.Worst != nil || r.Error != ""):
		k.problem(at, "want no numbers for a case that was skipped")
	}
	k.waivers(at, r)
}

// numbers judges the worst element again and returns whether it is within its bound.
func (k *check) numbers(at string, r report.CaseResult) bool {
	w := r.Worst
	if w == nil {
		return true
	}
	f := conformance.Judge(w.Node, w.Op, graph.NewShape(1), []float32{float32(w.Got)}, []float64{float64(w.Want)}, []float64{float64(w.Bound)})
	for _, n := range []struct {
		what      string
		want, got float64
	}{{"fraction", f.Fraction, float64(w.Fraction)}, {"ulp", f.ULP, float64(w.ULP)}} {
		if n.want != n.got && !(math.IsNaN(n.want) && math.IsNaN(n.got)) {
			k.problem(at, "%s: want %v, which follows from got %v, want %v and bound %v, got %v", n.what, n.want, float64(w.Got), float64(w.Want), float64(w.Bound), n.got)
		}
	}
	if float64(float32(w.Got)) != float64(w.Got) && !math.IsNaN(float64(w.Got)) {
		k.problem(at, "got: want a float32 number, got %v", float64(w.Got))
	}
	if !(w.Bound >= 0) {
		k.problem(at, "bound: want 0 or more, got %v", float64(w.Bound))
	}
	if w.Elements < 0 || w.Failed < 0 || w.Failed > w.Elements || (f.Failed > 0) != (w.Failed > 0) {
		k.problem(at, "failed: want a number that fits the worst of %d elements, %v of its bound, got %d", w.Elements, f.Fraction, w.Failed)
	}
	return f.Failed == 0 && w.Failed == 0
}

// waivers holds the outcome to the exceptions that are declared: no other was used, and none that applies was passed over.
func (k *check) waivers(at string, r report.CaseResult) {
	limit, limited := k.limits(r.Case)
	known, isKnown := k.known(r.Case)
	reason := ""
	switch {
	case limited:
		reason = limit.Reason
	case isKnown:
		reason = known.Reason
	}
	skipped := r.Status == conformance.Skipped
	excused := r.Status == conformance.ExpectedFailure || r.Status == conformance.UnexpectedPass
	switch {
	case skipped && !limited, excused && !isKnown:
		k.problem(at, "waiver: %v, but no waiver for it is declared", r.Status)
	case limited && !skipped:
		k.problem(at, "waiver: want skipped, as a declared limit says, got %v", r.Status)
	case isKnown && !limited && (r.Status == conformance.Failed || r.Status == conformance.Passed):
		k.problem(at, "waiver: want expected failure or unexpected pass, since it is declared as a known failure, got %v", r.Status)
	case r.Reason != reason:
		k.problem(at, "reason: want that of the waiver, %q, got %.200q", reason, r.Reason)
	}
}

// unusedWaivers notes those that no case needs.
func (k *check) unusedWaivers() {
	list := append(slices.Clone(k.p.Report.Known), k.p.Report.Limits...)
	if len(list) > mostWaivers {
		return
	}
	cases := profileCases(k.p.Report.Profile)
	for _, e := range list {
		match, err := conformance.MatchExceptions([]conformance.Exception{conformance.Exception(e)})
		if err != nil {
			continue // a problem of the report
		}
		if !slices.ContainsFunc(cases, func(c conformance.Case) bool { _, ok := match(c.Name); return ok }) {
			k.notes = append(k.notes, fmt.Sprintf("waiver %q is about no case of the profile", report.Printable(e.Case)))
		}
	}
}
