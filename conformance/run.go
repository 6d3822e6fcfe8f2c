package conformance

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
)

// T is what [Run] needs of *testing.T.
type T[Self any] interface {
	Run(name string, f func(Self)) bool
	Context() context.Context
	Helper()
	Log(args ...any)
	Error(args ...any)
	Fatal(args ...any)
	Skip(args ...any)
}

// Run runs the suite as subtests of t (a *testing.T), one for each case that o chooses, named as the case. open opens the
// device; it is called once for all cases that share a device, again for those that close theirs and for those that need a second
// one, and may call t.Fatal. Refused and skipped cases are skipped tests, with the reason.
func Run[S T[S]](t S, open func(t S) backend.Device, o Options) Summary {
	t.Helper()
	p, err := newPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	d := &opener{}
	defer d.close()
	var s Summary
	for i := range p.cases {
		c := &p.cases[i]
		if !c.ClosesDevice && d.shared == nil {
			d.shared = open(t) // with the parent: the device outlives the subtest
		}
		t.Run(c.Name, func(t S) {
			d.open = func(context.Context) (backend.Device, error) { return open(t), nil }
			r, err := p.result(t.Context(), c, d)
			if err != nil {
				t.Fatal(err)
			}
			s.Add(r)
			report(t, r, o.Strict)
		})
	}
	t.Log("conformance:", s)
	return s
}

func report[S T[S]](t S, r Result, strict bool) {
	t.Helper()
	switch r.Status {
	case Failed:
		t.Error(r.Err)
	case Refused:
		t.Skip(r.Err)
	case Skipped:
		t.Skip(r.Reason)
	case ExpectedFailure:
		t.Skip(fmt.Sprintf("fails as expected (%s): %v", r.Reason, r.Err))
	case UnexpectedPass:
		if strict {
			t.Error("passed, but is listed as a known failure: " + r.Reason)
		} else {
			t.Log("passed, but is listed as a known failure: " + r.Reason)
		}
	}
}
