// Package report writes results for people (tables) and for programs (JSON, CSV and others). It decides how things
// look, never what they are.
package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Format is a form of output.
type Format string

// The formats. Each command takes some of them.
const (
	Table    Format = "table"
	JSON     Format = "json"
	CSV      Format = "csv"
	NDJSON   Format = "ndjson"   // one JSON object a line, as results come
	Markdown Format = "markdown" // tables as GitHub draws them
	DOT      Format = "dot"      // for Graphviz
	Text     Format = "text"     // the graph's own text form
	SVG      Format = "svg"      // a picture
	Trace    Format = "trace"    // a Chrome trace, for Perfetto
	JUnit    Format = "junit"    // the XML that build servers read
	HTML     Format = "html"     // one page that needs nothing beside it
	NPY      Format = "npy"      // an array as numpy.save writes it
)

// ParseFormat returns the format of the given name if it is among those allowed.
func ParseFormat(name string, allowed ...Format) (Format, error) {
	if slices.Contains(allowed, Format(name)) {
		return Format(name), nil
	}
	return "", fmt.Errorf("read --format: want %s, got %.40q", Names(allowed), name)
}

// Names lists formats for messages: "table|json|csv".
func Names(formats []Format) string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	return strings.Join(names, "|")
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func writeCSV(w io.Writer, rows [][]string) error {
	c := csv.NewWriter(w)
	if err := c.WriteAll(rows); err != nil {
		return err
	}
	return c.Error()
}

// Printable returns s with what could garble a terminal written as escapes.
func Printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// writeTable writes rows of cells in columns two spaces apart, the first row being the heading. Columns whose heading
// begins with ">" are aligned to the right.
func writeTable(w io.Writer, rows [][]string) error {
	var widths []int
	var right []bool
	for r, row := range rows {
		for c := range row {
			if c == len(widths) {
				widths, right = append(widths, 0), append(right, false)
			}
			if r == 0 {
				row[c], right[c] = strings.CutPrefix(row[c], ">")
			}
			row[c] = Printable(row[c])
			widths[c] = max(widths[c], uniseg.StringWidth(row[c]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for c, cell := range row {
			if c > 0 {
				line.WriteString("  ")
			}
			fill := strings.Repeat(" ", widths[c]-uniseg.StringWidth(cell))
			if right[c] {
				line.WriteString(fill + cell)
			} else {
				line.WriteString(cell + fill)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// grouped writes a number with commas between groups of three digits.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytes writes a size with a binary unit.
func bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// giga writes a count of operations in units of 10^9.
func giga(n int64) string { return fmt.Sprintf("%.3f", float64(n)/1e9) }

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// dims writes a shape: "1x64x56x56".
func dims(d []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(d), " ", "x"), "[]")
}
