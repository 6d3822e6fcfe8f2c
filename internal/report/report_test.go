package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/model/pipeline"
)

func TestTableAlignsWideAndHostileText(t *testing.T) {
	var b strings.Builder
	rows := [][]string{{"NAME", ">N", "LAST"}, {"猫.jpg", "7", "x"}, {"a\x1b[2J\n", "1,234", ""}, {"é", "0", "日"}}
	if err := writeTable(&b, rows); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"NAME            N  LAST\n" +
		"猫.jpg          7  x\n" +
		"a\\x1b[2J\\n  1,234\n" +
		"é               0  日\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 11689512: "11,689,512"} {
		if got := grouped(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 2 << 30: "2.0 GiB", 1 << 62: "4194304.0 TiB"} {
		if got := bytes(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := dims([]int{1, 64, 7}); got != "1x64x7" {
		t.Errorf("got %s", got)
	}
}

func TestParseFormat(t *testing.T) {
	if f, err := ParseFormat("csv", Table, CSV); f != CSV || err != nil {
		t.Errorf("got %q, %v", f, err)
	}
	for _, bad := range []string{"", "CSV", "json"} {
		if _, err := ParseFormat(bad, Table, CSV); err == nil || !strings.Contains(err.Error(), "table|csv") {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
}

// full fails after some bytes, as a full disk does.
type full struct{ left int }

var errFull = errors.New("disk full")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrorsOfTheWriterComeBack(t *testing.T) {
	c := Classification{Image: "a.png", Predictions: []model.Prediction{{Label: "cat", Probability: 1}}}
	for _, f := range ClassificationFormats {
		for _, left := range []int{0, 70} {
			out, err := NewClassifications(&full{left}, f)
			for range 9 {
				if err == nil {
					err = out.Write(c)
				}
			}
			if err == nil {
				err = out.Close()
			}
			if !errors.Is(err, errFull) {
				t.Errorf("%s after %d bytes: got error %v", f, left, err)
			}
		}
	}
}

func TestEmptyClassifications(t *testing.T) {
	for f, want := range map[Format]string{Table: "", JSON: "[]\n", NDJSON: "", CSV: "image,rank,index,label,probability,logit,model,backend,device\n"} {
		var b strings.Builder
		out, err := NewClassifications(&b, f)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil || b.String() != want {
			t.Errorf("%s: got %q, %v, want %q", f, b.String(), err, want)
		}
	}
	if _, err := NewClassifications(nil, DOT); err == nil {
		t.Error("a format for graphs was accepted")
	}
}

func TestCSVQuotes(t *testing.T) {
	var b strings.Builder
	out, err := NewClassifications(&b, CSV)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Write(Classification{Image: `a,"b".png`, Predictions: []model.Prediction{{Index: 2, Label: "cat, big", Probability: 0.25, Logit: -1.5}}, Model: "m", Backend: "b", Device: "d"}); err != nil {
		t.Fatal(err)
	}
	if want := `"a,""b"".png",1,2,"cat, big",0.25,-1.5,m,b,d`; !strings.Contains(b.String(), want) {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

func TestTimeShares(t *testing.T) {
	got := NewTime(pipeline.Times{Wall: 10 * time.Second, Backend: 6 * time.Second, Waiting: time.Second, Compile: 2 * time.Second, Decode: 4 * time.Second, Preprocess: time.Second, Workers: 2})
	want := Time{WallSeconds: 10, BackendShare: 0.6, WaitingShare: 0.1, CompileShare: 0.2, OtherShare: 0.1, DecodeSeconds: 4, PreprocessSeconds: 1, DecodeShare: 0.2, PreprocessShare: 0.05, Workers: 2}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := NewTime(pipeline.Times{}); got != (Time{}) {
		t.Errorf("no time: got %+v, want zeros", got)
	}
}

// TestLargeConfusionIsNotPrinted has a thousand classes, of which two have pictures.
func TestLargeConfusionIsNotPrinted(t *testing.T) {
	m := &model.Model{Preset: model.Preset{Labels: model.ImageNetLabels()}}
	e := m.NewEvaluation()
	logits := make([]float32, 1000)
	logits[7] = 1
	for _, class := range []int{7, 8} {
		if err := e.Add(class, logits); err != nil {
			t.Fatal(err)
		}
	}
	var table, csv strings.Builder
	if err := errors.Join(WriteEvaluation(&table, Table, Evaluation{Evaluation: e}), WriteEvaluation(&csv, CSV, Evaluation{Evaluation: e})); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(table.String(), "\n"); n > 15 || !strings.Contains(table.String(), "7 cock") {
		t.Errorf("got a table of %d lines:\n%s", n, table.String())
	}
	if n := strings.Count(csv.String(), "\n"); n != 1001 {
		t.Errorf("got %d lines of CSV, want 1001", n)
	}
}
