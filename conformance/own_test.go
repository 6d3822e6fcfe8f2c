package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

func graphOf(lines ...string) func() (*graph.Graph, error) {
	return func() (*graph.Graph, error) {
		return graph.Parse(strings.NewReader("graph mine\n" + strings.Join(lines, "\n") + "\n"))
	}
}

var (
	convGraph = graphOf("input %x : float32[1,3,5,4]", "param @w : float32[7,3,3,2]", "%y = conv2d(%x, @w) act=relu", "output %y")
	addGraph  = graphOf("input %a : float32[3]", "%y = add(%a, %a)", "output %y")
)

func mustCase(t *testing.T, s conformance.Spec) conformance.Case {
	t.Helper()
	c, err := conformance.NewCase(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOwnCases runs cases of every class beside the suite's, on a right device and on a wrong one.
func TestOwnCases(t *testing.T) {
	given := [][]float32{{1, -2, 3.5}}
	own := []conformance.Case{
		mustCase(t, conformance.Spec{Name: "mine/class-a", Reason: "bounds", Graph: convGraph}),
		mustCase(t, conformance.Spec{Name: "mine/exact", Reason: "whole numbers", Class: conformance.Exact, Values: conformance.Integers, Graph: convGraph}),
		mustCase(t, conformance.Spec{Name: "mine/agreement", Reason: "norm", Class: conformance.Agreement, Graph: convGraph}),
		mustCase(t, conformance.Spec{Name: "mine/bits", Reason: "again and again", Class: conformance.Bits, Graph: convGraph}),
		mustCase(t, conformance.Spec{Name: "mine/inputs", Reason: "numbers of one's own", Graph: addGraph, Inputs: func(*graph.Graph) [][]float32 { return given }}),
		mustCase(t, conformance.Spec{Name: "mine/full", Reason: "takes long", Profile: conformance.Full, Graph: addGraph}),
		mustCase(t, conformance.Spec{Name: "mine/check", Reason: "a promise of one's own", Check: func(_ context.Context, d backend.Device) error {
			if n := d.Info().Name; !strings.Contains(n, "float64") {
				return fmt.Errorf("name: got %q", n)
			}
			return nil
		}}),
		mustCase(t, conformance.Spec{Name: "mine/refusal", Reason: "an error is no refusal", Check: func(context.Context, backend.Device) error {
			return fmt.Errorf("no: %w", backend.ErrUnsupported)
		}}),
		mustCase(t, conformance.Spec{Name: "mine/closes", Reason: "closes its device", ClosesDevice: true, Check: func(_ context.Context, d backend.Device) error { return d.Close() }}),
	}
	o := conformance.Options{Filter: "^(mine|softmax/n3-c33)/", Cases: own, KnownFailures: []conformance.Exception{{Case: "mine/refusal", Reason: "by design"}}, Strict: true}
	chosen, err := o.Chosen()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range chosen {
		names = append(names, c.Name)
	}
	want := []string{"softmax/n3-c33/ordinary", "softmax/n3-c33/integers", "mine/class-a", "mine/exact", "mine/agreement", "mine/bits", "mine/inputs", "mine/check", "mine/refusal", "mine/closes"}
	if !slices.Equal(names, want) {
		t.Errorf("chosen: got %q, want %q", names, want)
	}
	var failed []string
	count := func(r conformance.Result) error {
		if r.Status == conformance.Failed {
			failed = append(failed, r.Case.Name)
		}
		return nil
	}
	s, err := conformance.Execute(t.Context(), openDevice, o, count)
	if err != nil || s.Passed != 9 || s.ExpectedFailures != 1 || s.Run != 10 {
		t.Errorf("a right device: got %v, %v, failed %q", s, err, failed)
	}
	failed = nil
	broken := func(ctx context.Context) (backend.Device, error) {
		d, err := openDevice(ctx)
		return &brokenDevice{Device: d, fault: fault{damage: func(_ graph.Shape, y []float32) { y[0] += 0.5 }}}, err
	}
	if _, err := conformance.Execute(t.Context(), broken, o, count); err != nil {
		t.Fatal(err)
	}
	if want := append(want[:5:5], "mine/inputs"); !slices.Equal(failed, want) {
		t.Errorf("a wrong device: failed %q, want %q", failed, want)
	}
	one := conformance.Options{Filter: "mine/full", Cases: own} // by its name, whatever the profile
	if s, err := conformance.Execute(t.Context(), openDevice, one, count); err != nil || s.Passed != 1 {
		t.Errorf("by name: got %v, %v", s, err)
	}
	ran := 0
	conformance.Run(t, func(t *testing.T) backend.Device {
		ran++
		return openReference(t)
	}, conformance.Options{Filter: "^mine/(class-a|closes)$", Cases: own})
	if ran != 2 {
		t.Errorf("Run opened %d devices, want 2", ran)
	}
}

func TestNewCaseRefusesWhatMakesNoSense(t *testing.T) {
	check := func(context.Context, backend.Device) error { return nil }
	good := conformance.Spec{Name: "mine/x", Reason: "r", Graph: convGraph}
	for _, c := range []struct {
		want   string
		change func(s *conformance.Spec)
	}{
		{"name: want parts of", func(s *conformance.Spec) { s.Name = "" }},
		{"name: want parts of", func(s *conformance.Spec) { s.Name = "mine" }},
		{"name: want parts of", func(s *conformance.Spec) { s.Name = "mine/Big Letters" }},
		{"name: want parts of", func(s *conformance.Spec) { s.Name = "mine/" + strings.Repeat("x", 200) }},
		{"reason: want why", func(s *conformance.Spec) { s.Reason = "" }},
		{"profile: want", func(s *conformance.Spec) { s.Profile = 9 }},
		{"values: want", func(s *conformance.Spec) { s.Values = 99 }},
		{"want Graph or Check, got neither", func(s *conformance.Spec) { s.Graph = nil }},
		{"want Graph or Check, got both", func(s *conformance.Spec) { s.Check = check }},
		{"class: want class A, exact", func(s *conformance.Spec) { s.Class = conformance.Behaviour }},
		{"class: want behaviour", func(s *conformance.Spec) { s.Graph, s.Check, s.Class = nil, check, conformance.ClassA }},
		{"closes device: want Check", func(s *conformance.Spec) { s.ClosesDevice = true }},
		{"want a graph, got nil", func(s *conformance.Spec) { s.Graph = func() (*graph.Graph, error) { return nil, nil } }},
		{"no weights", func(s *conformance.Spec) {
			s.Graph = func() (*graph.Graph, error) { return nil, errors.New("no weights") }
		}},
		{"inputs: want 1, got 0", func(s *conformance.Spec) { s.Inputs = func(*graph.Graph) [][]float32 { return nil } }},
		{`input "x": want 60 elements for float32[1,3,5,4], got 1`, func(s *conformance.Spec) { s.Inputs = func(*graph.Graph) [][]float32 { return [][]float32{{1}} } }},
		{"want float32, got float16", func(s *conformance.Spec) {
			s.Graph = graphOf("input %x : float16[2]", "%y = relu(%x)", "output %y")
		}},
	} {
		s := good
		c.change(&s)
		if _, err := conformance.NewCase(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestOwnCasesThatClashAreRefused(t *testing.T) {
	mine := mustCase(t, conformance.Spec{Name: "mine/x", Reason: "r", Graph: convGraph})
	taken := mustCase(t, conformance.Spec{Name: "softmax/n3-c33/ordinary", Reason: "r", Graph: convGraph})
	for want, cases := range map[string][]conformance.Case{
		`add case 1: the name "mine/x" is taken by case 0 of the options`:                {mine, mine},
		`add case 0: the name "softmax/n3-c33/ordinary" is taken by a case of the suite`: {taken},
		`add case 0 ("by/hand"): want one that NewCase made`:                             {{Name: "by/hand", Reason: "r", Class: conformance.ClassA}},
		`add case 0: the name "contract/info" is taken by a case of the suite`:           {conformance.Cases()[0]},
	} {
		if _, err := conformance.Execute(t.Context(), openDevice, conformance.Options{Cases: cases}, nil); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestWeigh weighs the end of a process as the failure of the case that it ended in.
func TestWeigh(t *testing.T) {
	const name = "softmax/n3-c33/ordinary"
	died := errors.New("the process ended: segmentation fault")
	exception := []conformance.Exception{{Case: "softmax/.*", Reason: "known"}}
	for _, c := range []struct {
		o      conformance.Options
		err    error
		status conformance.Status
	}{
		{conformance.Options{}, died, conformance.Failed},
		{conformance.Options{}, nil, conformance.Passed},
		{conformance.Options{KnownFailures: exception}, died, conformance.ExpectedFailure},
		{conformance.Options{KnownFailures: exception}, nil, conformance.UnexpectedPass},
		{conformance.Options{Limits: exception}, died, conformance.Skipped},
	} {
		r, err := conformance.Weigh(c.o, name, c.err)
		if err != nil || r.Status != c.status || r.Case.Name != name || (r.Reason == "known") != (c.status > conformance.Refused) {
			t.Errorf("got %+v, %v, want %v", r, err, c.status)
		}
	}
	if _, err := conformance.Weigh(conformance.Options{}, "softmax/none", died); err == nil {
		t.Error("an unknown case: got no error")
	}
	if _, err := conformance.Weigh(conformance.Options{Limits: []conformance.Exception{{Case: "("}}}, name, died); err == nil {
		t.Error("an exception that cannot be read: got no error")
	}
}
