package submission

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/report"
)

// The members.
const (
	statementName = "STATEMENT.txt"
	frontName     = "package.json"
	reportName    = "conformance.json"
	pageName      = "conformance.html"
	junitName     = "conformance.xml"
	sumsName      = "SHA256SUMS"
)

// members in the order of the archive.
var members = []string{statementName, frontName, reportName, pageName, junitName, sumsName}

// formatVersion changes when a package of the one before cannot be checked as one of this.
const formatVersion = 1

// Front says what a package is about.
type Front struct {
	Format        string         `json:"format"` // "resnet-run conformance package"
	FormatVersion int            `json:"format_version"`
	Program       report.Version `json:"program"`
	ProgramSHA256 string         `json:"program_sha256,omitempty"`
	Profile       string         `json:"profile"`
	Strict        bool           `json:"strict"`
	Seed          uint64         `json:"seed"`  // of the suite's inputs and parameters
	Cases         int            `json:"cases"` // of the profile
	CasesSHA256   string         `json:"cases_sha256"`
	Started       time.Time      `json:"started"`
	Conformant    bool           `json:"conformant"`
	Devices       []FrontDevice  `json:"devices"`
	Waivers       []Waiver       `json:"waivers"`
}

// FrontDevice is what a package says of one device.
type FrontDevice struct {
	Target            string              `json:"target"`
	Name              string              `json:"name"`
	Type              string              `json:"type"`
	Driver            string              `json:"driver"`
	API               string              `json:"api"`
	PipelineCacheUUID string              `json:"pipeline_cache_uuid,omitempty"`
	Conformant        bool                `json:"conformant"`
	Verdict           string              `json:"verdict"`
	Summary           conformance.Summary `json:"summary"`
}

// Waiver is an exception that the run was allowed.
type Waiver struct {
	Kind   string `json:"kind"` // "known failure" or "limit"
	Case   string `json:"case"` // a name, or an expression for whole names
	Reason string `json:"reason"`
}

const formatName = "resnet-run conformance package"

// pipelineCacheUUID is the property by which Vulkan drivers tell their builds apart.
const pipelineCacheUUID = "pipelineCacheUUID"

func newFront(c report.Conformance) Front {
	f := Front{
		Format: formatName, FormatVersion: formatVersion, Program: c.Version, ProgramSHA256: c.Program, Profile: c.Profile, Strict: c.Strict,
		Seed: conformance.Seed, Cases: c.Cases, CasesSHA256: casesDigest(profileCases(c.Profile)), Started: c.Started.UTC(), Conformant: c.Conformant,
		Devices: []FrontDevice{}, Waivers: []Waiver{},
	}
	for _, d := range c.Devices {
		i := d.Device
		f.Devices = append(f.Devices, FrontDevice{d.Target, d.Name(), i.Type.String(), i.Driver, i.API, i.Properties[pipelineCacheUUID], d.Conformant, d.Verdict, d.Summary})
	}
	for _, e := range c.Known {
		f.Waivers = append(f.Waivers, Waiver{"known failure", e.Case, e.Reason})
	}
	for _, e := range c.Limits {
		f.Waivers = append(f.Waivers, Waiver{"limit", e.Case, e.Reason})
	}
	return f
}

// profileCases are the cases of a profile by its name; none for a name that is not known.
func profileCases(name string) []conformance.Case {
	p, err := conformance.ParseProfile(name)
	if err != nil {
		return nil
	}
	cases, err := conformance.Select(conformance.Cases(), p, "")
	if err != nil {
		return nil
	}
	return cases
}

// casesDigest tells suites apart: the SHA-256 of the names and classes of the cases, in order.
func casesDigest(cases []conformance.Case) string {
	h := sha256.New()
	for _, c := range cases {
		_, _ = fmt.Fprintf(h, "%s\t%v\n", c.Name, c.Class) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Write writes the package of a report.
//
// Errors: a report of a part of a profile, or of a run that was interrupted: these prove nothing; errors of w.
func Write(w io.Writer, c report.Conformance) error {
	switch {
	case c.Filter != "":
		return fmt.Errorf("write conformance package: want a whole profile, got the cases that %q matches", c.Filter)
	case c.Interrupted:
		return fmt.Errorf("write conformance package: want all results, got those of an interrupted run")
	case len(c.Devices) == 0:
		return fmt.Errorf("write conformance package: want at least one device")
	}
	content, err := contents(c)
	if err != nil {
		return fmt.Errorf("write conformance package: %w", err)
	}
	z := zip.NewWriter(w)
	for _, name := range members {
		// A header without a time: the same content is the same archive.
		m, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err == nil {
			_, err = m.Write(content[name])
		}
		if err != nil {
			return fmt.Errorf("write conformance package: %s: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write conformance package: %w", err)
	}
	return nil
}

// contents makes all members of a report.
func contents(c report.Conformance) (map[string][]byte, error) {
	content, err := front(c)
	if err != nil {
		return nil, err
	}
	for name, format := range map[string]report.Format{reportName: report.JSON, pageName: report.HTML, junitName: report.JUnit} {
		var b bytes.Buffer
		if err := report.WriteConformance(&b, format, c); err != nil {
			return nil, err
		}
		content[name] = b.Bytes()
	}
	content[sumsName] = sums(content)
	return content, nil
}

// front makes the members whose form has a version of its own.
func front(c report.Conformance) (map[string][]byte, error) {
	f, err := json.MarshalIndent(newFront(c), "", "  ")
	if err != nil {
		return nil, err
	}
	return map[string][]byte{frontName: append(f, '\n'), statementName: []byte(statement(c))}, nil
}

// sums are lines as sha256sum writes them.
func sums(content map[string][]byte) []byte {
	var b bytes.Buffer
	for _, name := range members[:len(members)-1] {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content[name]), name)
	}
	return b.Bytes()
}

// statement is the text of STATEMENT.txt.
func statement(c report.Conformance) string {
	var b strings.Builder
	p := report.Printable
	fmt.Fprintf(&b, `STATEMENT OF CONFORMANCE

This package has the results of the conformance suite of resnet-run, profile %q:
all %d cases of it on each device below, none left out, none run twice.

program    resnet-run %s %s, %s, %s
           SHA-256 of its file %s
begun      %s
seed       %d
`, p(c.Profile), c.Cases, p(c.Version.Version), p(cmp.Or(c.Version.Revision, "(no revision recorded)")), p(c.Version.Go), p(c.Version.Platform),
		p(cmp.Or(c.Program, "unknown")), c.Started.UTC().Format(time.RFC3339), conformance.Seed)
	if c.Version.Modified {
		b.WriteString("           with changes that are in no revision\n")
	}
	for _, d := range c.Devices {
		i := d.Device
		verdict := "CONFORMANT"
		if !d.Conformant {
			verdict = "NOT CONFORMANT: " + p(d.Verdict)
		}
		fmt.Fprintf(&b, "\ndevice     %s\n           %s (%v)\ndriver     %s, %s\n", p(d.Target), p(d.Name()), i.Type, p(i.Driver), p(i.API))
		if u := i.Properties[pipelineCacheUUID]; u != "" {
			fmt.Fprintf(&b, "           %s %s\n", pipelineCacheUUID, p(u))
		}
		fmt.Fprintf(&b, "cases      %v\nverdict    %s\n", d.Summary, verdict)
	}
	f := newFront(c)
	fmt.Fprintf(&b, "\nwaivers    %d\n", len(f.Waivers))
	for _, w := range f.Waivers {
		fmt.Fprintf(&b, "           %s: %s\n             because %s\n", w.Kind, p(w.Case), p(w.Reason))
	}
	b.WriteString(`
A result is within its bound when |got - want| is at most what float32 arithmetic allows,
computed by a float64 reference beside every value. Check this package, and run cases of it again:

    resnet-run conformance verify --rerun 20 FILE
`)
	return b.String()
}
