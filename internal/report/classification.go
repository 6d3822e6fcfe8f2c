package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/resnet-run/resnet-run/internal/model"
)

// Classification is what is reported of one picture.
type Classification struct {
	Image       string             `json:"image"`
	Predictions []model.Prediction `json:"predictions"` // best first; empty on an error
	Model       string             `json:"model"`
	Backend     string             `json:"backend"`
	Device      string             `json:"device"`
	Error       *string            `json:"error"` // null when all went well
}

// ClassificationFormats are the formats of [NewClassifications].
var ClassificationFormats = []Format{Table, JSON, CSV, NDJSON}

// Classifications writes a sequence of results. Close completes the output; it does not close the writer below.
type Classifications interface {
	Write(Classification) error
	Close() error
}

// NewClassifications starts a sequence. In tables and CSV a picture with an error has no row: the caller reports it
// elsewhere. A table appears when it is closed, everything else as it is written.
func NewClassifications(w io.Writer, f Format) (Classifications, error) {
	switch f {
	case Table:
		return &classificationTable{w: w, rows: [][]string{{"IMAGE", "LABEL", ">PROBABILITY", ">LOGIT"}}}, nil
	case JSON:
		return &classificationArray{w: w}, nil
	case NDJSON:
		return classificationLines{w}, nil
	case CSV:
		c := &classificationCSV{csv.NewWriter(w)}
		return c, c.row("image", "rank", "index", "label", "probability", "logit", "model", "backend", "device")
	}
	return nil, fmt.Errorf("write classifications: no format %q", f)
}

type classificationTable struct {
	w    io.Writer
	rows [][]string
}

func (t *classificationTable) Write(c Classification) error {
	image := c.Image
	for _, p := range c.Predictions {
		t.rows = append(t.rows, []string{image, p.Label, percent(p.Probability), fmt.Sprintf("%.3f", p.Logit)})
		image = "" // once a picture
	}
	return nil
}

func (t *classificationTable) Close() error {
	if len(t.rows) == 1 {
		return nil
	}
	return writeTable(t.w, t.rows)
}

type classificationArray struct {
	w     io.Writer
	count int
}

func (a *classificationArray) Write(c Classification) error {
	text, err := marshal(c)
	if err != nil {
		return err
	}
	before := ",\n  "
	if a.count == 0 {
		before = "[\n  "
	}
	a.count++
	_, err = fmt.Fprintf(a.w, "%s%s", before, text)
	return err
}

func (a *classificationArray) Close() error {
	end := "\n]\n"
	if a.count == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(a.w, end)
	return err
}

type classificationLines struct{ w io.Writer }

func (l classificationLines) Write(c Classification) error {
	text, err := marshal(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.w, "%s\n", text)
	return err
}

func (classificationLines) Close() error { return nil }

// marshal writes one object on one line, with an empty list rather than null where there are no predictions.
func marshal(c Classification) ([]byte, error) {
	if c.Predictions == nil {
		c.Predictions = []model.Prediction{}
	}
	return json.Marshal(c)
}

type classificationCSV struct{ w *csv.Writer }

func (c *classificationCSV) row(cells ...string) error {
	if err := c.w.Write(cells); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *classificationCSV) Write(r Classification) error {
	for i, p := range r.Predictions {
		if err := c.row(r.Image, strconv.Itoa(i+1), strconv.Itoa(p.Index), p.Label, strconv.FormatFloat(p.Probability, 'g', -1, 64),
			strconv.FormatFloat(float64(p.Logit), 'g', -1, 32), r.Model, r.Backend, r.Device); err != nil {
			return err
		}
	}
	return nil
}

func (c *classificationCSV) Close() error { return nil }
