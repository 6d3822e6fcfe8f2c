package conformance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

// mortalDevice is the reference until softmax of 3 rows ends it: then nothing works any more, as when a plugin has exited.
type mortalDevice struct {
	backendtest.Mortal
	at   string // "compile", "run", "end" (when all is done), "panic", "refusal", "second run"
	runs int
}

func (d *mortalDevice) Supports(n *graph.Node) error {
	if d.at == "refusal" && isSoftmax(n) && n.Inputs[0].Type.Shape.Dim(0) == 3 {
		return backend.Unsupported("op", "another", "softmax")
	}
	return d.Device.Supports(n)
}

func (d *mortalDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if err := d.Alive(); err != nil {
		return nil, err
	}
	ends := isSoftmax(g.Nodes[0]) && g.Inputs[0].Type.Shape.Dim(0) == 3
	switch {
	case ends && d.at == "refusal":
		d.Die()
		return nil, backend.Unsupported("op", "another", "softmax")
	case ends && d.at == "compile":
		d.Die()
		return nil, d.Alive()
	}
	e, err := d.Device.Compile(ctx, g)
	return &mortalExecutable{Executable: e, d: d, ends: ends}, err
}

type mortalExecutable struct {
	backend.Executable
	d    *mortalDevice
	ends bool
}

func (e *mortalExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.d.Alive(); err != nil {
		return err
	}
	switch e.d.runs++; {
	case e.ends && e.d.at == "run", e.ends && e.d.at == "second run" && e.d.runs == 2:
		e.d.Die()
		return e.d.Alive()
	case e.ends && e.d.at == "second run":
		return errors.New("out of sorts")
	case e.ends && e.d.at == "panic":
		e.d.Die()
		panic(e.d.Alive())
	}
	return e.Executable.Run(ctx, in, out)
}

func (e *mortalExecutable) Close() error {
	if e.ends && e.d.at == "end" {
		e.d.Die()
	}
	return e.Executable.Close()
}

// onMortals runs cases on devices that end at some point, and returns the results in order and how many were opened.
func onMortals(t *testing.T, at string, o conformance.Options) (results []conformance.Result, opened int, err error) {
	t.Helper()
	open := func(ctx context.Context) (backend.Device, error) {
		opened++
		d, err := reference.New().Open(ctx, "cpu")
		return &mortalDevice{Mortal: backendtest.Mortal{Device: d}, at: at}, err
	}
	_, err = conformance.Execute(t.Context(), open, o, func(r conformance.Result) error { results = append(results, r); return nil })
	return results, opened, err
}

// TestACaseThatEndsItsDeviceFailsAlone: whatever the case keeps of the error, the ones after it have a device that lives.
func TestACaseThatEndsItsDeviceFailsAlone(t *testing.T) {
	for at, want := range map[string]string{
		"compile": "but compile failed", "run": "run: plugin exited", "panic": "(plugin exited)",
		"end": "the device did not survive the case: plugin exited", "refusal": "the device did not survive the case: plugin exited",
	} {
		results, opened, err := onMortals(t, at, conformance.Options{Filter: "^(relu/n2-c3-h4-w4|softmax/n[38]-c)"})
		if err != nil {
			t.Fatal(err)
		}
		died := 0
		for i, r := range results {
			ends := strings.HasPrefix(r.Case.Name, "softmax/n3-")
			if ends {
				died++
			}
			if (r.Status == conformance.Failed) != ends || ends && !strings.Contains(r.Err.Error(), want) {
				t.Errorf("%s: %s: got %v, %v", at, r.Case.Name, r.Status, r.Err)
			}
			if last := i == len(results)-1; last && (ends || opened != died+1) {
				t.Errorf("%s: got %d devices for %d deaths, the last case is %s", at, opened, died, r.Case.Name)
			}
		}
		if died < 2 {
			t.Errorf("%s: got %d deaths, want at least 2", at, died)
		}
	}
}

// TestEndWithDeviceLeavesTheRestToAnotherRun goes on after each end, and has every result once.
func TestEndWithDeviceLeavesTheRestToAnotherRun(t *testing.T) {
	o := conformance.Options{Filter: "^(relu/n2-c3-h4-w4|softmax/n[38]-c)", EndWithDevice: true}
	whole, _, err := onMortals(t, "", conformance.Options{Filter: o.Filter})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for runs := 1; ; runs++ {
		results, opened, err := onMortals(t, "compile", o)
		for i, r := range results {
			ends := strings.HasPrefix(r.Case.Name, "softmax/n3-")
			if last := i == len(results)-1; ends != (last && errors.Is(err, conformance.ErrDeviceGone)) {
				t.Errorf("run %d: %s: got %v, %v", runs, r.Case.Name, r.Status, err)
			}
			names, o.After = append(names, r.Case.Name), r.Case.Name
		}
		if opened > 1 || runs > len(whole) || err != nil && !errors.Is(err, conformance.ErrDeviceGone) {
			t.Fatalf("run %d: got %d devices, %v", runs, opened, err)
		}
		if err == nil {
			break
		}
	}
	if !slices.EqualFunc(names, whole, func(name string, r conformance.Result) bool { return name == r.Case.Name }) {
		t.Errorf("got results of %v", names)
	}
	// The error of the case is that of its first run; the device ends in the second.
	o = conformance.Options{Filter: "softmax/n3-c33/ordinary", EndWithDevice: true, Repeat: 5}
	if results, _, err := onMortals(t, "second run", o); !errors.Is(err, conformance.ErrDeviceGone) || len(results) != 1 || results[0].Runs != 2 || results[0].Failures != 2 {
		t.Errorf("repeated: got %+v, %v", results, err)
	}
	// A case that took all of its time may have left something behind, though its device answers.
	slow := fault{run: func(ctx context.Context, _ *brokenDevice) error { <-ctx.Done(); return ctx.Err() }}
	o = conformance.Options{Filter: "softmax/n3-c33/", EndWithDevice: true, Timeout: 50 * time.Millisecond}
	n := 0
	_, err = conformance.Execute(t.Context(), func(ctx context.Context) (backend.Device, error) {
		d, err := reference.New().Open(ctx, "cpu")
		return &brokenDevice{Device: d, fault: slow}, err
	}, o, func(conformance.Result) error { n++; return nil })
	if !errors.Is(err, conformance.ErrDeviceGone) || n != 1 {
		t.Errorf("no time left: got %d results, %v", n, err)
	}
}

// TestACaseBeginsWhenItsDeviceIsOpen: what happens before is not blamed on it.
func TestACaseBeginsWhenItsDeviceIsOpen(t *testing.T) {
	var begun []string
	o := conformance.Options{Filter: "^contract/closed/device$|^relu/n2-c3-h4-w4", Begin: func(c *conformance.Case) { begun = append(begun, c.Name) }}
	broken := errors.New("no device")
	for opens := range 2 { // that succeed
		begun = nil
		n := 0
		_, err := conformance.Execute(t.Context(), func(ctx context.Context) (backend.Device, error) {
			if n++; n > opens {
				return nil, broken
			}
			return reference.New().Open(ctx, "cpu")
		}, o, func(conformance.Result) error { return nil })
		if !errors.Is(err, broken) || opens == 0 && len(begun) > 0 || opens > 0 && len(begun) == 0 || len(begun) > 2 {
			t.Errorf("after %d: got %v, begun %v", opens, err, begun)
		}
	}
}
