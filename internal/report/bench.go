package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/internal/bench"
)

// BenchFormats are the formats of [WriteBench].
var BenchFormats = []Format{Table, JSON, CSV, Markdown}

// WriteBench writes a benchmark. A case whose answer was wrong has no numbers but its errors, in any format.
func WriteBench(w io.Writer, f Format, r *bench.Report) error {
	switch f {
	case JSON:
		return writeJSON(w, r)
	case CSV:
		return writeCSV(w, benchCSV(r))
	}
	write, text := writeTable, environmentLines(r)
	if f == Markdown {
		write = writeMarkdown
		for i, line := range text {
			text[i] = "- " + line
		}
	}
	if _, err := io.WriteString(w, strings.Join(text, "\n")+"\n\n"); err != nil {
		return err
	}
	if err := write(w, benchRows(r)); err != nil {
		return err
	}
	if rows := startRows(r); len(rows) > 1 {
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
		if err := write(w, rows); err != nil {
			return err
		}
	}
	return writeRemarks(w, r)
}

// writeRemarks writes what a table has no room for.
func writeRemarks(w io.Writer, r *bench.Report) error {
	var lines []string
	for _, x := range r.Results {
		if x.Error != "" {
			lines = append(lines, fmt.Sprintf("%s: %s: %s", strings.ToUpper(string(x.Status)), x.Case, Printable(x.Error)))
		}
	}
	for _, c := range r.Missing {
		lines = append(lines, fmt.Sprintf("in the baseline but not measured: %s", c))
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := io.WriteString(w, "\n"+strings.Join(lines, "\n")+"\n")
	return err
}

// environmentLines is the environment, a line each, without what is not known.
func environmentLines(r *bench.Report) []string {
	e := r.Environment
	var load []string
	for _, l := range e.Load {
		load = append(load, strconv.FormatFloat(l, 'g', -1, 64))
	}
	cpu := fmt.Sprintf("%s, %d logical processors, %d threads", cmp.Or(e.CPU, "unknown"), e.Cores, e.Threads)
	if e.Memory > 0 {
		cpu += ", " + bytes(e.Memory)
	}
	if e.Governor != "" {
		cpu += ", governor " + e.Governor
	}
	lines := []string{"time: " + e.Time.Format(time.RFC3339), "processor: " + cpu, "system: " + systemOf(&e), "program: " + programOf(&e)}
	if len(load) > 0 {
		lines = append(lines, "load average: "+strings.Join(load, " "))
	}
	if len(e.Overridden) > 0 {
		lines = append(lines, "variables: "+strings.Join(e.Overridden, " "))
	}
	for _, d := range r.Devices {
		line := fmt.Sprintf("device: %s: %s, %s, %s", d.Backend, d.Name, d.Driver, d.API)
		if p := d.Peak; p != nil {
			line += "; measured peak"
			for _, t := range slices.Sorted(maps.Keys(p.FLOPsPerSecond)) {
				line += fmt.Sprintf(" %s GFLOP/s in %s,", figure(p.FLOPsPerSecond[t]/1e9), t)
			}
			line += fmt.Sprintf(" %s GB/s", figure(p.BytesPerSecond/1e9))
		}
		lines = append(lines, line)
	}
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	return lines
}

func systemOf(e *bench.Environment) string { return strings.TrimRight(e.OS+", "+e.Kernel, ", ") }

// programOf is the program with what it was built from and by.
func programOf(e *bench.Environment) string {
	program := "resnet-run " + e.Version
	if e.Revision != "" {
		program += " revision " + e.Revision
	}
	if e.Modified {
		program += " (modified)"
	}
	program += ", " + e.Go + ", " + e.Platform
	if e.Level != "" {
		program += ", " + e.Level
	}
	return program
}

func benchRows(r *bench.Report) [][]string {
	head := []string{"NETWORK", ">BATCH", "DEVICE", "PRECISION", ">RUNS", ">MEDIAN ms", ">P90 ms", ">P99 ms", ">IMAGES/S", ">GFLOP/S", ">OF PEAK", ">MAX ERROR", ">DEVICE MEMORY"}
	compared, several := false, false
	for _, x := range r.Results {
		compared, several = compared || x.Change != nil, several || x.InFlight > 1
	}
	if several {
		head = slices.Insert(head, 2, ">AT ONCE")
	}
	if compared {
		head = append(head, ">VS BASELINE", "VERDICT")
	}
	rows := [][]string{head}
	for _, x := range r.Results {
		row := []string{x.Network, strconv.Itoa(x.Batch), x.Backend + ": " + x.Device, x.Precision}
		if several {
			row = slices.Insert(row, 2, strconv.Itoa(max(x.InFlight, 1)))
		}
		row = append(row, timingCells(&x)...)
		row = append(row, maxError(x.Verification), memoryCell(x.DeviceBytes))
		if compared {
			row = append(row, changeCells(x.Change)...)
		}
		rows = append(rows, row)
	}
	return rows
}

// timingCells are the seven from RUNS to OF PEAK.
func timingCells(x *bench.Result) []string {
	t := x.Timing
	if t == nil {
		return []string{"", strings.ToUpper(string(x.Status)), "", "", "", "", ""}
	}
	share := ""
	if t.PeakShare > 0 {
		share = fmt.Sprintf("%.1f %%", 100*t.PeakShare)
	}
	s := t.Seconds
	return []string{strconv.Itoa(t.Runs), millis(s.Median), millis(s.P90), millis(s.P99), figure(t.ImagesPerSecond), figure(t.FLOPsPerSecond / 1e9), share}
}

func maxError(v *bench.Verification) string {
	switch {
	case v == nil:
		return ""
	case v.Max >= math.MaxFloat64:
		return "not finite"
	}
	return fmt.Sprintf("%.1e", v.Max)
}

func memoryCell(n int64) string {
	if n == 0 {
		return ""
	}
	return bytes(n)
}

func changeCells(c *bench.Change) []string {
	if c == nil {
		return []string{"", ""}
	}
	return []string{fmt.Sprintf("%.3f", c.Ratio), fmt.Sprintf("%s (noise %.1f %%, p %.2g)", c.Verdict, 100*c.Noise, c.P)}
}

func startRows(r *bench.Report) [][]string {
	rows := [][]string{{"START", "NETWORK", ">BATCH", "DEVICE", ">OPEN ms", ">PASSES ms", ">COMPILE ms", ">FIRST RUN ms", ">TOTAL ms", ">NEXT RUN ms", ">HOST MEMORY"}}
	for _, x := range r.Results {
		for _, s := range []struct {
			name  string
			start *bench.Start
		}{{"cold", x.Cold}, {"warm", x.Warm}} {
			if t := s.start; t != nil {
				rows = append(rows, []string{s.name, x.Network, strconv.Itoa(x.Batch), x.Backend + ": " + x.Device, millis(t.Open), millis(t.Passes),
					millis(t.Compile), millis(t.FirstRun), millis(t.Total), millis(t.NextRun), memoryCell(t.HostBytes)})
			}
		}
	}
	return rows
}

// millis writes seconds as milliseconds.
func millis(seconds float64) string { return figure(1e3 * seconds) }

// figure writes a number with four digits that mean something, and no exponent.
func figure(x float64) string {
	digits := 4
	if x != 0 && !math.IsInf(x, 0) && !math.IsNaN(x) {
		digits = min(max(3-int(math.Floor(math.Log10(math.Abs(x)))), 0), 6)
	}
	if x == 0 {
		return "0"
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

func benchCSV(r *bench.Report) [][]string {
	rows := [][]string{{"network", "batch", "precision", "transfers", "in_flight", "backend", "device", "device_id", "status", "runs", "median_seconds", "p90_seconds", "p99_seconds",
		"mean_seconds", "min_seconds", "max_seconds", "mad_seconds", "images_per_second", "flops", "flops_per_second", "peak_share", "max_error", "l2_error", "device_bytes",
		"host_bytes", "cold_start_seconds", "warm_start_seconds", "ratio", "noise", "p", "verdict", "error"}}
	rows[0] = append(rows[0], "driver", "time", "processor", "threads", "system", "program")
	f := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for _, x := range r.Results {
		row := []string{x.Network, strconv.Itoa(x.Batch), x.Precision, strconv.FormatBool(x.Transfers), strconv.Itoa(max(x.InFlight, 1)), x.Backend, x.Device, x.DeviceID, string(x.Status)}
		if t := x.Timing; t != nil {
			s := t.Seconds
			row = append(row, strconv.Itoa(t.Runs), f(s.Median), f(s.P90), f(s.P99), f(s.Mean), f(s.Min), f(s.Max), f(s.MAD), f(t.ImagesPerSecond),
				strconv.FormatInt(t.FLOPs, 10), f(t.FLOPsPerSecond), f(t.PeakShare))
		} else {
			row = append(row, make([]string, 12)...)
		}
		if v := x.Verification; v != nil {
			row = append(row, f(v.Max), f(v.L2))
		} else {
			row = append(row, "", "")
		}
		row = append(row, strconv.FormatInt(x.DeviceBytes, 10))
		if x.Cold != nil && x.Warm != nil {
			row = append(row, strconv.FormatInt(x.Warm.HostBytes, 10), f(x.Cold.Total), f(x.Warm.Total))
		} else {
			row = append(row, "", "", "")
		}
		if c := x.Change; c != nil {
			row = append(row, f(c.Ratio), f(c.Noise), f(c.P), c.Verdict.String())
		} else {
			row = append(row, "", "", "", "")
		}
		row = append(row, x.Error, driverOf(r, &x), r.Environment.Time.Format(time.RFC3339), r.Environment.CPU, strconv.Itoa(r.Environment.Threads))
		rows = append(rows, append(row, systemOf(&r.Environment), programOf(&r.Environment)))
	}
	return rows
}

// driverOf is the driver of the device that a result is of.
func driverOf(r *bench.Report, x *bench.Result) string {
	i := slices.IndexFunc(r.Devices, func(d bench.Device) bool { return d.Backend == x.Backend && d.ID == x.DeviceID })
	if i < 0 {
		return ""
	}
	return strings.TrimRight(r.Devices[i].Driver+", "+r.Devices[i].API, ", ")
}

// writeMarkdown writes rows as a table of GitHub's Markdown, the first row being the heading as in writeTable.
func writeMarkdown(w io.Writer, rows [][]string) error {
	var b strings.Builder
	for r, row := range rows {
		rule := "|"
		b.WriteString("|")
		for _, cell := range row {
			right := false
			if r == 0 {
				cell, right = strings.CutPrefix(cell, ">")
			}
			rule += map[bool]string{false: " --- |", true: " ---: |"}[right]
			b.WriteString(" " + strings.NewReplacer("|", `\|`, "<", "&lt;", "&", "&amp;").Replace(Printable(cell)) + " |")
		}
		b.WriteString("\n")
		if r == 0 {
			b.WriteString(rule + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
