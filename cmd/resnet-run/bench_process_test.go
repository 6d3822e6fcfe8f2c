//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/resnet-run/resnet-run/internal/bench"
)

// TestBenchTimesStartsInProcesses of this test binary, and leaves no folder behind.
func TestBenchTimesStartsInProcesses(t *testing.T) {
	world(t)
	tmp := t.TempDir()
	c := program(t, "bench", "colour.safetensors", "--on", "cpu", "--runs", "6", "--warmup", "0s", "--format", "json")
	c.Env = append(c.Env, "TMPDIR="+tmp)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var r struct{ Results []bench.Result }
	if err := json.Unmarshal(out, &r); err != nil || len(r.Results) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, s := range []*bench.Start{r.Results[0].Cold, r.Results[0].Warm} {
		if s == nil || !(s.Compile > 0 && s.FirstRun > 0 && s.NextRun > 0 && s.Total >= s.Open+s.Compile) {
			t.Fatalf("got %+v", s)
		}
		if bench.ResidentBytes() > 0 && s.HostBytes < 1<<20 {
			t.Errorf("got %d bytes", s.HostBytes)
		}
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("%v, left behind: %v", err, left)
	}
}
