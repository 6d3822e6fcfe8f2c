package report

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"io"
	"strings"

	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model"
)

// Explanation says where on a picture classes were found.
type Explanation struct {
	Image   string           `json:"image"`
	Width   int              `json:"width"` // of the picture, in pixels; 0 on an error
	Height  int              `json:"height"`
	Seen    imaging.Region   `json:"seen"`    // the part that the network sees, in parts of width and height
	Classes []ExplainedClass `json:"classes"` // empty on an error
	Model   string           `json:"model"`
	Backend string           `json:"backend"`
	Device  string           `json:"device"`
	Error   *string          `json:"error"` // null when all went well

	Picture image.Image `json:"-"` // for pages
}

// MarshalJSON writes an empty list rather than null where there are no classes.
func (e Explanation) MarshalJSON() ([]byte, error) {
	type plain Explanation
	if e.Classes == nil {
		e.Classes = []ExplainedClass{}
	}
	return json.Marshal(plain(e))
}

// ExplainedClass is a class with its map.
type ExplainedClass struct {
	model.Prediction
	// Map is what each place of the seen part adds to the logit, rows from the top; the mean is the logit.
	Map [][]float32 `json:"map"`
	// Peak is the greatest value's place on the picture, in pixels from the left and the top.
	Peak [2]int `json:"peak"`
	// File has the picture with the map drawn on it; empty when none was written.
	File string `json:"file,omitempty"`

	Drawn image.Image `json:"-"` // for pages
}

// ExplanationFormats are the formats of [NewExplanations].
var ExplanationFormats = []Format{Table, JSON, NDJSON, HTML}

// NewExplanations starts a sequence. In tables a picture with an error has no row: the caller reports it elsewhere. A table appears when it
// is closed, everything else as it is written. by says what explains, for pages.
func NewExplanations(w io.Writer, f Format, by Explanation) (Sequence[Explanation], error) {
	switch f {
	case Table:
		return &explanationTable{w: w, rows: [][]string{{"IMAGE", "LABEL", ">PROBABILITY", ">LOGIT", ">FOUND AT", "HEAT MAP"}}}, nil
	case HTML:
		p := explanationPage{w}
		return p, p.execute("explanation-begin", by)
	}
	return newObjects[Explanation](w, f)
}

type explanationTable struct {
	w    io.Writer
	rows [][]string
}

func (t *explanationTable) Write(e Explanation) error {
	image := e.Image
	for _, c := range e.Classes {
		t.rows = append(t.rows, []string{image, c.Label, percent(c.Probability), fmt.Sprintf("%.3f", c.Logit), fmt.Sprintf("%d,%d", c.Peak[0], c.Peak[1]), c.File})
		image = "" // once a picture
	}
	return nil
}

func (t *explanationTable) Close() error { return writeFilledTable(t.w, t.rows) }

// explanationPage writes one page, picture by picture.
type explanationPage struct{ w io.Writer }

func (p explanationPage) execute(name string, data any) error {
	if err := pages.ExecuteTemplate(p.w, name, data); err != nil {
		return fmt.Errorf("write HTML explanation: %w", err)
	}
	return nil
}

func (p explanationPage) Write(e Explanation) error {
	type view struct {
		ExplainedClass
		Source  template.URL
		Percent float64
	}
	data := struct {
		Explanation
		Source template.URL
		Views  []view
	}{Explanation: e}
	var err error
	if e.Error == nil {
		data.Source, err = inline(e.Picture)
	}
	for _, c := range e.Classes {
		if err != nil {
			break
		}
		v := view{ExplainedClass: c, Percent: 100 * c.Probability}
		v.Source, err = inline(c.Drawn)
		data.Views = append(data.Views, v)
	}
	if err != nil {
		return fmt.Errorf("write HTML explanation: %w", err)
	}
	return p.execute("explanation-picture", data)
}

func (p explanationPage) Close() error { return p.execute("explanation-end", nil) }

// inline is a picture as part of a page.
func inline(img image.Image) (template.URL, error) {
	var b strings.Builder
	b.WriteString("data:image/jpeg;base64,")
	text := base64.NewEncoder(base64.StdEncoding, &b)
	err := jpeg.Encode(text, img, &jpeg.Options{Quality: 88})
	err = errors.Join(err, text.Close()) // which writes the last bytes
	return template.URL(b.String()), err
}
