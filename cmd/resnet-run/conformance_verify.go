package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/resnet-run/resnet-run/internal/submission"
	"github.com/spf13/cobra"
)

// mostReruns is how many cases --rerun takes: their names go to a process as an argument.
const mostReruns = 500

func (a *app) conformanceVerifyCommand() *cobra.Command {
	var format string
	var rerun int
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a package that 'conformance --package' wrote",
		Long: `Check a package that 'conformance --package' wrote: the archive and its checksums; that it has every case of the profile once and
no other; that each verdict follows from its own numbers, error against bound; that only declared waivers were used; that
counts, statement and pages follow from the results. With --rerun, cases are run again on the devices of the package.

` + exitCodesHelp,
		Example: `  resnet-run conformance verify submission.zip
  resnet-run conformance verify --rerun 20 submission.zip`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	addFormat(cmd, &format, report.VerificationFormats)
	cmd.Flags().IntVar(&rerun, "rerun", 0, "run `N` cases of the package again, on each of its devices, which must be here")
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		f, err := report.ParseFormat(format, report.VerificationFormats...)
		if err != nil {
			return failure(exitUsage, err)
		}
		if rerun < 0 || rerun > mostReruns {
			return failure(exitUsage, fmt.Errorf("--rerun: want 0 to %d, got %d", mostReruns, rerun))
		}
		return a.conformanceVerify(cmd.Context(), f, args[0], rerun)
	})
	return cmd
}

func (a *app) conformanceVerify(ctx context.Context, format report.Format, path string, rerun int) error {
	p, err := readPackage(path)
	if err != nil {
		return failure(exitInput, err)
	}
	v := report.Verification{File: path, Claim: p.Claim(), Problems: []string{}, Notes: []string{}, Reruns: []report.Rerun{}}
	problems, notes := p.Verify(programDigest())
	for _, problem := range problems {
		v.Problems = append(v.Problems, problem.String())
	}
	v.Notes = append(v.Notes, notes...)
	if rerun > 0 && len(problems) == 0 { // what does not hold needs no more proof
		for _, d := range p.Report.Devices {
			if err := a.rerunCases(ctx, &v, p, d, rerun); err != nil {
				return err
			}
		}
	}
	v.Holds = len(v.Problems) == 0
	if err := report.WriteVerification(a.stdout, format, v); err != nil {
		return err
	}
	switch {
	case !v.Holds:
		return failure(exitNotConformant, fmt.Errorf("%s does not hold: %d problems", path, len(v.Problems)))
	case !v.Claim.Conformant:
		return failure(exitNotConformant, fmt.Errorf("%s holds, and says: not conformant: %s", path, report.Printable(v.Claim.Verdict)))
	}
	return nil
}

func readPackage(path string) (p *submission.Package, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read conformance package: want a file, got %s (%v)", path, info.Mode().Type())
	}
	if p, err = submission.Read(file, info.Size()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// rerunCases runs a sample of the cases on a device of the package and compares the outcomes.
func (a *app) rerunCases(ctx context.Context, v *report.Verification, p *submission.Package, d *report.DeviceConformance, n int) error {
	names := p.Sample(n)
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	c := p.Report
	timeout, err := time.ParseDuration(c.Timeout)
	if err != nil {
		return err // Verify has looked at it
	}
	f := &conformanceFlags{
		repeat:  1,
		profile: c.Profile, filter: "^(?:" + strings.Join(quoted, "|") + ")$", strict: c.Strict, timeout: timeout, memory: auto, threads: "0",
		known: joined(c.Known), limits: joined(c.Limits), format: string(report.Table),
	}
	o, _, _, err := f.options()
	if err != nil {
		return err
	}
	was := map[string]report.CaseResult{}
	for _, r := range d.Results {
		was[r.Case] = r
	}
	r := report.Rerun{Target: d.Target}
	if err := a.knowsTarget(d.Target); err != nil {
		return failure(exitNoDevice, fmt.Errorf("run cases of the package again: %w", err))
	}
	err = a.runCases(ctx, f, newConformanceTarget(d.Target, f.threads), o, conformanceSink{
		device: func(info backend.DeviceInfo) error { return sameDevice(d.Device.DeviceInfo, info) },
		result: func(now report.CaseResult) error {
			r.Cases++
			if then := was[now.Case]; then.Status == now.Status {
				r.Same++
			} else {
				v.Problems = append(v.Problems, fmt.Sprintf("rerun on %s, case %s: want %v as in the package, got %v %s", d.Target, now.Case, then.Status, now.Status, now.Error))
			}
			return nil
		},
	})
	if errors.Is(err, errOtherDevice) || errors.Is(err, backend.ErrNoDevice) {
		return failure(exitNoDevice, fmt.Errorf("run cases of the package again on %s: %w", d.Name(), err))
	}
	if err != nil {
		return err
	}
	v.Reruns = append(v.Reruns, r)
	return nil
}

// pack writes the package of a run that came to its end.
func (r *conformanceRun) pack(path string) error {
	if r.c.Interrupted {
		r.app.note("no package was written: the run was interrupted")
		return nil
	}
	for _, d := range r.c.Devices {
		if len(d.Results) < r.c.Cases {
			return fmt.Errorf("write package: %s has results of %d of %d cases: %s", d.Name(), len(d.Results), r.c.Cases, d.Error)
		}
	}
	return writeWhole(path, func(w io.Writer) error { return submission.Write(w, r.c) })
}
