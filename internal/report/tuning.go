package report

import (
	"fmt"
	"io"
	"strconv"
)

// Tuning is what measuring kernels came to: a row for each shape of layer of each network, batch and device.
type Tuning struct {
	Rows []TuningRow `json:"layers"`
}

// TuningRow is how the kernels of one shape came out.
type TuningRow struct {
	Device string       `json:"device"`
	Model  string       `json:"model"`
	Batch  int          `json:"batch"`
	Shape  string       `json:"shape"` // operation, attributes and types of the operands
	Nodes  int          `json:"nodes"` // layers of the network that have it
	State  string       `json:"state"` // measured; cached: before; skipped: the budget was spent
	Chosen string       `json:"chosen,omitempty"`
	Rule   string       `json:"rule,omitempty"` // what would run untuned
	Times  []TuningTime `json:"times,omitempty"`
}

// TuningTime is how long a kernel took.
type TuningTime struct {
	Kernel  string  `json:"kernel"`
	Median  float64 `json:"median_s"`
	Spread  float64 `json:"spread_s"` // half the distance between the quartiles
	Samples int     `json:"samples"`
}

// seconds is the median of a kernel, 0 when it was not measured.
func (r TuningRow) seconds(kernel string) float64 {
	for _, t := range r.Times {
		if t.Kernel == kernel {
			return t.Median
		}
	}
	return 0
}

// Speedup is the time of the rule's kernel by that of the chosen one, 0 when nothing was measured.
func (r TuningRow) Speedup() float64 {
	if c := r.seconds(r.Chosen); c > 0 {
		return r.seconds(r.Rule) / c
	}
	return 0
}

// TuningFormats are the formats of [WriteTuning].
var TuningFormats = []Format{Table, JSON, CSV}

// WriteTuning writes what was chosen. Only JSON has the times of all kernels.
func WriteTuning(w io.Writer, f Format, t Tuning) error {
	if f == JSON {
		if t.Rows == nil {
			t.Rows = []TuningRow{}
		}
		return writeJSON(w, t)
	}
	rows := [][]string{{"device", "model", "batch", "shape", "nodes", "state", "kernels", "chosen", "median_s", "rule", "rule_median_s"}}
	if f == Table {
		rows = [][]string{{"MODEL", ">BATCH", ">LAYERS", "STATE", ">KERNELS", "CHOSEN", ">TIME", ">FASTER", "SHAPE"}}
	}
	for _, r := range t.Rows {
		if f == CSV {
			number := func(s float64) string { return strconv.FormatFloat(s, 'g', -1, 64) }
			rows = append(rows, []string{r.Device, r.Model, strconv.Itoa(r.Batch), r.Shape, strconv.Itoa(r.Nodes), r.State, strconv.Itoa(len(r.Times)),
				r.Chosen, number(r.seconds(r.Chosen)), r.Rule, number(r.seconds(r.Rule))})
			continue
		}
		time, faster := "", ""
		if s := r.Speedup(); s > 0 {
			time, faster = duration(int64(r.seconds(r.Chosen)*1e9)), "as the rule"
			if r.Chosen != r.Rule {
				faster = fmt.Sprintf("%.2fx", s)
			}
		}
		rows = append(rows, []string{r.Model, strconv.Itoa(r.Batch), strconv.Itoa(r.Nodes), r.State, strconv.Itoa(len(r.Times)), r.Chosen, time, faster, r.Shape})
	}
	if f == CSV {
		return writeCSV(w, rows)
	}
	return writeTable(w, rows)
}

// Summary tells in a line what tuning is worth for the layers that were measured, counted as often as the network has them.
func (t Tuning) Summary() string {
	var rule, chosen float64
	shapes, others, skipped := 0, 0, 0
	for _, r := range t.Rows {
		if r.Speedup() == 0 {
			skipped++
			continue
		}
		shapes++
		rule += float64(r.Nodes) * r.seconds(r.Rule)
		chosen += float64(r.Nodes) * r.seconds(r.Chosen)
		if r.Chosen != r.Rule {
			others++
		}
	}
	text := fmt.Sprintf("%d shapes of layers measured, %d with another kernel than the rule's", shapes, others)
	if chosen > 0 {
		text += fmt.Sprintf("; their convolutions take %.2f of the untuned time", chosen/rule)
	}
	if skipped > 0 {
		text += fmt.Sprintf("; %d not measured, as the budget was spent", skipped)
	}
	return text
}
