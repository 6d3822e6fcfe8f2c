package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
)

// Sequence writes results one by one. Close completes the output; it does not close the writer below.
type Sequence[T any] interface {
	Write(T) error
	Close() error
}

// newObjects starts a sequence of JSON objects.
func newObjects[T any](w io.Writer, f Format) (Sequence[T], error) {
	switch f {
	case JSON:
		return &array[T]{w: w}, nil
	case NDJSON:
		return lines[T]{w}, nil
	}
	return nil, fmt.Errorf("write results: no format %q", f)
}

// array is a JSON array with an element a line.
type array[T any] struct {
	w     io.Writer
	count int
}

func (a *array[T]) Write(v T) error {
	text, err := json.Marshal(v)
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

func (a *array[T]) Close() error {
	end := "\n]\n"
	if a.count == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(a.w, end)
	return err
}

// lines are JSON objects, one a line.
type lines[T any] struct{ w io.Writer }

func (l lines[T]) Write(v T) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.w, "%s\n", text)
	return err
}

func (lines[T]) Close() error { return nil }

// rows are those of a CSV file, each written at once.
type rows struct{ w *csv.Writer }

func newRows(w io.Writer) rows { return rows{csv.NewWriter(w)} }

func (r rows) row(cells ...string) error {
	if err := r.w.Write(cells); err != nil {
		return err
	}
	r.w.Flush()
	return r.w.Error()
}

func (rows) Close() error { return nil }

// writeFilledTable is writeTable for rows of which the first alone, the heading, is nothing to show.
func writeFilledTable(w io.Writer, rows [][]string) error {
	if len(rows) == 1 {
		return nil
	}
	return writeTable(w, rows)
}
