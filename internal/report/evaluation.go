package report

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
)

// Evaluation is the outcome of a labelled set.
type Evaluation struct {
	Model   string `json:"model"`
	Backend string `json:"backend"`
	Device  string `json:"device"`
	Dataset string `json:"dataset"`
	Batch   int    `json:"batch"`
	// MatchedByName tells whether folders were matched to labels by name, or else in sorted order.
	MatchedByName bool `json:"matched_by_name"`
	*model.Evaluation
	Failed         []Failure `json:"failed"` // pictures that could not be read or ranked
	PicturesPerSec float64   `json:"images_per_second"`
	Time           Time      `json:"time"`
}

// Failure is a picture that was left out.
type Failure struct {
	Image string `json:"image"`
	Error string `json:"error"`
}

// Time says where the time went. Shares are of the wall-clock time and add up to 1: the device works (backend), has to
// wait for pictures (waiting), is being prepared (compile), or results are counted and written (other). Decoding and
// preprocessing run beside it on several workers and are sums over these; their shares are of the workers' time.
type Time struct {
	WallSeconds       float64 `json:"wall_seconds"`
	BackendShare      float64 `json:"backend_share"`
	WaitingShare      float64 `json:"waiting_share"`
	CompileShare      float64 `json:"compile_share"`
	OtherShare        float64 `json:"other_share"`
	DecodeSeconds     float64 `json:"decode_seconds"`
	PreprocessSeconds float64 `json:"preprocess_seconds"`
	DecodeShare       float64 `json:"decode_share"`
	PreprocessShare   float64 `json:"preprocess_share"`
	Workers           int     `json:"workers"`
}

// NewTime works out the shares.
func NewTime(t pipeline.Times) Time {
	share := func(d, of time.Duration) float64 {
		if of <= 0 {
			return 0
		}
		return d.Seconds() / of.Seconds()
	}
	all := t.Wall * time.Duration(t.Workers)
	return Time{
		WallSeconds: t.Wall.Seconds(), BackendShare: share(t.Backend, t.Wall), WaitingShare: share(t.Waiting, t.Wall),
		CompileShare: share(t.Compile, t.Wall), OtherShare: share(t.Wall-t.Backend-t.Waiting-t.Compile, t.Wall),
		DecodeSeconds: t.Decode.Seconds(), PreprocessSeconds: t.Preprocess.Seconds(),
		DecodeShare: share(t.Decode, all), PreprocessShare: share(t.Preprocess, all), Workers: t.Workers,
	}
}

// SetTimes fills in what follows from the times of a run.
func (e *Evaluation) SetTimes(t pipeline.Times) {
	e.Time = NewTime(t)
	if t.Wall > 0 {
		e.PicturesPerSec = float64(e.Pictures+len(e.Failed)) / t.Wall.Seconds()
	}
}

// EvaluationFormats are the formats of [WriteEvaluation].
var EvaluationFormats = []Format{Table, JSON, CSV}

// maxConfusionTable is the most classes whose confusion matrix a table shows.
const maxConfusionTable = 20

// WriteEvaluation writes the outcome. CSV has a row a class with its row of the confusion matrix, where there is one.
func WriteEvaluation(w io.Writer, f Format, e Evaluation) error {
	switch f {
	case JSON:
		if e.Failed == nil {
			e.Failed = []Failure{}
		}
		return writeJSON(w, e)
	case CSV:
		return writeCSV(w, confusionCSV(e))
	}
	return writeEvaluationTable(w, e)
}

func confusionCSV(e Evaluation) [][]string {
	head := []string{"index", "label", "pictures", "correct", "accuracy"}
	for i := range e.Confusion {
		head = append(head, "predicted "+e.PerClass[i].Label)
	}
	rows := [][]string{head}
	for i, c := range e.PerClass {
		row := []string{strconv.Itoa(c.Index), c.Label, strconv.Itoa(c.Pictures), strconv.Itoa(c.Correct), strconv.FormatFloat(c.Accuracy, 'g', 6, 64)}
		if e.Confusion != nil {
			for _, n := range e.Confusion[i] {
				row = append(row, strconv.Itoa(n))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func writeEvaluationTable(w io.Writer, e Evaluation) error {
	matrix := len(e.PerClass) <= maxConfusionTable
	head := []string{"CLASS", ">PICTURES", ">ACCURACY"}
	if matrix {
		for i := range e.PerClass {
			head = append(head, fmt.Sprintf(">%d", i))
		}
	}
	rows := [][]string{head}
	for i, c := range e.PerClass {
		if c.Pictures == 0 && !matrix {
			continue
		}
		row := []string{fmt.Sprintf("%d %s", i, c.Label), strconv.Itoa(c.Pictures), percent(c.Accuracy)}
		if matrix {
			for _, n := range e.Confusion[i] {
				row = append(row, strconv.Itoa(n))
			}
		}
		rows = append(rows, row)
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	note := "Row: right class. Column: predicted class."
	switch {
	case e.Confusion == nil:
		note = "Classes without pictures are left out."
	case !matrix:
		note = "Classes without pictures are left out; --format json and csv have the confusion matrix."
	}
	t := e.Time
	_, err := fmt.Fprintf(w, `%s

top-1     %s of %d pictures (%d failed)
top-5     %s
speed     %.1f images/s (%.2f s, batch %d)
time      backend %s, waiting for pictures %s, compiling %s, other %s
          beside it on %d workers: decoding %s, preprocessing %s of their time
model     %s
device    %s: %s
`, note, percent(e.Top1), e.Pictures, len(e.Failed), percent(e.Top5), e.PicturesPerSec, t.WallSeconds, e.Batch,
		percent(t.BackendShare), percent(t.WaitingShare), percent(t.CompileShare), percent(t.OtherShare),
		t.Workers, percent(t.DecodeShare), percent(t.PreprocessShare), Printable(e.Model), e.Backend, Printable(e.Device))
	return err
}
