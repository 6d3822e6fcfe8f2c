package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/resnet-run/resnet-run/backend"
)

// Device is a device with its place in its backend's list, by which it can be selected.
type Device struct {
	Index int `json:"index"`
	backend.DeviceInfo
}

// Missing is a backend without devices.
type Missing struct {
	Backend string `json:"backend"`
	Reason  string `json:"reason"`
}

// Devices is what the backends have.
type Devices struct {
	Devices []Device  `json:"devices"`
	Missing []Missing `json:"missing"`
}

// DevicesFormats are the formats of [WriteDevices].
var DevicesFormats = []Format{Table, JSON, CSV}

// WriteDevices writes the list. Tables have the properties when verbose is set; JSON always has them, CSV never. Only
// JSON has the missing backends.
func WriteDevices(w io.Writer, f Format, d Devices, verbose bool) error {
	if f == JSON {
		if d.Devices == nil {
			d.Devices = []Device{}
		}
		if d.Missing == nil {
			d.Missing = []Missing{}
		}
		return writeJSON(w, d)
	}
	memory := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"backend", "index", "name", "type", "driver", "api", "memory_bytes", "id"}}
	if f == Table {
		rows = [][]string{{"BACKEND", ">INDEX", "NAME", "TYPE", "DRIVER", "API", ">MEMORY", "ID"}}
		memory = func(n int64) string {
			if n == 0 {
				return "unknown"
			}
			return bytes(n)
		}
	}
	for _, v := range d.Devices {
		rows = append(rows, []string{v.Backend, strconv.Itoa(v.Index), v.Name, v.Type.String(), v.Driver, v.API, memory(v.MemoryBytes), v.ID})
	}
	if f == CSV {
		return writeCSV(w, rows)
	}
	if err := writeTable(w, rows); err != nil || !verbose {
		return err
	}
	for _, v := range d.Devices {
		if err := writeProperties(w, v); err != nil {
			return err
		}
	}
	return nil
}

func writeProperties(w io.Writer, d Device) error {
	names := make([]string, 0, len(d.Properties))
	for n := range d.Properties {
		names = append(names, n)
	}
	slices.Sort(names)
	if _, err := fmt.Fprintf(w, "\n%s:%d %s\n", d.Backend, d.Index, Printable(d.Name)); err != nil {
		return err
	}
	var rows [][]string
	for _, n := range names {
		rows = append(rows, []string{"", n, d.Properties[n]})
	}
	return writeTable(w, rows)
}

// ReadDevices reads what [WriteDevices] wrote as JSON.
func ReadDevices(r io.Reader) (Devices, error) {
	var list struct {
		Devices []json.RawMessage `json:"devices"`
		Missing []Missing         `json:"missing"`
	}
	if err := json.NewDecoder(io.LimitReader(r, mostReportBytes)).Decode(&list); err != nil {
		return Devices{}, fmt.Errorf("read devices: %w", err)
	}
	d := Devices{Missing: list.Missing}
	for _, raw := range list.Devices {
		var f Facts
		var place struct {
			Index int `json:"index"`
		}
		if err := errors.Join(json.Unmarshal(raw, &f), json.Unmarshal(raw, &place)); err != nil {
			return Devices{}, fmt.Errorf("read devices: %w", err)
		}
		d.Devices = append(d.Devices, Device{place.Index, f.DeviceInfo})
	}
	return d, nil
}
