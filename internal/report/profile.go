package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/bench"
	"github.com/resnet-run/resnet-run/internal/profile"
)

// ProfileFormats are the formats of [WriteProfile].
var ProfileFormats = []Format{Table, JSON, CSV, Trace, SVG}

// Profile is where the time of a network's runs goes on a device.
type Profile struct {
	Environment  bench.Environment  `json:"environment"`
	Device       bench.Device       `json:"device"`
	Network      string             `json:"network"`
	Batch        int                `json:"batch"`
	Precision    string             `json:"precision"`
	Runs         int                `json:"runs"`
	RunSeconds   float64            `json:"run_seconds"`    // median of runs that were not profiled
	DeviceTime   float64            `json:"device_seconds"` // sum of the nodes
	Verification bench.Verification `json:"verification"`
	Nodes        []profile.Node     `json:"nodes"`

	// Kernels are what the device's compiler says of the kernels that ran, none where it says nothing.
	Kernels []backend.KernelReport `json:"kernels,omitempty"`

	*profile.Profile `json:"-"`
}

// WriteProfile writes a profile.
func WriteProfile(w io.Writer, f Format, p *Profile) error {
	switch f {
	case JSON:
		return writeJSON(w, p)
	case CSV:
		return writeCSV(w, profileCSV(p))
	case Trace:
		about := map[string]string{}
		for _, line := range p.lines() {
			key, value, _ := strings.Cut(line, ": ")
			about[key] = value
		}
		return writeJSON(w, profile.NewTrace(p.Profile, p.Device.Backend+": "+p.Device.Name, p.title(), about))
	case SVG:
		b := bufio.NewWriter(w)
		note := fmt.Sprintf("%s; a run takes %s ms, its nodes one by one %s ms; answers verified, greatest error %.1e; resnet-run %s",
			p.Environment.Time.Format(time.DateOnly), millis(p.RunSeconds), millis(p.DeviceTime), p.Verification.Max, p.version())
		if err := profile.WriteSVG(b, p.Profile, profile.Heading{Title: p.title(), Subtitle: p.Device.Name + ", " + p.Device.Driver, Note: note}); err != nil {
			return err
		}
		return b.Flush()
	}
	if _, err := io.WriteString(w, strings.Join(p.lines(), "\n")+"\n\n"); err != nil {
		return err
	}
	if err := writeTable(w, profileRows(p)); err != nil {
		return err
	}
	_, err := io.WriteString(w, p.spills())
	return err
}

// spills tells of the kernels that lie partly in memory, a line each behind an empty one; nothing where there are none.
func (p *Profile) spills() string {
	var b strings.Builder
	for _, k := range p.Kernels {
		if k.Spilled > 0 {
			fmt.Fprintf(&b, "spilled: %s of %s (%d nodes) has %g of what belongs into registers in memory, by the driver's count\n",
				Printable(k.Kernel), Printable(strings.Join(k.Nodes[:min(1, len(k.Nodes))], "")), len(k.Nodes), k.Spilled)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

func (p *Profile) title() string {
	return fmt.Sprintf("%s, batch %d, %s", p.Network, p.Batch, p.Precision)
}

func (p *Profile) version() string {
	if p.Environment.Revision != "" {
		return p.Environment.Revision[:min(12, len(p.Environment.Revision))]
	}
	return p.Environment.Version
}

// lines are the environment and the sums.
func (p *Profile) lines() []string {
	return append(environmentLines(&bench.Report{Environment: p.Environment, Devices: []bench.Device{p.Device}}),
		"network: "+Printable(p.title()),
		fmt.Sprintf("time: a run takes %s ms, its nodes one by one %s ms; medians of %d runs", millis(p.RunSeconds), millis(p.DeviceTime), p.Runs),
		fmt.Sprintf("verified: greatest error %.1e, relative L2 %.1e", p.Verification.Max, p.Verification.L2))
}

func profileRows(p *Profile) [][]string {
	rows := [][]string{{"NODE", "OP", "OUTPUT", ">ms", ">SHARE", ">GFLOP/S", ">GB/S", ">FLOP/BYTE", "LIMITED BY", ">OF ROOF", "KERNEL", "WHY"}}
	blank := func(x float64, f func(float64) string) string {
		if x == 0 {
			return ""
		}
		return f(x)
	}
	for _, n := range p.Nodes {
		rows = append(rows, []string{n.Name, opName(n.Op), dims(n.Output), millis(n.Seconds), tenth(n.Share), blank(n.FLOPsPerSecond/1e9, figure), blank(n.BytesPerSecond/1e9, figure),
			blank(n.Intensity, figure), string(n.Roof), blank(n.RoofShare, tenth), n.Kernel, n.Reason})
	}
	return rows
}

func tenth(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// opName is the op without its attributes, which a table has no room for.
func opName(op string) string {
	name, _, _ := strings.Cut(op, "(")
	name, _, _ = strings.Cut(name, " ")
	return name
}

func profileCSV(p *Profile) [][]string {
	rows := [][]string{{"network", "batch", "backend", "device", "node", "op", "kind", "kernel", "reason", "steps", "seconds", "share", "flops", "bytes",
		"flops_per_second", "bytes_per_second", "intensity", "roof", "roof_share"}}
	f := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for _, n := range p.Nodes {
		rows = append(rows, []string{p.Network, strconv.Itoa(p.Batch), p.Device.Backend, p.Device.Name, n.Name, n.Op, n.Kind, n.Kernel, n.Reason, strconv.Itoa(n.Steps), f(n.Seconds), f(n.Share),
			strconv.FormatInt(n.FLOPs, 10), strconv.FormatInt(n.Bytes, 10), f(n.FLOPsPerSecond), f(n.BytesPerSecond), f(n.Intensity), string(n.Roof), f(n.RoofShare)})
	}
	return rows
}
