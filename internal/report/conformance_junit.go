package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/conformance"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Time    string     `xml:"time,attr"`
	Failure *junitText `xml:"failure"`
	Skipped *junitText `xml:"skipped"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes a test suite for each device.
func writeJUnit(w io.Writer, c Conformance) error {
	var all junitSuites
	for _, d := range c.Devices {
		all.Suites = append(all.Suites, newJUnitSuite(c, d))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func newJUnitSuite(c Conformance, d *DeviceConformance) junitSuite {
	runs, failed := d.Runs()
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }
	s := junitSuite{
		Name: "conformance " + d.Device.Backend + " " + d.Name(), Time: seconds(d.Seconds), Timestamp: c.Started.UTC().Format("2006-01-02T15:04:05"),
		Properties: []junitProperty{
			{"backend", d.Device.Backend}, {"device", d.Device.Name}, {"id", d.Device.ID}, {"driver", d.Device.Driver}, {"api", d.Device.API},
			{"profile", c.Profile}, {"repeat", strconv.Itoa(max(c.Repeat, 1))}, {"runs", strconv.Itoa(runs)}, {"failed_runs", strconv.Itoa(failed)},
			{"version", c.Version.Version}, {"revision", c.Version.Revision}, {"go", c.Version.Go}, {"platform", c.Version.Platform},
			{"interrupted", strconv.FormatBool(c.Interrupted)}, {"not_run", strconv.Itoa(d.NotRun)}, {"verdict", d.Verdict},
		},
	}
	for _, r := range d.Results {
		v := junitCase{Class: "conformance." + r.Group(), Name: r.Case, Time: seconds(r.Seconds)}
		text := &junitText{Message: strings.TrimSpace(r.Status.String() + ": " + r.Reason), Text: r.Error}
		s.Tests++
		switch {
		case r.Status == conformance.Failed, r.Status == conformance.UnexpectedPass && c.Strict:
			v.Failure = text
			s.Failures++
		case r.Status != conformance.Passed && r.Status != conformance.UnexpectedPass:
			v.Skipped = text
			s.Skipped++
		}
		s.Cases = append(s.Cases, v)
	}
	if d.NotRun > 0 {
		s.addNotRun(d)
	}
	return s
}

// addNotRun adds one entry for all cases that were not run: readers of this format show entries, and seldom properties.
// A run that an error has ended is no success, whatever passed before.
func (s *junitSuite) addNotRun(d *DeviceConformance) {
	v := junitCase{Class: "conformance", Name: strconv.Itoa(d.NotRun) + " cases not run", Time: "0.000"}
	text := &junitText{Message: fmt.Sprintf("%d of %d cases were not run", d.NotRun, d.NotRun+len(d.Results)), Text: d.Error}
	if s.Tests++; d.Error != "" {
		v.Failure = text
		s.Failures++
	} else {
		v.Skipped = text
		s.Skipped++
	}
	s.Cases = append(s.Cases, v)
}
