package report

import (
	"encoding/csv"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/bench"
)

func benchReport() *bench.Report {
	ok := bench.Result{
		Case: bench.Case{Network: "net|work", Backend: "vulkan", DeviceID: "gpu-0", Batch: 8, Precision: "f32"}, Device: "<GPU>", Status: bench.OK, DeviceBytes: 3 << 20,
		Verification: &bench.Verification{Right: true, Max: 2.5e-7},
		Timing:       &bench.Timing{Runs: 9, Seconds: bench.Summary{Median: 0.0123456, P90: 0.02, P99: 1.5}, ImagesPerSecond: 648.004, FLOPsPerSecond: 1.25e12, PeakShare: 0.5},
		Cold:         &bench.Start{Open: 0.1, Total: 2}, Warm: &bench.Start{Total: 0.5, HostBytes: 1 << 30},
		Change: &bench.Change{Ratio: 1.25, Noise: 0.03, P: 0.0001, Verdict: bench.Slower},
	}
	wrong := bench.Result{
		Case: bench.Case{Network: "net", Backend: "cpu", Batch: 1, Precision: "f32"}, Device: "CPU", Status: bench.Wrong, Error: "wrong answer: \x1b[2J",
		Verification: &bench.Verification{Max: math.MaxFloat64},
	}
	return &bench.Report{
		Environment: bench.Environment{Time: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), OS: "linux", Kernel: "6.1", CPU: "a CPU", Cores: 2, Load: []float64{0.5, 1}, Governor: "powersave", Overridden: []string{"GOGC=50"}, Revision: "abc"},
		Devices:     []bench.Device{{DeviceInfo: backend.DeviceInfo{Backend: "vulkan", ID: "gpu-0", Name: "<GPU>", Driver: "a driver 1.2", API: "Vulkan 1.3"}, Peak: &bench.Peak{FLOPsPerSecond: map[string]float64{"float32": 2.5e12}, BytesPerSecond: 1e11}}},
		Results:     []bench.Result{ok, wrong}, Missing: []bench.Case{{Network: "old", Backend: "cpu", Batch: 2, Precision: "f32"}},
	}
}

func TestBenchTable(t *testing.T) {
	var b strings.Builder
	if err := WriteBench(&b, Table, benchReport()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a CPU, 2 logical processors", "governor powersave", "load average: 0.5 1", "variables: GOGC=50", "measured peak 2500 GFLOP/s in float32, 100.0 GB/s", "revision abc",
		"12.35", "20.00", "1500", "648.0", "1250", "50.0 %", "2.5e-07", "3.0 MiB", "1.250", "slower (noise 3.0 %, p 0.0001)", "not finite",
		"WRONG: net N1 f32 on cpu: wrong answer: \\x1b[2J", "in the baseline but not measured: old N2 f32 on cpu", "cold", "1.0 GiB",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

func TestBenchMarkdownEscapes(t *testing.T) {
	var b strings.Builder
	if err := WriteBench(&b, Markdown, benchReport()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`| net\|work | 8 | vulkan: &lt;GPU> | f32 | 9 | 12.35 |`, "| --- | ---: | --- |", "- processor: a CPU"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestBenchTellsRunsAtOnce where there are some.
func TestBenchTellsRunsAtOnce(t *testing.T) {
	for _, n := range []int{0, 4} {
		r := benchReport()
		r.Results[1].InFlight = n
		var b strings.Builder
		if err := WriteBench(&b, Markdown, r); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "| AT ONCE |") && strings.Contains(b.String(), "| net | 1 | 4 | cpu"); got != (n > 1) {
			t.Errorf("%d in flight: they are told %v in\n%s", n, got, b.String())
		}
	}
}

func TestBenchCSVHasOneWidth(t *testing.T) {
	var b strings.Builder
	if err := WriteBench(&b, CSV, benchReport()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll() // refuses rows of another width
	if err != nil || len(rows) != 3 || rows[1][10] != "0.0123456" || rows[2][10] != "" || rows[1][30] != "slower" {
		t.Fatalf("got %v, %q", err, rows)
	}
	for row, want := range map[int]map[string]string{
		1: {"driver": "a driver 1.2, Vulkan 1.3", "processor": "a CPU", "time": "2026-05-04T12:00:00Z", "system": "linux, 6.1"}, 2: {"driver": "", "processor": "a CPU"},
	} {
		for column, value := range want {
			if got := rows[row][slices.Index(rows[0], column)]; got != value {
				t.Errorf("row %d, %s: got %q, want %q", row, column, got, value)
			}
		}
		if got := rows[row][slices.Index(rows[0], "program")]; !strings.Contains(got, "revision abc") {
			t.Errorf("row %d: got program %q", row, got)
		}
	}
}

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 1234567: "1234567", 1234.5: "1234", 99.999: "100.00", 12.3456: "12.35", 0.012346: "0.01235", 1e-9: "0.000000", -2.5: "-2.500"} {
		if got := figure(x); got != want {
			t.Errorf("%g: got %s, want %s", x, got, want)
		}
	}
}
