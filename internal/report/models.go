package report

import (
	"fmt"
	"io"
	"strconv"

	"github.com/resnet-run/resnet-run/internal/model"
)

// ModelsFormats are the formats of [WriteModels].
var ModelsFormats = []Format{Table, JSON, CSV}

// WriteModels writes the list.
func WriteModels(w io.Writer, f Format, models []model.Summary) error {
	switch f {
	case JSON:
		return writeJSON(w, models)
	case CSV:
		rows := [][]string{{"name", "kind", "input", "classes", "labels_from", "params", "macs"}}
		for _, m := range models {
			rows = append(rows, []string{m.Name, m.Kind, dims(m.Input), strconv.Itoa(m.Classes), m.LabelsFrom,
				strconv.FormatInt(m.Params, 10), strconv.FormatInt(m.MACs, 10)})
		}
		return writeCSV(w, rows)
	}
	rows := [][]string{{"NAME", "KIND", "INPUT", ">CLASSES", ">PARAMETERS", ">GMACS", "LABELS FROM"}}
	for _, m := range models {
		rows = append(rows, []string{m.Name, m.Kind, dims(m.Input), strconv.Itoa(m.Classes), grouped(m.Params), giga(m.MACs), m.LabelsFrom})
	}
	return writeTable(w, rows)
}

// Version says which program this is.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the version control system; empty when unknown
	Modified bool   `json:"modified"` // whether there were changes beyond that revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// VersionFormats are the formats of [WriteVersion].
var VersionFormats = []Format{Table, JSON, CSV}

// WriteVersion writes the version.
func WriteVersion(w io.Writer, f Format, v Version) error {
	switch f {
	case JSON:
		return writeJSON(w, v)
	case CSV:
		return writeCSV(w, [][]string{{"version", "revision", "modified", "go", "platform"},
			{v.Version, v.Revision, strconv.FormatBool(v.Modified), v.Go, v.Platform}})
	}
	revision := ""
	if v.Revision != "" {
		revision = " revision " + v.Revision
	}
	if v.Modified {
		revision += " (modified)"
	}
	_, err := fmt.Fprintf(w, "resnet-run %s%s, %s, %s\n", v.Version, revision, v.Go, v.Platform)
	return err
}
