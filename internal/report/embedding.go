package report

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Embedding is what a network makes of a picture before it names it.
type Embedding struct {
	Image     string    `json:"image"`
	Embedding []float32 `json:"embedding"` // null on an error
	Model     string    `json:"model"`
	Backend   string    `json:"backend"`
	Device    string    `json:"device"`
	Error     *string   `json:"error"` // null when all went well
}

// EmbeddingFormats are the formats of embeddings: those of [NewEmbeddings], and a table of the most similar pictures, [WriteSimilar].
var EmbeddingFormats = []Format{Table, JSON, CSV, NDJSON, NPY}

// NewEmbeddings starts a sequence of count embeddings of dims numbers. In CSV a picture with an error has no row. An array for numpy is
// [count,dims] float32, with NaN for pictures with an error and for those that are missing when it is closed.
func NewEmbeddings(w io.Writer, f Format, count, dims int) (Sequence[Embedding], error) {
	switch f {
	case CSV:
		c := embeddingCSV{newRows(w)}
		head := []string{"image"}
		for i := range dims {
			head = append(head, strconv.Itoa(i))
		}
		return c, c.row(head...)
	case NPY:
		n := &embeddingNPY{w: w, left: count, dims: dims}
		return n, n.begin()
	}
	return newObjects[Embedding](w, f)
}

type embeddingCSV struct{ rows }

func (c embeddingCSV) Write(e Embedding) error {
	if e.Embedding == nil {
		return nil
	}
	cells := []string{e.Image}
	for _, v := range e.Embedding {
		cells = append(cells, strconv.FormatFloat(float64(v), 'g', -1, 32))
	}
	return c.row(cells...)
}

// embeddingNPY writes version 1.0 of the format (numpy.lib.format).
type embeddingNPY struct {
	w          io.Writer
	left, dims int
}

func (n *embeddingNPY) begin() error {
	const magic, align = "\x93NUMPY\x01\x00", 64
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", n.left, n.dims)
	fill := align - (len(magic)+2+len(text)+1)%align
	text += strings.Repeat(" ", fill) + "\n"
	head := binary.LittleEndian.AppendUint16([]byte(magic), uint16(len(text)))
	_, err := n.w.Write(append(head, text...))
	return err
}

func (n *embeddingNPY) Write(e Embedding) error {
	if n.left == 0 {
		return fmt.Errorf("write array: a row more than announced, for %s", e.Image)
	}
	n.left--
	row := make([]byte, 0, 4*n.dims)
	for i := range n.dims {
		v := float32(math.NaN())
		if e.Embedding != nil {
			v = e.Embedding[i]
		}
		row = binary.LittleEndian.AppendUint32(row, math.Float32bits(v))
	}
	_, err := n.w.Write(row)
	return err
}

func (n *embeddingNPY) Close() error {
	for n.left > 0 {
		if err := n.Write(Embedding{}); err != nil {
			return err
		}
	}
	return nil
}

// Similar is a picture with the one that is most like it.
type Similar struct {
	Image, Nearest string // no nearest where there is no other picture
	Cosine         float64
}

// WriteSimilar writes a table.
func WriteSimilar(w io.Writer, list []Similar) error {
	rows := [][]string{{"IMAGE", "MOST SIMILAR", ">COSINE"}}
	for _, s := range list {
		if s.Nearest == "" {
			rows = append(rows, []string{s.Image, "none", ""})
			continue
		}
		rows = append(rows, []string{s.Image, s.Nearest, fmt.Sprintf("%.4f", s.Cosine)})
	}
	return writeFilledTable(w, rows)
}
