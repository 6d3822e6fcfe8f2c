package report

import (
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

// MarshalJSON writes an empty list rather than null where there are no predictions.
func (c Classification) MarshalJSON() ([]byte, error) {
	type plain Classification
	if c.Predictions == nil {
		c.Predictions = []model.Prediction{}
	}
	return json.Marshal(plain(c))
}

// ClassificationFormats are the formats of [NewClassifications].
var ClassificationFormats = []Format{Table, JSON, CSV, NDJSON}

// NewClassifications starts a sequence. In tables and CSV a picture with an error has no row: the caller reports it
// elsewhere. A table appears when it is closed, everything else as it is written.
func NewClassifications(w io.Writer, f Format) (Sequence[Classification], error) {
	switch f {
	case Table:
		return &classificationTable{w: w, rows: [][]string{{"IMAGE", "LABEL", ">PROBABILITY", ">LOGIT"}}}, nil
	case CSV:
		c := classificationCSV{newRows(w)}
		return c, c.row("image", "rank", "index", "label", "probability", "logit", "model", "backend", "device")
	}
	return newObjects[Classification](w, f)
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
	return writeFilledTable(t.w, t.rows)
}

type classificationCSV struct{ rows }

func (c classificationCSV) Write(r Classification) error {
	for i, p := range r.Predictions {
		if err := c.row(r.Image, strconv.Itoa(i+1), strconv.Itoa(p.Index), p.Label, strconv.FormatFloat(p.Probability, 'g', -1, 64),
			strconv.FormatFloat(float64(p.Logit), 'g', -1, 32), r.Model, r.Backend, r.Device); err != nil {
			return err
		}
	}
	return nil
}
