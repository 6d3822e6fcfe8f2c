package report

import (
	"fmt"
	"io"
	"strings"
)

// Verification is the outcome of checking a conformance package.
type Verification struct {
	File     string   `json:"file"`
	Holds    bool     `json:"holds"` // there is no problem
	Problems []string `json:"problems"`
	Notes    []string `json:"notes"`
	Claim    Claim    `json:"claim"`
	Reruns   []Rerun  `json:"reruns"`
}

// Claim is what a package says.
type Claim struct {
	Version    Version       `json:"version"`
	Profile    string        `json:"profile"`
	Seed       uint64        `json:"seed"`
	Cases      int           `json:"cases"`
	Waivers    int           `json:"waivers"`
	Conformant bool          `json:"conformant"`
	Verdict    string        `json:"verdict"`
	Devices    []ClaimDevice `json:"devices"`
}

// ClaimDevice is what a package says of one device.
type ClaimDevice struct {
	Target  string `json:"target"`
	Name    string `json:"name"`
	Driver  string `json:"driver"`
	Verdict string `json:"verdict"`
	Cases   string `json:"cases"`
}

// Rerun is what came of running cases of a package again.
type Rerun struct {
	Target string `json:"target"`
	Cases  int    `json:"cases"`
	Same   int    `json:"same"`
}

// VerificationFormats are the formats of [WriteVerification].
var VerificationFormats = []Format{Table, JSON}

// WriteVerification writes the outcome.
func WriteVerification(w io.Writer, f Format, v Verification) error {
	if f == JSON {
		return writeJSON(w, v)
	}
	var b strings.Builder
	c := v.Claim
	fmt.Fprintf(&b, "package   %s\nprogram   resnet-run %s, %s, %s\nprofile   %s, %d cases, seed %d, %d waivers\n",
		Printable(v.File), Printable(strings.TrimSpace(c.Version.Version+" "+c.Version.Revision)), Printable(c.Version.Go), Printable(c.Version.Platform), Printable(c.Profile), c.Cases, c.Seed, c.Waivers)
	for _, d := range c.Devices {
		fmt.Fprintf(&b, "device    %s: %s (%s)\n          %s\n          %s\n", Printable(d.Target), Printable(d.Name), Printable(d.Driver), d.Cases, Printable(d.Verdict))
	}
	for _, r := range v.Reruns {
		fmt.Fprintf(&b, "rerun     %d of %d cases on %s came out as in the package\n", r.Same, r.Cases, Printable(r.Target))
	}
	for _, n := range v.Notes {
		fmt.Fprintf(&b, "note      %s\n", Printable(n))
	}
	for _, p := range v.Problems {
		fmt.Fprintf(&b, "problem   %s\n", Printable(p))
	}
	holds := "the package holds"
	if !v.Holds {
		holds = fmt.Sprintf("the package does not hold: %d problems", len(v.Problems))
	}
	fmt.Fprintf(&b, "result    %s; it says: %s\n", holds, Printable(verdict(c.Conformant, c.Verdict)))
	_, err := io.WriteString(w, b.String())
	return err
}
