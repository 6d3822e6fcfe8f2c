package conformance_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

// repeated runs the cases of a filter n times each on a device with a fault, which is opened anew where a case closes its own.
func repeated(t *testing.T, f fault, filter string, n int) (results []conformance.Result, begun, opened int) {
	t.Helper()
	open := func(ctx context.Context) (backend.Device, error) {
		opened++
		d, err := reference.New().Open(ctx, "cpu")
		return &brokenDevice{Device: d, fault: f}, err
	}
	o := conformance.Options{Filter: filter, Repeat: n, Begin: func(*conformance.Case) { begun++ }}
	if _, err := conformance.Execute(t.Context(), open, o, func(r conformance.Result) error { results = append(results, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return results, begun, opened
}

func TestRepeatFindsWhatFailsNowAndThen(t *testing.T) {
	const name = "relu/n1-c1-h3-w3/ordinary"
	results, begun, _ := repeated(t, fault{sometimes: true}, name, 6)
	if r := results[0]; r.Status != conformance.Passed || r.Runs != 6 || begun != 6 {
		t.Fatalf("six runs of a device whose seventh is wrong: got %v, %d runs, %d begun: %v", r.Status, r.Runs, begun, r.Err)
	}
	results, _, _ = repeated(t, fault{sometimes: true}, name, 20)
	if r := results[0]; r.Status != conformance.Failed || r.Runs != 20 || r.Failures != 2 || !strings.Contains(r.Err.Error(), "2 of 20 runs failed, the first: run 7 of 20: node") || r.Worst == nil || r.Worst.Failed == 0 {
		t.Errorf("20 runs: got %v, %d runs, worst %+v: %v", r.Status, r.Runs, r.Worst, r.Err)
	}
	// What only the memory of the reference's answers could miss: inputs that were judged before come with other results.
	runs := 0
	late := fault{damage: func(_ graph.Shape, y []float32) {
		if runs++; runs > 30 && len(y) > 0 {
			y[len(y)/2] += 1
		}
	}}
	results, _, _ = repeated(t, late, "block/basic-projection/n2/fused", 20)
	if r := results[0]; r.Status != conformance.Failed || r.Runs < 2 {
		t.Errorf("a block, 20 runs: got %v after %d", r.Status, r.Runs)
	}
}

func TestRepeatOpensADeviceForEachRunThatClosesIt(t *testing.T) {
	results, _, opened := repeated(t, fault{}, "contract/closed/device", 3)
	if r := results[0]; r.Status != conformance.Passed || r.Runs != 3 || opened != 3 {
		t.Errorf("got %v, %d runs, %d devices: %v", r.Status, r.Runs, opened, r.Err)
	}
}

func TestRepeatEndsWhenARunTakesAllOfItsTime(t *testing.T) {
	open := func(ctx context.Context) (backend.Device, error) {
		d, err := reference.New().Open(ctx, "cpu")
		return &brokenDevice{Device: d, fault: fault{run: func(ctx context.Context, _ *brokenDevice) error { <-ctx.Done(); return ctx.Err() }}}, err
	}
	o := conformance.Options{Filter: "relu/n1-c1-h3-w3/ordinary", Repeat: 5, Timeout: 50 * time.Millisecond}
	_, err := conformance.Execute(t.Context(), open, o, func(r conformance.Result) error {
		if r.Status != conformance.Failed || r.Runs != 1 || !strings.Contains(r.Err.Error(), "run 1 of 5: no result within") {
			t.Errorf("got %v after %d runs: %v", r.Status, r.Runs, r.Err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRepeatTakesNoRefusalAfterARun: what a device ran once, it may not refuse.
func TestRepeatTakesNoRefusalAfterARun(t *testing.T) {
	supported := 0
	open := func(ctx context.Context) (backend.Device, error) {
		d, err := reference.New().Open(ctx, "cpu")
		return &fickleDevice{Device: d, supported: &supported}, err
	}
	for _, q := range []struct {
		supported int // how often it supports the node
		want      conformance.Status
		runs      int
	}{{0, conformance.Refused, 1}, {1000, conformance.Passed, 4}, {1, conformance.Failed, 4}} {
		supported = q.supported
		_, err := conformance.Execute(t.Context(), open, conformance.Options{Filter: "relu/n1-c1-h3-w3/ordinary", Repeat: 4}, func(r conformance.Result) error {
			if r.Status != q.want || r.Runs != q.runs || q.want == conformance.Failed && !strings.Contains(r.Err.Error(), "it refuses what it ran before") {
				t.Errorf("supported %d times: got %v after %d runs, want %v: %v", q.supported, r.Status, r.Runs, q.want, r.Err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fickleDevice supports nodes as often as is left.
type fickleDevice struct {
	backend.Device
	supported *int
}

func (d *fickleDevice) Supports(n *graph.Node) error {
	if *d.supported--; *d.supported < 0 {
		return backend.Unsupported("relu", "a good day", "today")
	}
	return d.Device.Supports(n)
}

func (d *fickleDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if *d.supported < 0 {
		return nil, backend.Unsupported("relu", "a good day", "today")
	}
	return d.Device.Compile(ctx, g)
}

// TestOneLateRunIsNoFailure: a machine that stood still for a while is not the device's fault; a device that does not listen is
// late each time. Time is the test's own.
func TestOneLateRunIsNoFailure(t *testing.T) {
	for _, q := range []struct {
		name string
		late func(run int) bool // of the runs whose context ends before they do
		want string
	}{
		{"never", func(int) bool { return false }, ""},
		{"twice in a row", func(run int) bool { return run == 1 || run == 2 }, ""},
		{"always", func(int) bool { return true }, "cancel: run returned 5s after its context had ended, each of 3 times"},
		{"at the end", func(run int) bool { return run > 2 }, "each of 3 times"},
	} {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				run := func(ctx context.Context, _ *brokenDevice) error {
					limit, ok := ctx.Deadline()
					if !ok || time.Until(limit) > time.Minute { // of the case
						time.Sleep(4 * time.Second)
						return nil
					}
					if runs++; q.late(runs) {
						time.Sleep(5 * time.Second)
					}
					<-ctx.Done()
					return ctx.Err()
				}
				open := func(ctx context.Context) (backend.Device, error) {
					d, err := reference.New().Open(ctx, "cpu")
					return &brokenDevice{Device: d, fault: fault{run: run}}, err
				}
				_, err := conformance.Execute(t.Context(), open, conformance.Options{Filter: "cancel/during"}, func(r conformance.Result) error {
					if q.want == "" && r.Status != conformance.Passed || q.want != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), q.want)) {
						t.Errorf("got %v, want %q: %v", r.Status, q.want, r.Err)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
