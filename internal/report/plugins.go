package report

import (
	"fmt"
	"io"
	"strings"
)

// Plugin is a plugin as it was found.
type Plugin struct {
	Name      string       `json:"name"`
	Version   string       `json:"version"`
	State     string       `json:"state"`
	Reason    string       `json:"reason"` // why it is not trusted, empty when it is
	Manifest  string       `json:"manifest"`
	Protocols []int        `json:"protocol_versions"`
	Command   []string     `json:"command"`
	Files     []PluginFile `json:"files"`
	Variables []string     `json:"environment"`
	TrustedAt string       `json:"trusted_at"` // RFC 3339, empty when it never was
}

// PluginFile is a file that a plugin runs.
type PluginFile struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// PluginFormats are the formats of the commands about plugins.
var PluginFormats = []Format{Table, JSON}

// WritePlugins writes a list of plugins.
func WritePlugins(w io.Writer, f Format, list []Plugin) error {
	if f == JSON {
		if list == nil {
			list = []Plugin{}
		}
		return writeJSON(w, list)
	}
	rows := [][]string{{"NAME", "VERSION", "STATE", "PROTOCOL", "MANIFEST"}}
	for _, p := range list {
		rows = append(rows, []string{p.Name, p.Version, p.State, join(p.Protocols), p.Manifest})
	}
	return writeTable(w, rows)
}

// WritePlugin writes all that is known of a plugin without starting it.
func WritePlugin(w io.Writer, f Format, p Plugin) error {
	if f == JSON {
		return writeJSON(w, p)
	}
	rows := [][]string{{"name", p.Name}, {"version", p.Version}, {"state", p.State}, {"manifest", p.Manifest}, {"protocol versions", join(p.Protocols)},
		{"command", fmt.Sprintf("%q", p.Command)}, {"variables", strings.Join(p.Variables, " ")}, {"trusted at", p.TrustedAt}}
	for i, file := range p.Files {
		head := ""
		if i == 0 {
			head = "files"
		}
		rows = append(rows, []string{head, file.SHA256 + "  " + file.Path})
	}
	if p.Reason != "" {
		rows = append(rows, []string{"reason", p.Reason})
	}
	return writeTable(w, rows)
}

// PluginCheck is a check of a plugin.
type PluginCheck struct {
	Plugin string `json:"plugin"`
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// PluginChecks is what the doctor has found.
type PluginChecks struct {
	Folders []string      `json:"folders"` // where plugins are looked for
	Lock    string        `json:"lock_file"`
	Checks  []PluginCheck `json:"checks"`
}

// WritePluginChecks writes what the doctor has found.
func WritePluginChecks(w io.Writer, f Format, c PluginChecks) error {
	if f == JSON {
		if c.Checks == nil {
			c.Checks = []PluginCheck{}
		}
		return writeJSON(w, c)
	}
	for _, dir := range c.Folders {
		if _, err := fmt.Fprintf(w, "folder     %s\n", Printable(dir)); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "lock file  %s\n\n", Printable(c.Lock)); err != nil {
		return err
	}
	rows := [][]string{{"PLUGIN", "CHECK", "", "DETAIL"}}
	for _, v := range c.Checks {
		verdict := "ok"
		if !v.OK {
			verdict = "FAILED"
		}
		rows = append(rows, []string{v.Plugin, v.Check, verdict, v.Detail})
	}
	return writeTable(w, rows)
}

func join(numbers []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", ",")
}
